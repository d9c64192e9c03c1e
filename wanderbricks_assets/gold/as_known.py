"""Reading bookings as they were known at a moment: the one place that decides what could be known when."""

from __future__ import annotations

from datetime import datetime

from wanderbricks_assets.lazy import Table, ibis


def versions(history: Table) -> Table:
    """fact_booking_history with `known_until`: the moment the next state of the booking began; null for the latest."""
    following = ibis.window(group_by=history.booking_id, order_by=history.known_at)
    return history.mutate(known_until=history.known_at.lead().over(following))


def known_at(versions: Table, moment: ibis.Value | datetime) -> ibis.ir.BooleanValue:
    """Whether a version is the one that was known at a moment: a literal, or a column of the same table.

    What happens at the moment itself is not known yet: a day ends before its midnight.
    """
    return (versions.known_at < moment) & (versions.known_until.isnull() | (versions.known_until >= moment))


def bookings_as_known(history: Table, moment: datetime) -> Table:
    """One row per booking made before the moment, in the state it was in then."""
    rows = versions(history.filter(history.known_at < moment))
    return rows.filter(rows.known_until.isnull()).drop("known_until")


def bookings_made(history: Table, before: datetime | None = None) -> Table:
    """One row per booking, in the state in which it was made; only those made before a moment, if one is given."""
    made = history.filter(history.known_at == history.created_at)
    return made if before is None else made.filter(made.created_at < before)


def cancelled(bookings: Table) -> ibis.ir.BooleanValue:
    return bookings.status == "cancelled"
