"""What came before each row: counts, sums and the latest of the earlier events of its group, by binary search.

Range windows and as-of joins of SQL say the same, at several times the cost; the rows that a model learns from are in
memory anyway.
"""

from __future__ import annotations

from datetime import timedelta

from wanderbricks_assets.contracts.contract import Contract
from wanderbricks_assets.lazy import Columns, Table, np, pd


class Past:
    """For each row, the events of its group that lie before it.

    rows, events: columns `by` of codes that name the group (none: all are one), and a timestamp `at`. Times
    count in whole seconds, on the cautious side: an event in the second of the row is not before it. With `or_at`, an
    event at the very moment of the row counts, too.
    """

    def __init__(self, rows: Columns, events: Columns, by: list[str], or_at: bool = False):
        begun = np.asarray(rows["at"]).astype("datetime64[s]")
        happened = np.asarray(events["at"])
        whole = happened.astype("datetime64[s]")
        happened = whole + (happened > whole) if or_at else whole
        second = np.concatenate([begun, happened]).astype("int64")
        second -= second.min(initial=2**62)
        self._reach = int(second.max(initial=0)) + 1
        group = np.zeros(len(second), "int64")
        for key in by:
            code = pd.factorize(np.concatenate([np.asarray(rows[key]), np.asarray(events[key])]))[0]
            group = pd.factorize(group * (code.max(initial=0) + 2) + code)[0]
        # One number that grows with group and second, the groups further apart than any span.
        place = group * 2 * self._reach + second
        self._row, self._event = place[: len(begun)], place[len(begun) :]
        self._order = np.argsort(self._event, kind="stable")
        self._event = self._event[self._order]
        self._behind = np.searchsorted(self._event, self._row, side="right" if or_at else "left")

    def count(self, span: timedelta | None = None) -> np.ndarray:
        """[rows] how many events there were, at most `span` earlier."""
        return self._behind - self._first(span)

    def sum(self, value: np.ndarray, span: timedelta | None = None) -> np.ndarray:
        """[rows] the sum of an [events] value, integer or boolean: sums of floats would depend on other groups."""
        so_far = np.concatenate([[0], np.cumsum(value[self._order])])
        return so_far[self._behind] - so_far[self._first(span)]

    def first(self, span: timedelta | None = None) -> np.ndarray:
        """[rows] the position in `events` of the first, at most `span` earlier; -1 where there is none."""
        first = self._first(span)
        return self._position(first, self._behind > first)

    def latest(self, span: timedelta | None = None) -> np.ndarray:
        """[rows] the position in `events` of the last, at most `span` earlier; -1 where there is none."""
        return self._position(self._behind - 1, self._behind > self._first(span))

    def hours_since(self, position: np.ndarray) -> np.ndarray:
        """[rows] hours from the event at a position that `first` or `latest` gave; NaN for -1."""
        happened = np.empty_like(self._event)
        happened[self._order] = self._event
        since = np.full(len(position), np.nan)
        found = position >= 0
        since[found] = (self._row[found] - happened[position[found]]) / 3600
        return since

    def _first(self, span: timedelta | None) -> np.ndarray:
        reach = self._reach if span is None else min(int(span.total_seconds()), self._reach)
        return np.searchsorted(self._event, self._row - reach)

    def _position(self, place: np.ndarray, found: np.ndarray) -> np.ndarray:
        position = np.full(len(place), -1)
        position[found] = self._order[place[found]]
        return position


def in_memory(rows: Table) -> pd.DataFrame:
    """The rows as a frame, strings as categories: pandas makes an object of every single string otherwise."""
    return rows.to_pyarrow().to_pandas(strings_to_categorical=True)


def taken(events: pd.DataFrame, position: np.ndarray) -> pd.DataFrame:
    """The events at the positions, one per row; missing values where a position is -1."""
    return events.set_axis(pd.RangeIndex(len(events))).reindex(position).reset_index(drop=True)


def known_at(
    rows: pd.DataFrame, features: Table, contract: Contract, names: list[str], time_to_live: timedelta | None = None
) -> pd.DataFrame:
    """What `point_in_time.as_of` adds to rows, for rows that are in memory: the named features of the entity as they
    were available at `at`."""
    entity = contract.key[0]
    events = in_memory(features.select(entity, *names, at="available_at"))
    past = Past(rows, events, [entity], or_at=True)
    latest = past.latest(time_to_live)
    found = taken(events, latest)
    age = (rows["at"].dt.normalize().to_numpy() - found["at"].dt.normalize().to_numpy()) / np.timedelta64(1, "D")
    grows = {column.name for column in contract.columns if column.grows_daily}
    return pd.DataFrame({name: found[name] + age if name in grows else found[name] for name in names})
