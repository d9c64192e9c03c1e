"""The span of time that a run covers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from wanderbricks_assets.lazy import ibis

# A stay may have been booked two years ahead, and changed at any time since: how far back the books are looked into.
# Of each row, whatever else its run covers: a day says the same alone and in a range.
ON_THE_BOOKS = timedelta(days=3 * 365)


@dataclass(frozen=True)
class Window:
    """Half open, [start, end), naive UTC. `opens` marks the first partition of a series, which also holds all that came
    before it: bookings made before the first day are on the books of the first day."""

    start: datetime
    end: datetime
    opens: bool = False

    @classmethod
    def of_days(cls, first: date, last: date, opens: bool = False) -> Window:
        """The days `first` to `last`, both included."""
        return cls(midnight(first), midnight(last) + timedelta(days=1), opens)

    @property
    def first_day(self) -> date:
        return self.start.date()

    @property
    def last_day(self) -> date:
        return (self.end - timedelta(microseconds=1)).date()

    def contains(self, column: ibis.Value) -> ibis.ir.BooleanValue:
        """The rows of this window: a predicate on a date or timestamp column."""
        start, end = ibis.literal(self.start), ibis.literal(self.end)
        if column.type().is_date():
            start, end = ibis.literal(self.first_day), ibis.literal(self.last_day + timedelta(days=1))
        return (column < end) if self.opens else (column >= start) & (column < end)

    def back(self, **span: float) -> Window:
        """The same window, begun earlier: `window.back(days=30)`."""
        return Window(self.start - timedelta(**span), self.end, self.opens)


def midnight(day: date) -> datetime:
    return datetime.combine(day, time())


def naive_utc(moment: datetime) -> datetime:
    """A moment as it is kept everywhere here; one without a time zone is so already."""
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def add_days(day: ibis.Value, days: int | ibis.Value) -> ibis.ir.DateValue:
    """The date so many days later. DuckDB's date + interval is a timestamp, which Ibis believes to be a date."""
    span = days.as_interval("D") if isinstance(days, ibis.Value) else ibis.interval(days=days)
    return (day.cast("timestamp") + span).date()
