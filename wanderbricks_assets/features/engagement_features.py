"""How much attention a property gets, hour by hour."""

from __future__ import annotations

from wanderbricks_assets.gold.engagement import engagement
from wanderbricks_assets.lazy import Table, ibis
from wanderbricks_assets.window import Window

LOOK_BACK_HOURS = 7 * 24
_COUNTS = ("view_count", "click_count", "search_count", "unique_users", "booking_count")
_SUMS = {"views_7d": "view_count", "clicks_7d": "click_count", "bookings_7d": "booking_count"}


def engagement_features(page_views: Table, clickstream: Table, bookings: Table, hours: Window) -> Table:
    """One row per property and hour of the window in which an event came, or left the last seven days.

    The inputs reach back seven days before the window.
    """
    came = engagement(page_views, clickstream, bookings, hours.back(hours=LOOK_BACK_HOURS), unit="h")
    # An hour's events leave the last seven days 168 hours later: a row then too, in which nothing came.
    nothing = dict.fromkeys(_COUNTS, ibis.literal(0, "int64"))
    left = came.mutate(
        period=came.period + ibis.interval(hours=LOOK_BACK_HOURS), time_on_page=ibis.null("float64"), **nothing
    )
    both = came.union(left)
    hourly = both.group_by("property_id", "period").agg(
        **{name: both[name].sum() for name in _COUNTS}, time_on_page=both.time_on_page.max()
    )
    last_7_days = ibis.range_window(
        group_by=hourly.property_id,
        order_by=hourly.period,
        preceding=ibis.interval(hours=LOOK_BACK_HOURS - 1),
        following=ibis.interval(hours=0),
    )
    # As floats the sums of counts are as exact, and take DuckDB half the time.
    rows = hourly.mutate(
        **{name: hourly[source].cast("float64").sum().over(last_7_days) for name, source in _SUMS.items()}
    )
    rows = rows.filter(hours.contains(rows.period))
    return rows.mutate(
        feature_hour=rows.period,
        conversion_rate=rows.bookings_7d / rows.views_7d.nullif(0),
        available_at=rows.period + ibis.interval(hours=1),
    )
