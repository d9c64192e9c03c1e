"""The point-in-time join: what was available at the moment of each row."""

from datetime import timedelta

import ibis
import numpy as np
import pandas as pd

from wanderbricks_assets.contracts.features import ENGAGEMENT_FEATURES, PROPERTY_FEATURES, USER_FEATURES
from wanderbricks_assets.features.point_in_time import as_of
from wanderbricks_assets_tests.marketplace import at, day, stored, table_of


def features(*rows: tuple[int, str, int]) -> ibis.Table:
    """property_features of (property, day, photos): a day's row is available when the day has ended."""
    return table_of(
        PROPERTY_FEATURES,
        *(
            {
                "property_id": key,
                "feature_date": day(of),
                "photos_count": photos,
                "available_at": at(f"{of} 00:00") + timedelta(days=1),
            }
            for key, of, photos in rows
        ),
    )


def labels(*rows: tuple[int, str]) -> ibis.Table:
    schema = {"label": "int64", "property_id": "int64", "seen_at": "timestamp"}
    made = [(number, key, at(moment)) for number, (key, moment) in enumerate(rows)]
    return ibis.memtable(pd.DataFrame(made, columns=list(schema)), schema=schema)


def photos(rows: ibis.Table, known: ibis.Table, **options) -> list[int | None]:
    joined = as_of(rows, known, PROPERTY_FEATURES, "seen_at", **options).order_by("label")
    return joined.to_pyarrow()[options.get("prefix", "") + "photos_count"].to_pylist()


KNOWN = [(1, "2024-01-01", 11), (1, "2024-01-02", 12), (1, "2024-01-05", 15), (2, "2024-01-02", 22)]


def test_a_row_sees_the_latest_features_that_were_available_at_its_moment():
    moments = ["2024-01-02 00:00", "2024-01-02 23:59:59", "2024-01-03 00:00", "2024-01-05 12:00", "2024-02-01 00:00"]
    assert photos(labels(*((1, moment) for moment in moments)), features(*KNOWN)) == [11, 11, 12, 12, 15]


def test_features_available_at_the_very_moment_count_and_a_microsecond_before_they_do_not():
    rows = labels((1, "2024-01-06 00:00"), (1, "2024-01-05 23:59:59.999999"))
    assert photos(rows, features(*KNOWN)) == [15, 12]


def test_where_nothing_was_available_yet_or_ever_the_features_are_null_and_the_row_stays():
    rows = labels((1, "2024-01-01 23:59"), (2, "2024-01-02 12:00"), (3, "2024-01-09 00:00"))
    assert photos(rows, features(*KNOWN)) == [None, None, None]
    assert photos(rows, features()) == [None, None, None]


def test_properties_do_not_see_each_others_features():
    assert photos(labels((2, "2024-01-09 00:00"), (1, "2024-01-09 00:00")), features(*KNOWN)) == [22, 15]


def test_features_older_than_the_time_to_live_are_null():
    rows = labels((2, "2024-01-05 00:00"), (2, "2024-01-05 00:00:01"), (1, "2024-01-08 00:00"))
    assert photos(rows, features(*KNOWN), time_to_live=timedelta(days=2)) == [22, None, 15]


def test_rows_of_the_same_moment_each_get_their_features_and_none_is_lost_or_doubled():
    rows = labels(*[(1, "2024-01-03 12:00")] * 3, (2, "2024-01-03 12:00"))
    assert photos(rows, features(*KNOWN)) == [12, 12, 12, 22]


def test_a_prefix_is_put_before_the_features_and_the_columns_of_the_rows_stay():
    rows = labels((1, "2024-01-03 12:00"))
    joined = as_of(rows, features(*KNOWN), PROPERTY_FEATURES, "seen_at", prefix="listing_")
    names = [name for name in PROPERTY_FEATURES.schema.names if name not in ("property_id", "feature_date")]
    expected = ["label", "property_id", "seen_at", *(f"listing_{name}" for name in names if name != "available_at")]
    assert list(joined.columns) == expected
    assert photos(rows, features(*KNOWN), prefix="listing_") == [12]


def test_two_feature_tables_are_joined_one_after_the_other():
    hourly = table_of(
        ENGAGEMENT_FEATURES,
        {
            "property_id": 1,
            "feature_hour": at("2024-01-03 10:00"),
            "view_count": 5,
            "available_at": at("2024-01-03 11:00"),
        },
    )
    rows = labels((1, "2024-01-03 10:59"), (1, "2024-01-03 11:00"))
    joined = as_of(rows, features(*KNOWN), PROPERTY_FEATURES, "seen_at")
    joined = as_of(joined, hourly, ENGAGEMENT_FEATURES, "seen_at", prefix="page_").order_by("label").to_pyarrow()
    assert joined["photos_count"].to_pylist() == [12, 12]
    assert joined["page_view_count"].to_pylist() == [None, 5]


def test_days_that_grow_by_themselves_are_brought_up_to_the_moment_of_the_row():
    known = table_of(
        USER_FEATURES,
        {
            "user_id": 7,
            "feature_date": day("2024-01-02"),
            "tenure_days": 100,
            "days_since_last_booking": 0,
            "total_bookings": 4,
            "available_at": at("2024-01-03 00:00"),
        },
    )
    moments = [at("2024-01-03 00:00"), at("2024-01-03 23:59"), at("2024-01-13 08:00")]
    rows = ibis.memtable(
        pd.DataFrame({"user_id": 7, "moment": moments}), schema={"user_id": "int64", "moment": "timestamp"}
    )
    found = as_of(rows, known, USER_FEATURES, "moment").order_by("moment").to_pyarrow()
    assert found["tenure_days"].to_pylist() == [100, 100, 110]
    assert found["days_since_last_booking"].to_pylist() == [0, 0, 10]
    assert found["total_bookings"].to_pylist() == [4, 4, 4]


def test_the_join_agrees_with_a_search_by_hand():
    rng = np.random.default_rng(0)
    days = pd.date_range("2024-01-01", periods=40)
    known = [(int(key), str(of.date()), int(key * 100 + number)) for key in (1, 2) for number, of in enumerate(days)]
    known = [known[number] for number in sorted(rng.choice(len(known), 30, replace=False))]
    asked = [
        (int(rng.integers(1, 4)), str(at("2024-01-01") + timedelta(hours=int(rng.integers(0, 1200)))))
        for _ in range(200)
    ]
    expected = []
    for key, moment in asked:
        before = [
            (of, count) for other, of, count in known if other == key and at(of) + timedelta(days=1) <= at(moment)
        ]
        latest = max(before, default=None)
        fresh = latest is not None and at(latest[0]) + timedelta(days=1) >= at(moment) - timedelta(days=5)
        expected.append(latest[1] if fresh else None)
    assert 20 < expected.count(None) < 180
    table = stored(features(*known), PROPERTY_FEATURES)
    assert photos(labels(*asked), table, time_to_live=timedelta(days=5)) == expected
