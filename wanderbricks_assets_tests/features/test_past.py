from datetime import datetime, timedelta

import ibis
import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from wanderbricks_assets.contracts.features import USER_FEATURES
from wanderbricks_assets.features.past import Past, known_at, taken
from wanderbricks_assets.features.point_in_time import as_of

FIRST = datetime(2025, 3, 1)
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def rows():
    return happenings(300, seed=1)


@pytest.fixture(scope="module")
def events():
    return happenings(500, seed=2)


def happenings(count: int, seed: int) -> pd.DataFrame:
    """Some of a user and place at the very same second, some with parts of a second."""
    rng = np.random.default_rng(seed)
    half_seconds = rng.integers(0, 2 * 86_400, count) // 40 * 40 + rng.integers(0, 2, count)
    return pd.DataFrame(
        {
            "user_id": rng.integers(1, 6, count),
            "place": rng.choice(["north", "south"], count),
            "worth": rng.integers(0, 100, count),
            "at": FIRST + pd.to_timedelta(half_seconds * 500, unit="ms"),
        }
    )


@pytest.mark.parametrize("by", [[], ["user_id"], ["user_id", "place"]])
@pytest.mark.parametrize("span", [None, timedelta(hours=3)])
def test_only_strictly_earlier_events_of_the_group_within_the_span_count(rows, events, by, span):
    past = Past(rows, events, by)
    count, worth, latest = past.count(span), past.sum(events["worth"].to_numpy(), span), past.latest(span)
    for number, row in enumerate(rows.itertuples()):
        gap = row.at.floor("s") - events["at"].dt.floor("s")
        before = (gap > timedelta(0)) & (gap <= (span or DAY * 99))
        for key in by:
            before &= events[key] == getattr(row, key)
        assert count[number] == before.sum()
        assert worth[number] == events.loc[before, "worth"].sum()
        if before.any():
            last = events.loc[before, "at"].dt.floor("s").max()
            assert events["at"].dt.floor("s")[latest[number]] == last
            assert past.hours_since(latest)[number] == (row.at.floor("s") - last) / timedelta(hours=1)
        else:
            assert latest[number] == -1
            assert np.isnan(past.hours_since(latest)[number])


def test_an_event_in_the_same_second_but_after_the_row_is_not_known_at_it():
    at = pd.Timestamp(FIRST)
    row = pd.DataFrame({"at": [at + timedelta(milliseconds=200)]})
    events = pd.DataFrame({"at": [at, at + timedelta(milliseconds=100), at + timedelta(milliseconds=700)]})
    assert Past(row, events, []).count() == 0
    assert Past(row, events, [], or_at=True).count() == 1


def test_no_rows_and_no_events_are_no_trouble(rows, events):
    assert (Past(rows, events.head(0), ["user_id"]).count() == 0).all()
    assert Past(rows.head(0), events, ["user_id"]).latest().size == 0
    assert taken(events.head(0), np.array([-1, -1]))["worth"].isna().all()


@pytest.mark.parametrize("time_to_live", [None, timedelta(days=3)])
def test_what_is_known_in_memory_is_what_the_point_in_time_join_says(time_to_live):
    rng = np.random.default_rng(0)
    features = pd.DataFrame({"user_id": rng.integers(1, 8, 60), "feature_date": FIRST + rng.integers(0, 20, 60) * DAY})
    features = features.drop_duplicates().assign(total_bookings=lambda frame: range(len(frame)), tenure_days=5)
    features["available_at"] = features["feature_date"] + DAY
    asked = pd.DataFrame({"user_id": rng.integers(1, 10, 80), "at": FIRST + rng.integers(0, 25 * 24, 80) * DAY / 24})
    asked = asked.drop_duplicates(ignore_index=True)
    missing = {name: None for name in USER_FEATURES.schema.names if name not in features}
    schema = ibis.schema({name: USER_FEATURES.schema[name] for name in [*features.columns, *missing]})
    table = USER_FEATURES.conform(ibis.memtable(features.assign(**missing), schema=schema))
    names = ["total_bookings", "tenure_days"]
    moments = asked.rename(columns={"at": "moment"})
    joined = as_of(ibis.memtable(moments), table, USER_FEATURES, "moment", time_to_live).to_pandas()
    joined = moments.merge(joined, on=["user_id", "moment"], how="left")[names]
    assert joined.notna().to_numpy().any()
    assert_frame_equal(known_at(asked, table, USER_FEATURES, names, time_to_live), joined, check_dtype=False)
