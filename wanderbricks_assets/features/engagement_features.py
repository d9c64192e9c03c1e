"""How much attention a property gets, hour by hour."""

from __future__ import annotations

from wanderbricks_assets.gold.engagement import engagement
from wanderbricks_assets.lazy import Table, ibis
from wanderbricks_assets.window import Window

LOOK_BACK_HOURS = 7 * 24
_HOUR = ("view_count", "click_count", "search_count", "unique_users")
_SUMS = {"views_7d": "view_count", "clicks_7d": "click_count", "bookings_7d": "booking_count"}


def engagement_features(page_views: Table, clickstream: Table, bookings: Table, hours: Window) -> Table:
    """One row per property and hour of the window in which an event came, or left the last seven days.

    The inputs reach back seven days before the window.
    """
    came = engagement(page_views, clickstream, bookings, unit="h")
    # What comes in an hour leaves the sums 168 hours later: two rows of each, so that the visits are counted once only.
    moved = came.mutate(later=ibis.array([0, LOOK_BACK_HOURS]).unnest())
    is_new = moved.later == 0
    moved = moved.mutate(
        period=moved.period + moved.later.as_interval("h"),
        time_on_page=is_new.ifelse(moved.time_on_page, None),
        **{name: is_new.ifelse(moved[name], 0) for name in _HOUR},
        **{name: is_new.ifelse(moved[source], -moved[source]) for name, source in _SUMS.items()},
    )
    hourly = moved.group_by("property_id", "period").agg(
        **{name: moved[name].sum() for name in (*_HOUR, *_SUMS)}, time_on_page=moved.time_on_page.max()
    )
    so_far = ibis.cumulative_window(group_by=hourly.property_id, order_by=hourly.period)
    rows = hourly.mutate(**{name: hourly[name].sum().over(so_far) for name in _SUMS})
    rows = rows.filter(hours.contains(rows.period))
    return rows.mutate(
        feature_hour=rows.period,
        conversion_rate=rows.bookings_7d / rows.views_7d.nullif(0),
        available_at=rows.period + ibis.interval(hours=1),
    )
