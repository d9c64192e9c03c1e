"""The query engine that every table expression runs on: DuckDB in this process, or Spark (WANDERBRICKS_ENGINE)."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from wanderbricks_assets.lazy import Table, ibis, pa
from wanderbricks_assets.settings import settings

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend as DuckDB

    from wanderbricks_assets.resources.spark import SparkEngine


@cache
def duckdb_engine() -> DuckDB:
    """This process's one DuckDB."""
    # DuckDB's optimizer merges nested queries; that Ibis does so before takes half of the time in which it writes SQL.
    ibis.options.sql.fuse_selects = False
    engine = ibis.duckdb.connect()
    engine.raw_sql("SET TimeZone = 'UTC'")
    engine.raw_sql("SET enable_progress_bar = false")
    return engine


@cache
def engine() -> DuckDB | SparkEngine:
    """This process's one engine: tables of the lake and of the source can be joined only on the same connection."""
    if settings().engine == "duckdb":
        return duckdb_engine()
    if settings().profile == "databricks" and not settings().in_task and "SPARK_REMOTE" not in os.environ:
        raise OutOfReach(
            "Tables are in Unity Catalog, and this process has no way there: set SPARK_REMOTE to the Spark Connect "
            "address of a cluster (docs/databricks.md)"
        )
    from wanderbricks_assets.resources.spark import spark_engine

    spark = spark_engine(settings().spark_folder)
    ibis.set_backend(spark)  # tables in memory are computed there, too
    return spark


class OutOfReach(Exception):
    """Tables that this process cannot read; the message says what to set."""


class UnreadableFiles(Exception):
    """Files whose contents are damaged; the message names them."""


class NotAFile(Exception):
    """A file that is not what its name says; the message is the engine's."""


def read_parquet(files: Sequence[Path | str], hive_partitioning: bool = False, here: bool = False) -> Table:
    """The rows of files that have the columns of the first. `hive_partitioning` adds those that the folders name.

    `here`: on this process's DuckDB, whatever the engine is. Raises NotAFile when the first is no Parquet.
    """
    with _naming_what_is_no_file():
        if here or engine().name == "duckdb":
            return duckdb_engine().read_parquet(files, hive_partitioning=hive_partitioning)
        return engine().read_files(files, hive_partitioning)


def read_csv(file: Path | str, here: bool = False) -> Table:
    """The rows of a CSV file. DuckDB reads it on either engine: the types are guessed, and should be by one only."""
    with _naming_what_is_no_file():
        rows = duckdb_engine().read_csv(file)
        return rows if here or engine().name == "duckdb" else ibis.memtable(rows.to_pyarrow())


def computed(rows: Table) -> pa.Table:
    """The rows of an expression. Raises UnreadableFiles where the engine would only say that something does not
    decode."""
    with naming_damaged_files(rows):
        return rows.to_pyarrow()


@contextmanager
def naming_damaged_files(rows: Table) -> Iterator[None]:
    """Raise UnreadableFiles for an error that comes from files of these rows."""
    try:
        yield
    except _errors() as error:
        damaged = [file for file in _files_of(rows) if not _is_readable(file)]
        if not damaged:
            raise
        raise UnreadableFiles(
            f"{', '.join(damaged)} cannot be read: the contents are damaged ({str(error).splitlines()[0].strip()}). "
            "Bring the file back from where it came from; a table of the lake can be made anew (docs/runbook.md)"
        ) from error


@contextmanager
def _naming_what_is_no_file() -> Iterator[None]:
    try:
        yield
    except _errors() as error:
        raise NotAFile(str(error).splitlines()[0]) from error


def _errors() -> tuple[type[Exception], ...]:
    """What the engines of this process raise."""
    import duckdb

    if "pyspark" not in sys.modules:
        return (duckdb.Error,)
    from py4j.protocol import Py4JError  # as it comes from toArrow()
    from pyspark.errors import PySparkException

    return duckdb.Error, PySparkException, Py4JError


def _files_of(rows: Table) -> list[str]:
    tables = list(rows.op().find(ibis.expr.operations.DatabaseTable))
    if engine().name == "duckdb":
        names = {table.name for table in tables}
        views = duckdb_engine().raw_sql("SELECT view_name, sql FROM duckdb_views() WHERE NOT internal").fetchall()
        found = (re.findall(r"'([^']+\.parquet)'", sql) for name, sql in views if name in names)
    else:
        found = (engine().files_of(table) for table in tables)
    return sorted({file for files in found for file in files})


def _is_readable(file: str) -> bool:
    import pyarrow.parquet as pq

    try:
        pq.read_table(file, partitioning=None)
    except (OSError, pa.ArrowException):
        return False
    return True
