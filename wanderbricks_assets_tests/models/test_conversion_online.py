"""A pair put together from its sides is the row that `view_features` gives for the same view."""

from datetime import timedelta

import ibis
import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from wanderbricks_assets.models.conversion_features import LOOK_BACK, believed_views, view_features
from wanderbricks_assets.models.conversion_online import pair_row, sides
from wanderbricks_assets_tests.models.browsing_world import (
    CUTOFF,
    PROPERTIES,
    USERS,
    browsing_world,
    tables,
    with_noise_after,
)


@pytest.fixture(scope="module")
def world():
    return browsing_world()


@pytest.fixture(scope="module")
def known(world):
    return sides(tables(world), CUTOFF)


def online(known, pairs: pd.DataFrame, viewed_at) -> pd.DataFrame:
    listings = known.listings.set_index("property_id", drop=False).to_dict("index")
    visitors = known.visitors.set_index("user_id", drop=False).to_dict("index")
    looks = {user: group.to_dict("records") for user, group in known.looks.groupby("user_id")}
    context = {"viewed_at": viewed_at, "device_type": "mobile", "referrer": "direct"}
    rows = [
        pd.DataFrame(pair_row(listings[home], visitors[user], looks.get(user, []), **context))
        for user, home in pairs[["user_id", "property_id"]].itertuples(index=False)
    ]
    return pd.concat(rows, ignore_index=True)


def some_pairs(known) -> pd.DataFrame:
    """One pair for each user: some as viewed lately, others at random."""
    rng = np.random.default_rng(0)
    lately = known.looks.drop_duplicates("user_id")[["user_id", "property_id"]].head(40)
    others = pd.DataFrame(
        {"user_id": rng.choice(USERS, 60, replace=False) + 1, "property_id": rng.integers(1, PROPERTIES + 1, 60)}
    )
    return pd.concat([lately, others]).drop_duplicates("user_id", ignore_index=True)


@pytest.mark.parametrize("later", [timedelta(0), timedelta(hours=14, minutes=30)])
def test_a_pair_is_the_row_of_a_view_at_that_time(world, known, later):
    # Nothing but the views that are asked about happens from the moment on.
    given = {
        name: table.filter(table[column] < CUTOFF)
        for name, column in (
            ("page_views", "timestamp"),
            ("fact_booking_history", "known_at"),
            ("fact_property_engagement", "engagement_date"),
            ("property_features", "feature_date"),
            ("user_features", "feature_date"),
            ("engagement_features", "feature_hour"),
        )
        for table in [tables(world)[name]]
    } | {"dim_user": tables(world)["dim_user"]}
    pairs, at = some_pairs(known), CUTOFF + later
    views = believed_views(given["page_views"], at - 2 * LOOK_BACK, CUTOFF)
    asked = pairs.assign(view_id=0, viewed_at=at, device_type="mobile", referrer="direct")[list(views.columns)]
    views = views.union(ibis.memtable(asked, schema=views.schema()))
    batch = view_features(views, given, at, at + timedelta(seconds=1))
    rows = online(known, pairs, at)
    keys = ["user_id", "property_id"]
    assert (rows["views_of_search"] > 0).any()
    assert_frame_equal(
        rows.sort_values(keys, ignore_index=True),
        batch.sort_values(keys, ignore_index=True),
        check_exact=True,
        check_dtype=False,
    )


def test_nothing_after_the_moment_changes_the_sides(world, known):
    again = sides(tables(with_noise_after(world, CUTOFF)), CUTOFF)
    for name in ("listings", "visitors", "looks"):
        assert_frame_equal(getattr(again, name), getattr(known, name), check_exact=True, check_categorical=False)
