"""What is known about a customer at the end of a day on which it changed."""

from __future__ import annotations

from wanderbricks_assets.gold.as_known import cancelled
from wanderbricks_assets.gold.exact import exact
from wanderbricks_assets.lazy import Table, ibis
from wanderbricks_assets.window import Window, add_days

FREQUENCY_DAYS = 365
TREND_DAYS = 180


def user_features(dim_user: Table, fact_booking_history: Table, days: Window) -> Table:
    """One row per customer and day of the window on which a booking was made, changed, or left one of the look-backs.

    So the latest row at or before a moment is exact for that moment, but for the two that grow with the calendar
    (tenure_days, days_since_last_booking), which the point-in-time join brings up to date.
    """
    changes = _changes(fact_booking_history)
    touched = changes.filter(days.contains(changes.feature_date)).select("user_id").distinct()
    changes = changes.semi_join(touched, "user_id")
    columns = [name for name in changes.columns if name not in ("user_id", "feature_date", "last_booking")]
    daily = changes.group_by("user_id", "feature_date").agg(
        **{name: changes[name].sum() for name in columns}, last_booking=changes.last_booking.max()
    )
    so_far = ibis.cumulative_window(group_by=daily.user_id, order_by=daily.feature_date)
    rows = daily.mutate(
        **{name: daily[name].sum().over(so_far) for name in columns},
        last_booking=daily.last_booking.max().over(so_far),
    )
    rows = rows.filter(days.contains(rows.feature_date))
    day_end = rows.feature_date.cast("timestamp") + ibis.interval(days=1)
    rows = rows.join(
        dim_user,
        (rows.user_id == dim_user.user_id)
        & (dim_user.effective_from < day_end)
        & (dim_user.effective_to.isnull() | (dim_user.effective_to >= day_end)),
    )
    return rows.mutate(
        tenure_days=(rows.feature_date - rows.created_at.date()).cast("int64"),
        total_bookings=rows.made,
        total_spend=rows.spend,
        avg_booking_value=rows.spend.cast("float64") / rows.held.nullif(0),
        booking_frequency=rows.made_in_a_year.cast("float64"),
        avg_lead_time=rows.lead_time / rows.made,
        cancellation_rate=rows.cancellations / rows.made,
        days_since_last_booking=(rows.feature_date - rows.last_booking).cast("int64"),
        booking_trend=rows.trend.cast("float64"),
        available_at=rows.feature_date.cast("timestamp") + ibis.interval(days=1),
    )


def _changes(history: Table) -> Table:
    """By how much each running sum changes, per customer, day and cause."""
    order = ibis.window(group_by=history.booking_id, order_by=history.known_at)
    states = history.mutate(
        feature_date=history.known_at.date(),
        is_first=history.known_at == history.created_at,
        is_held=(~cancelled(history)).cast("int64"),
    )
    states = states.mutate(held_amount=exact(states.total_amount * states.is_held))
    before = {name: states[name].lag().over(order).fill_null(0) for name in ("is_held", "held_amount")}
    states = states.mutate(made=states.is_first.cast("int64"))
    zero = ibis.literal(0, "int64")
    own = states.select(
        "user_id",
        "feature_date",
        "made",
        spend=states.held_amount - before["held_amount"],
        held=states.is_held - before["is_held"],
        cancellations=states.made - (states.is_held - before["is_held"]),
        lead_time=states.made * (states.check_in_date - states.feature_date).cast("int64"),
        made_in_a_year=states.made,
        trend=states.made,
        last_booking=states.is_first.ifelse(states.feature_date, None),
    )
    made = states.filter(states.is_first)
    left = [
        made.select(
            "user_id",
            feature_date=add_days(made.feature_date, days),
            made=zero,
            spend=exact(ibis.literal(0)),
            held=zero,
            cancellations=zero,
            lead_time=zero,
            made_in_a_year=ibis.literal(year, "int64"),
            trend=ibis.literal(trend, "int64"),
            last_booking=ibis.null("date"),
        )
        for days, year, trend in ((TREND_DAYS, 0, -2), (2 * TREND_DAYS, 0, 1), (FREQUENCY_DAYS, -1, 0))
    ]
    return own.union(*left)
