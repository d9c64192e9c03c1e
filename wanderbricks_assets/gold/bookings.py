"""Bookings: every state they were in, the state they are in, and the stays of each day."""

from __future__ import annotations

from wanderbricks_assets.gold.as_known import cancelled, versions
from wanderbricks_assets.gold.cleaning import accepted
from wanderbricks_assets.gold.exact import exact_sum
from wanderbricks_assets.lazy import Table, ibis
from wanderbricks_assets.window import ON_THE_BOOKS, Window


def fact_booking_history(bookings: Table, booking_updates: Table, days: Window) -> Table:
    """One row per booking and state that began in the window.

    `bookings` reaches further back: an update of the window may belong to a booking made long before. An update of a
    booking that is unknown, not believed or not yet made is quarantined.
    """
    bookings = accepted("bookings", bookings)
    made = bookings.filter(days.contains(bookings.created_at))
    updates = accepted("booking_updates", booking_updates, {"bookings": bookings})
    known = bookings.group_by("booking_id").agg(made_at=bookings.created_at.min())
    updates = updates.join(known, "booking_id")
    # A row of `bookings` may have been written again later: its state was not known when the booking was made.
    rewritten = made.updated_at > made.created_at
    opened = made.mutate(status=rewritten.ifelse("confirmed", made.status))
    first = _states(opened, known_at=opened.created_at, created_at=opened.created_at)
    moved = bookings.filter(days.contains(bookings.updated_at) & (bookings.updated_at > bookings.created_at))
    first = first.union(_states(moved, known_at=moved.updated_at, created_at=moved.created_at))
    # An update may carry the same instant as the booking itself; the later state must come after the first.
    later = ibis.greatest(updates.updated_at, updates.made_at + ibis.interval(microseconds=1))
    return first.union(_states(updates, known_at=later, created_at=updates.made_at))


def fact_booking_detail(history: Table, payments: Table, dim_property: Table, dim_user: Table, days: Window) -> Table:
    """One row per booking made in the window, in its latest state."""
    if not days.opens:  # nothing happens to a booking before it is made
        history = history.filter(history.known_at >= days.start)
    states = versions(history)
    made = states.filter(days.contains(states.created_at) & states.known_until.isnull())
    cancellations = history.filter(cancelled(history))
    cancelled_at = cancellations.group_by("booking_id").agg(cancelled_at=cancellations.known_at.max())
    listing = dim_property.filter(dim_property.is_current).select("property_id", "host_id", "destination_id")
    guest = dim_user.filter(dim_user.is_current).select("user_id", "is_business")
    rows = (
        made.left_join(cancelled_at, "booking_id")
        .drop("booking_id_right")
        .left_join(paid(payments, made), "booking_id")
        .drop("booking_id_right")
        .left_join(listing, "property_id")
        .drop("property_id_right")
        .left_join(guest, "user_id")
        .drop("user_id_right")
    )
    return rows.mutate(
        updated_at=rows.known_at,
        days_between_booking_and_checkin=(rows.check_in_date - rows.created_at.date()).cast("int64"),
        is_cancelled=cancelled(rows),
        cancelled_at=cancelled(rows).ifelse(rows.cancelled_at, None),
        is_business_booking=rows.is_business,
    )


def _payments_of(made: Table, payments: Table) -> Table:
    """The payments of these bookings that are believed: one from before its booking is in quarantine."""
    moved = accepted("payments", payments).inner_join(made.select("booking_id", made_at="created_at"), "booking_id")
    return moved.filter(moved.payment_date >= moved.made_at)


def paid(payments: Table, made: Table) -> Table:
    """Per booking: money paid less refunded, and the method of the first payment. Failed payments move no money."""
    moved = _payments_of(made, payments).filter(ibis._.status.isin(["completed", "refunded"]))
    return moved.group_by("booking_id").agg(
        payment_amount=exact_sum(moved.amount),
        payment_method=moved.payment_method.argmin(moved.payment_date),
    )


def fact_booking_daily(history: Table, payments: Table, dim_property: Table, days: Window) -> Table:
    """Stays beginning on each day of the window, per property, as they were known when that day ended."""
    states = versions(history)
    day = states.check_in_date.cast("timestamp")
    day_end = day + ibis.interval(days=1)
    stays = states.filter(
        days.contains(states.check_in_date)
        & (states.known_at >= day - ibis.interval(days=ON_THE_BOOKS.days))
        & (states.known_at < day_end)
        & (states.known_until.isnull() | (states.known_until >= day_end))
    )
    completed = _payments_of(stays, payments).filter(ibis._.status == "completed")
    first_paid = completed.group_by("booking_id").agg(paid_at=completed.payment_date.min())
    stays = stays.left_join(first_paid, "booking_id").drop("booking_id_right")
    held = ~cancelled(stays)
    is_paid = (stays.paid_at < stays.check_in_date.cast("timestamp") + ibis.interval(days=1)).fill_null(False)
    daily = stays.group_by("property_id", "check_in_date").agg(
        booking_count=stays.count(),
        confirmed_booking_count=stays.count(where=held),
        cancellation_count=stays.count(where=~held),
        total_booking_value=exact_sum(stays.total_amount, where=held).fill_null(0.0),
        total_guests=stays.guests_count.sum(where=held).fill_null(0),
        avg_nights_booked=stays.nights_booked.mean(where=held),
        payment_completion_rate=is_paid.cast("int64").mean(where=held),
    )
    daily = daily.mutate(avg_booking_value=daily.total_booking_value / daily.confirmed_booking_count.nullif(0))
    listing = dim_property.filter(dim_property.is_current).select("property_id", "destination_id")
    return daily.left_join(listing, "property_id").drop("property_id_right")


def _states(rows: Table, known_at: ibis.Value, created_at: ibis.Value) -> Table:
    return rows.select(
        "booking_id",
        "user_id",
        "property_id",
        "status",
        known_at=known_at,
        created_at=created_at,
        check_in_date=rows.check_in,
        check_out_date=rows.check_out,
        nights_booked=(rows.check_out - rows.check_in).cast("int64"),
        guests_count=rows.guests_count.cast("int64"),
        total_amount=rows.total_amount.cast("float64").round(2),
    )
