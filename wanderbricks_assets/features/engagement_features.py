"""How much attention a property gets, hour by hour."""

import ibis
from ibis import Table

from wanderbricks_assets.gold.engagement import engagement
from wanderbricks_assets.window import Window

LOOK_BACK_HOURS = 7 * 24
_HOUR = ("view_count", "click_count", "search_count", "unique_users")
_SUMS = {"views_7d": "view_count", "clicks_7d": "click_count", "bookings_7d": "booking_count"}


def engagement_features(page_views: Table, clickstream: Table, bookings: Table, hours: Window) -> Table:
    """One row per property and hour of the window in which an event came, or left the last seven days.

    The inputs reach back seven days before the window.
    """
    came = engagement(page_views, clickstream, bookings, unit="h")
    came = came.mutate(**{name: came[source] for name, source in _SUMS.items()}).drop("booking_count")
    left = came.mutate(
        period=came.period + ibis.interval(hours=LOOK_BACK_HOURS),
        time_on_page=ibis.null("float64"),
        **dict.fromkeys(_HOUR, ibis.literal(0, "int64")),
        **{name: -came[name] for name in _SUMS},
    )
    both = came.union(left.select(came.columns))
    hourly = both.group_by("property_id", "period").agg(
        **{name: both[name].sum() for name in (*_HOUR, *_SUMS)}, time_on_page=both.time_on_page.max()
    )
    so_far = ibis.cumulative_window(group_by=hourly.property_id, order_by=hourly.period)
    rows = hourly.mutate(**{name: hourly[name].sum().over(so_far) for name in _SUMS})
    rows = rows.filter(hours.contains(rows.period))
    return rows.mutate(
        feature_hour=rows.period,
        conversion_rate=rows.bookings_7d / rows.views_7d.nullif(0),
        available_at=rows.period + ibis.interval(hours=1),
    )
