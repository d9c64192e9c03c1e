"""The query engine that every table expression runs on."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from wanderbricks_assets.lazy import Table, ibis, pa

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend


@cache
def duckdb_engine() -> Backend:
    """This process's one DuckDB: tables of the lake and of the source can be joined only on the same connection."""
    engine = ibis.duckdb.connect()
    engine.raw_sql("SET TimeZone = 'UTC'")
    engine.raw_sql("SET enable_progress_bar = false")
    return engine


class UnreadableFiles(Exception):
    """Files whose contents are damaged; the message names them."""


def computed(rows: Table) -> pa.Table:
    """The rows of an expression. Raises UnreadableFiles where DuckDB would only say that something does not decode."""
    from duckdb import Error

    try:
        return rows.to_pyarrow()
    except Error as error:
        damaged = [file for file in _files_of(rows) if not _is_readable(file)]
        if not damaged:
            raise
        raise UnreadableFiles(
            f"{', '.join(damaged)} cannot be read: the contents are damaged ({str(error).splitlines()[0].strip()}). "
            "Bring the file back from where it came from; a table of the lake can be made anew (docs/runbook.md)"
        ) from error


def _files_of(rows: Table) -> list[str]:
    tables = {table.name for table in rows.op().find(ibis.expr.operations.DatabaseTable)}
    views = duckdb_engine().raw_sql("SELECT view_name, sql FROM duckdb_views() WHERE NOT internal").fetchall()
    found = (re.findall(r"'([^']+\.parquet)'", sql) for name, sql in views if name in tables)
    return sorted({file for files in found for file in files})


def _is_readable(file: str) -> bool:
    import pyarrow.parquet as pq

    try:
        pq.read_table(file, partitioning=None)
    except (OSError, pa.ArrowException):
        return False
    return True
