"""Attention by the hour, and the seven-day sums that are exact at every row."""

from bisect import bisect_left
from datetime import timedelta

import pandas as pd

from wanderbricks_assets.contracts.features import ENGAGEMENT_FEATURES
from wanderbricks_assets.features.engagement_features import engagement_features
from wanderbricks_assets.window import Window
from wanderbricks_assets_tests.marketplace import (
    assert_same,
    at,
    booking,
    click,
    frame,
    memory,
    random_marketplace,
    source_table,
    view,
)

JANUARY = Window(at("2024-01-01"), at("2024-02-01"))


def features(
    views: list[dict], clicks: list[dict] = (), bookings: list[dict] = (), hours: Window = JANUARY
) -> pd.DataFrame:
    rows = engagement_features(
        source_table("page_views", *views),
        source_table("clickstream", *clicks),
        source_table("bookings", *bookings),
        hours,
    )
    return frame(rows, ENGAGEMENT_FEATURES).set_index("feature_hour")


def test_an_hour_counts_its_views_clicks_searches_and_visitors():
    views = [view(key, f"2024-01-02 10:{key:02}", user_id=7 + key // 3) for key in range(1, 5)]
    clicks = [click("click", "2024-01-02 10:59:59"), click("search", "2024-01-02 10:30")]
    clicks.append(click("filter", "2024-01-02 10:31"))
    row = features([*views, views[0]], [*clicks, clicks[0]]).loc["2024-01-02 10:00"]
    assert (row.view_count, row.click_count, row.search_count, row.unique_users) == (4, 1, 1, 2)
    assert (row.views_7d, row.clicks_7d, row.conversion_rate) == (4, 1, 0.0)


def test_a_row_may_be_used_when_its_hour_has_ended():
    found = features([view(1, "2024-01-02 10:59:59"), view(2, "2024-01-02 11:00")])
    assert found.available_at.loc["2024-01-02 10:00"] == at("2024-01-02 11:00")
    assert found.view_count.loc["2024-01-02 10:00"] == 1


def test_an_event_leaves_the_seven_days_after_168_hours_and_that_hour_has_a_row():
    views = [view(1, "2024-01-02 10:20"), view(2, "2024-01-03 10:00")]
    found = features(views, [click("click", "2024-01-02 10:30")])
    sums = {str(hour): (row.view_count, row.views_7d, row.clicks_7d) for hour, row in found.iterrows()}
    assert sums == {
        "2024-01-02 10:00:00": (1, 1, 1),
        "2024-01-03 10:00:00": (1, 2, 1),
        "2024-01-09 10:00:00": (0, 1, 0),
        "2024-01-10 10:00:00": (0, 0, 0),
    }
    assert found.time_on_page.notna().to_list() == [True, False, False, False]


def test_conversion_is_bookings_per_view_of_the_seven_days_and_null_without_a_view():
    views = [view(key, "2024-01-02 10:00", user_id=key) for key in range(1, 5)]
    bookings = [booking(1, "2024-01-03 12:00"), booking(2, "2024-01-09 12:00")]
    rates = features(views, bookings=bookings).conversion_rate
    assert [f"{hour:%d %H}" for hour in rates.index] == ["02 10", "03 12", "09 10", "09 12", "10 12", "16 12"]
    assert rates.iloc[:2].to_list() == [0.0, 0.25]
    assert rates.iloc[2:].isna().all()


def test_every_row_agrees_with_a_count_by_hand_of_random_events():
    tables = random_marketplace(seed=4)
    source = memory(tables)
    hours = Window(at("2023-12-15"), at("2024-01-25"))
    rows = engagement_features(source["page_views"], source["clickstream"], source["bookings"], hours)
    found = frame(rows, ENGAGEMENT_FEATURES)

    views = tables["page_views"].to_pandas().drop_duplicates("view_id").query("device_type != 'toaster'")
    clicks = tables["clickstream"].to_pandas().drop(columns="metadata").drop_duplicates()
    bookings = tables["bookings"].to_pandas().query("check_out >= check_in").drop_duplicates("booking_id")
    times = {
        "views": views[["property_id", "timestamp", "user_id"]],
        "clicks": clicks[clicks.event == "click"],
        "searches": clicks[clicks.event == "search"],
        "filters": clicks[clicks.event == "filter"],
        "bookings": bookings.rename(columns={"created_at": "timestamp"}),
    }
    week = timedelta(hours=168)
    came = {(row.property_id, row.timestamp.floor("h")) for part in times.values() for row in part.itertuples()}
    due = came | {(key, hour + week) for key, hour in came}
    assert {(row.property_id, row.feature_hour) for row in found.itertuples()} == {
        (key, hour) for key, hour in due if hour < hours.end
    }

    sorted_times = {
        (name, key): sorted(rows.timestamp) for name, part in times.items() for key, rows in part.groupby("property_id")
    }
    visitors = views.groupby(["property_id", views.timestamp.dt.floor("h")]).user_id.nunique().to_dict()

    def count(part: str, row, span: timedelta) -> int:
        moments, end = sorted_times.get((part, row.property_id), []), row.feature_hour + timedelta(hours=1)
        return bisect_left(moments, end) - bisect_left(moments, end - span)

    hour = timedelta(hours=1)
    for row in found.itertuples():
        assert row.view_count == count("views", row, hour)
        assert row.unique_users == visitors.get((row.property_id, row.feature_hour), 0)
        assert row.click_count == count("clicks", row, hour)
        assert row.search_count == count("searches", row, hour)
        views_7d, bookings_7d = count("views", row, week), count("bookings", row, week)
        assert row.views_7d == views_7d
        assert row.clicks_7d == count("clicks", row, week)
        assert row.conversion_rate == bookings_7d / views_7d if views_7d else pd.isna(row.conversion_rate)


def test_a_window_needs_no_more_of_the_past_than_seven_days():
    tables = memory(random_marketplace(seed=5))
    inputs = [tables[name] for name in ("page_views", "clickstream", "bookings")]
    hours = Window(at("2024-01-10 00:00"), at("2024-01-11 00:00"))
    look_back = hours.back(hours=168)
    times = ("timestamp", "timestamp", "created_at")
    recent = [rows.filter(look_back.contains(rows[time])) for rows, time in zip(inputs, times, strict=True)]
    from_all = frame(engagement_features(*inputs, hours), ENGAGEMENT_FEATURES)
    assert_same(frame(engagement_features(*recent, hours), ENGAGEMENT_FEATURES), from_all)
    assert from_all.views_7d.max() > 20


def test_an_hour_without_events_that_come_or_leave_has_no_row():
    quiet = Window(at("2024-01-02 11:00"), at("2024-01-02 12:00"))
    assert len(features([view(1, "2024-01-02 10:59:59")], hours=quiet)) == 0
