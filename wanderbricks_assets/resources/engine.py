"""The query engine that every table expression runs on."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from wanderbricks_assets.lazy import ibis

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend


@cache
def duckdb_engine() -> Backend:
    """This process's one DuckDB: tables of the lake and of the source can be joined only on the same connection."""
    engine = ibis.duckdb.connect()
    engine.raw_sql("SET TimeZone = 'UTC'")
    engine.raw_sql("SET enable_progress_bar = false")
    return engine
