"""What visitors did on the page of a property in a day."""

from itertools import pairwise

import pandas as pd
import pytest

from wanderbricks_assets.contracts.gold import FACT_PROPERTY_ENGAGEMENT
from wanderbricks_assets.gold.engagement import fact_property_engagement
from wanderbricks_assets.window import Window
from wanderbricks_assets_tests.marketplace import booking, click, day, memory, random_marketplace, source_table, view

SECOND = Window.of_days(day("2024-01-02"), day("2024-01-02"))


def engagement(
    views: list[dict], clicks: list[dict] = (), bookings: list[dict] = (), days: Window = SECOND
) -> list[dict]:
    rows = fact_property_engagement(
        source_table("page_views", *views),
        source_table("clickstream", *clicks),
        source_table("bookings", *bookings),
        days,
    )
    conformed = FACT_PROPERTY_ENGAGEMENT.conform(rows).order_by("engagement_date", "property_id")
    return conformed.to_pyarrow().to_pylist()


def test_views_clicks_searches_and_visitors_are_counted_per_property_and_day():
    views = [
        view(1, "2024-01-02 00:00", user_id=7),
        view(2, "2024-01-02 10:00", user_id=7),
        view(3, "2024-01-02 23:59:59", user_id=8),
        view(4, "2024-01-02 11:00", user_id=None),
        view(5, "2024-01-02 12:00", user_id=8, property_id=2),
    ]
    clicks = [
        click("click", "2024-01-02 10:01", user_id=9),
        click("click", "2024-01-02 10:02"),
        click("search", "2024-01-02 10:03"),
        click("filter", "2024-01-02 10:04"),
        click("view", "2024-01-02 10:05"),
    ]
    first, second = engagement(views, clicks)
    assert (first["property_id"], first["engagement_date"]) == (1, day("2024-01-02"))
    assert (first["view_count"], first["unique_user_views"]) == (4, 2)
    assert (first["click_count"], first["search_count"]) == (2, 1)
    assert (second["property_id"], second["view_count"], second["click_count"]) == (2, 1, 0)


def test_a_view_delivered_again_counts_once_and_so_does_a_click():
    views = [view(1, "2024-01-02 10:00")] * 3 + [view(2, "2024-01-02 10:30")]
    [row] = engagement(views, [click("click", "2024-01-02 10:10")] * 4)
    assert (row["view_count"], row["click_count"]) == (2, 1)


def test_time_on_page_is_the_gap_to_the_same_visitors_next_event_anywhere():
    views = [
        view(1, "2024-01-02 10:00:00"),
        view(2, "2024-01-02 10:00:40", user_id=8),
        view(3, "2024-01-02 10:01:00", property_id=2),
    ]
    first, second = engagement(views, [click("click", "2024-01-02 10:05:00", property_id=3)])[:2]
    assert first["avg_time_on_page"] == 60.0
    assert second["avg_time_on_page"] == 240.0


def test_time_on_page_is_at_most_half_an_hour():
    views = [view(1, "2024-01-02 10:00"), view(2, "2024-01-02 10:30:01"), view(3, "2024-01-02 10:40:01")]
    [row] = engagement(views)
    assert row["avg_time_on_page"] == (1800 + 600) / 2


def test_the_last_view_of_a_day_has_no_time_on_page_because_the_next_event_is_not_known():
    views = [view(1, "2024-01-02 23:59"), view(2, "2024-01-03 00:01"), view(3, "2024-01-03 00:02")]
    both = Window.of_days(day("2024-01-02"), day("2024-01-03"))
    second, third = engagement(views, days=both)
    assert (second["avg_time_on_page"], third["avg_time_on_page"]) == (None, 60.0)


def test_visitors_without_a_name_are_not_taken_for_one_visitor():
    views = [view(1, "2024-01-02 10:00", user_id=None), view(2, "2024-01-02 10:01", user_id=None)]
    [row] = engagement(views)
    assert (row["view_count"], row["unique_user_views"], row["avg_time_on_page"]) == (2, 0, None)


@pytest.mark.parametrize("order", [1, -1])
def test_events_of_the_same_second_have_the_same_time_on_page_whatever_the_order_of_the_files(order: int):
    views = [view(1, "2024-01-02 10:00:00"), view(2, "2024-01-02 10:00:00", property_id=2)][::order]
    clicks = [click("click", "2024-01-02 10:00:00"), click("click", "2024-01-02 10:01:00", property_id=2)][::order]
    first, second = engagement(views, clicks)
    assert (first["avg_time_on_page"], second["avg_time_on_page"]) == (0.0, 60.0)


def test_conversion_is_the_bookings_made_that_day_per_view():
    views = [view(key, "2024-01-02 10:00", user_id=key) for key in range(1, 5)]
    bookings = [booking(1, "2024-01-02 11:00"), booking(2, "2024-01-03 00:00"), booking(3, "2024-01-01 23:59")]
    [row] = engagement(views, bookings=[*bookings, bookings[0]])
    assert row["conversion_rate"] == 0.25


def test_a_property_booked_without_a_view_has_no_conversion_rate():
    [row] = engagement([], bookings=[booking(1, "2024-01-02 11:00")])
    assert (row["view_count"], row["unique_user_views"], row["click_count"]) == (0, 0, 0)
    assert (row["conversion_rate"], row["avg_time_on_page"]) == (None, None)


def test_a_day_on_which_nobody_came_has_no_row():
    assert engagement([view(1, "2024-01-01 10:00"), view(2, "2024-01-03 00:00")]) == []


def test_time_on_page_agrees_with_a_count_by_hand_of_random_events():
    """A visitor at a time, in plain Python."""
    tables = random_marketplace(seed=3)
    days = Window.of_days(day("2023-12-15"), day("2024-01-20"))
    source = memory(tables)
    rows = fact_property_engagement(source["page_views"], source["clickstream"], source["bookings"], days)
    found = FACT_PROPERTY_ENGAGEMENT.conform(rows).to_pandas()
    views = tables["page_views"].to_pandas().drop_duplicates("view_id").query("device_type != 'toaster'")
    clicks = tables["clickstream"].to_pandas().drop(columns="metadata").drop_duplicates()
    events = pd.concat([views.assign(event="view"), clicks[clicks.event != "view"]])
    events["day"] = events.timestamp.dt.date
    seconds: dict[tuple, list[float]] = {}
    for _, visit in events[events.user_id.notna()].groupby(["user_id", "day"]):
        ordered = visit.sort_values(["timestamp", "event", "property_id"]).to_dict("records")
        for event, following in pairwise(ordered):
            if event["event"] == "view":
                gap = min((following["timestamp"] - event["timestamp"]).total_seconds(), 1800)
                seconds.setdefault((event["property_id"], event["day"]), []).append(gap)
    timed = found[found.avg_time_on_page.notna()]
    expected = {key: sum(gaps) / len(gaps) for key, gaps in seconds.items()}
    assert len(expected) > 100
    keys = zip(timed.property_id, timed.engagement_date.dt.date, strict=True)
    assert dict(zip(keys, timed.avg_time_on_page, strict=True)) == expected
