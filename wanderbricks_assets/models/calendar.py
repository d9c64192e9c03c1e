"""Days counted from fixed ones, so that next week's origins and blocks are those of this week."""

from __future__ import annotations

from datetime import date, timedelta

from wanderbricks_assets.lazy import np, pd

FIRST_MONDAY = date(2000, 1, 3)  # of the millennium; origins, blocks and evaluated weeks are counted from it


def anchored(first: date, last: date, step: int) -> list[date]:
    """The days from `first` to `last`, both included, that are a multiple of `step` days from FIRST_MONDAY."""
    begin = first + timedelta(days=-(first - FIRST_MONDAY).days % step)
    return [begin + timedelta(days=days) for days in range(0, (last - begin).days + 1, step)]


def last_anchored(until: date, step: timedelta) -> date:
    """The last day, `until` included, that is a whole number of steps from FIRST_MONDAY."""
    return FIRST_MONDAY + (until - FIRST_MONDAY) // step * step


def days_since(first_day: date, days: pd.Series) -> np.ndarray:
    """[rows] whole days since the first day began."""
    return (days - pd.Timestamp(first_day)).dt.days.to_numpy()
