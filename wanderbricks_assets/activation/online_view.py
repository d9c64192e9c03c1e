"""The online view: one SQLite file with what the product API looks up, so that no request computes a feature.

It is written whole beside the one in use and then put in its place: a reader sees the old view or the new one.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic_core import from_json, to_json

_TABLES = {
    "about": "name TEXT PRIMARY KEY, said TEXT",
    "revenue": "ds TEXT PRIMARY KEY, yhat REAL, yhat_lower REAL, yhat_upper REAL",
    "demand": "property_id INTEGER, ds TEXT, expected_bookings REAL, PRIMARY KEY (property_id, ds)",
    "destination_demand": "destination_id INTEGER, ds TEXT, expected_bookings REAL, PRIMARY KEY (destination_id, ds)",
    "price": "property_id INTEGER, target_date TEXT, current_price REAL, recommended_price REAL, expected_demand REAL, "
    "expected_revenue REAL, reason TEXT, PRIMARY KEY (property_id, target_date)",
    "customer": "user_id INTEGER PRIMARY KEY, predicted_ltv_12m REAL, confidence_interval TEXT, ltv_segment TEXT, "
    "churn_risk TEXT, recommended_actions TEXT",
    "property": "property_id INTEGER PRIMARY KEY, listing TEXT",
    "destination": "destination_id INTEGER PRIMARY KEY, destination TEXT, country TEXT",
    "user": "user_id INTEGER PRIMARY KEY, visitor TEXT, looks TEXT",
}
_JSON = frozenset({"said", "confidence_interval", "recommended_actions", "listing", "visitor", "looks"})


def write_view(file: Path, tables: Mapping[str, Iterable[tuple]]) -> None:
    """Replace the view by these rows, each with the columns of its table; a table that is not given is empty.

    Killed at any moment, it leaves the old file or the new one.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(beside, isolation_level=None)) as view:
            # Nobody reads the file before it is whole.
            view.execute("PRAGMA journal_mode = OFF")
            view.execute("PRAGMA synchronous = OFF")
            view.execute("BEGIN")
            for name, columns in _TABLES.items():
                view.execute(f"CREATE TABLE {name} ({columns}) WITHOUT ROWID")
                rows = iter(tables.get(name, ()))
                first = next(rows, None)
                if first is not None:
                    insert = f"INSERT INTO {name} VALUES ({', '.join('?' * len(first))})"
                    view.execute(insert, first)
                    view.executemany(insert, rows)
            view.execute("COMMIT")
        with beside.open("rb") as written:
            os.fsync(written.fileno())
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)


def said(value: object) -> str:
    """A value as JSON, in which NaN stays NaN."""
    return to_json(value, inf_nan_mode="constants").decode()


class OnlineView:
    """The view in a file that is replaced now and then. For use in one thread."""

    def __init__(self, file: Path):
        self._file = file
        self._open: tuple[tuple[int, int], Snapshot] | None = None

    def snapshot(self) -> Snapshot | None:
        """The view as it stands; None before there is one. It is closed when a newer one is asked for and found."""
        try:
            state = os.stat(self._file)
        except FileNotFoundError:
            return None
        identity = (state.st_ino, state.st_mtime_ns)
        if self._open is None or self._open[0] != identity:
            self.close()
            self._open = (identity, Snapshot(self._file))
        return self._open[1]

    def close(self) -> None:
        if self._open is not None:
            self._open[1].close()
            self._open = None


class Snapshot:
    """One state of the view. Rows are mappings of columns to values, their JSON read; dates are ISO text."""

    def __init__(self, file: Path):
        # Immutable: the file of a snapshot is never written again, so it needs no locks.
        self._view = sqlite3.connect(f"{file.as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False)
        self._view.row_factory = sqlite3.Row

    def close(self) -> None:
        self._view.close()

    def about(self, name: str) -> dict[str, Any] | None:
        """What is known of the newest predictions of a model (model_version, prediction_date, first and last day), or
        of "features" (moment); None where there are none."""
        return self._about.get(name)

    def one(self, table: str, **key: object) -> dict[str, Any] | None:
        """The row of a key, or None."""
        found = self._view.execute(f"SELECT * FROM {table} WHERE {_conditions(key)}", tuple(key.values())).fetchone()
        return _read(found) if found else None

    def days(self, table: str, start: date, end: date, **key: object) -> list[dict[str, Any]]:
        """The rows of a key from one `ds` to another, both included, in order."""
        where = " AND ".join([*([_conditions(key)] if key else []), "ds BETWEEN ? AND ?"])
        rows = self._view.execute(
            f"SELECT * FROM {table} WHERE {where} ORDER BY ds", (*key.values(), start.isoformat(), end.isoformat())
        )
        return [_read(row) for row in rows]

    def first(self, table: str) -> dict[str, Any] | None:
        """Some row, for examples."""
        found = self._view.execute(f"SELECT * FROM {table} LIMIT 1").fetchone()
        return _read(found) if found else None

    @cached_property
    def _about(self) -> dict[str, dict[str, Any]]:
        return {name: from_json(value) for name, value in self._view.execute("SELECT name, said FROM about")}


def _conditions(key: Mapping[str, object]) -> str:
    return " AND ".join(f"{name} = ?" for name in key)


def _read(row: sqlite3.Row) -> dict[str, Any]:
    return {name: from_json(row[name]) if name in _JSON and row[name] else row[name] for name in row.keys()}  # noqa: SIM118
