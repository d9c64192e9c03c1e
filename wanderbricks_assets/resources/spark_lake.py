"""The lake in a Spark catalog: the contract of `lake.Lake`, with tables in Delta where Spark has it, else in Parquet.

What is written is computed and stored by Spark's executors; no row passes through this process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from typing import TYPE_CHECKING, Literal, NamedTuple

from wanderbricks_assets.contracts.contract import Contract
from wanderbricks_assets.contracts.tables import LAKE
from wanderbricks_assets.lazy import Table, ibis
from wanderbricks_assets.resources.engine import engine, naming_damaged_files
from wanderbricks_assets.resources.lake import CannotWrite, Lake, check_kind, check_window, predicate
from wanderbricks_assets.resources.unity_catalog import create_table
from wanderbricks_assets.window import Window

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

PARTITION = "partition_day"  # the storage partition: the day of a row, so that windows of days are whole partitions
_WHOLE = "all"  # the one partition of a table without a time
_VERSION = "wanderbricks.version"


class _Found(NamedTuple):
    rows: int
    first: date | datetime | None
    last: date | datetime | None


class SparkLake(Lake):
    """Tables of the schema `database` (or `catalog.schema`) of the catalog of this process's Spark.

    Delta: a write is one commit, as in `Lake`. Parquet: once all new files are written, the partitions of the window's
    days are replaced one after the other. A process killed within these moments may leave a window half old and half
    new, or a day missing, until the write is repeated; whoever reads meanwhile may see the same or fail. Two processes
    may write different days of a table at once; of two that write hours of one day, or a table whole, one may be lost.
    """

    folder: str = ""
    database: str
    table_format: Literal["delta", "parquet"] = "parquet"

    @property
    def place(self) -> str:
        return self.database

    def read(self, name: str, window: Window | None = None) -> Table:
        contract = LAKE[name]
        if not self._is_there(name):
            return contract.conform(ibis.memtable(contract.empty()))
        rows = self._stored(name)
        if window:
            if self.table_format == "parquet":
                rows = rows.filter(_partitions(rows, window))
            rows = rows.filter(window.contains(rows[contract.time_column]))
        return contract.conform(rows)

    def replace(self, name: str, rows: Table, window: Window | None = None) -> int:
        contract = LAKE[name]
        check_kind(contract, whole=window is None)
        return self._write(contract, contract.conform(rows), window)

    def fill(self, name: str, rows_of: Callable[[Window], Table], window: Window) -> int:
        """Whole: the rows are the executors', not this process's."""
        return self.replace(name, rows_of(window), window)

    def revise(self, name: str, revision: Callable[[Table], Table]) -> int:
        """As in `Lake`, but not safe from another process that revises the same table at the same time."""
        contract = LAKE[name]
        check_kind(contract, whole=True)
        return self._write(contract, contract.conform(revision(self.read(name))), None)

    def tidy(self, name: str) -> int:
        """Nothing here: Parquet keeps no replaced files, and Unity Catalog vacuums its managed Delta tables itself."""
        return 0

    def append(self, name: str, rows: Table) -> int:
        contract = LAKE[name]
        if not contract.append_only:
            raise ValueError(f"{name} is written by window or whole, not appended to")
        if self.table_format == "delta":
            return self._commit_delta(contract, contract.conform(rows), None, "append")
        with self._computed_once(contract, contract.conform(rows)) as (held, found):
            self._insert(contract, held, overwrite=False)
        return found.rows

    def version(self, name: str) -> int | None:
        if not self._is_there(name):
            return None
        if self.table_format == "delta":
            return self._session.sql(f"DESCRIBE HISTORY {self._name(name)} LIMIT 1").first().version
        return int(self._session.sql(f"SHOW TBLPROPERTIES {self._name(name)} ('{_VERSION}')").first().value)

    def columns(self, name: str) -> dict[str, str]:
        if not self._is_there(name):
            return {}
        stored = engine().catalog_table(self._name(name)).schema()
        return {column: str(type_) for column, type_ in stored.items() if column != PARTITION}

    @property
    def _session(self) -> SparkSession:
        return engine().session

    def _name(self, name: str) -> str:
        return f"{self.database}.{name}"

    def _is_there(self, name: str) -> bool:
        return self._session.catalog.tableExists(self._name(name))

    def _stored(self, name: str) -> Table:
        if self.table_format == "parquet":
            self._session.catalog.refreshTable(self._name(name))  # another session may have written meanwhile
        return engine().catalog_table(self._name(name))

    def _create_table(self, contract: Contract) -> None:
        if self._is_there(contract.name):
            return
        if not self._session.catalog.databaseExists(self.database):  # Hive would log an error
            self._session.sql(f"CREATE SCHEMA IF NOT EXISTS {self.database}")
        if self.table_format == "delta":
            self._session.sql(create_table(contract, self.database))
            return
        types = engine().compiler.type_mapper
        columns = ", ".join(f"`{name}` {types.to_string(type_)}" for name, type_ in contract.schema.items())
        how = f"{columns}, `{PARTITION}` STRING) USING parquet PARTITIONED BY (`{PARTITION}`)"
        properties = f" TBLPROPERTIES ('{_VERSION}' = '0')"
        self._session.sql(f"CREATE TABLE IF NOT EXISTS {self._name(contract.name)} ({how}{properties}")

    def _write(self, contract: Contract, rows: Table, window: Window | None) -> int:
        if self.table_format == "delta":
            return self._commit_delta(contract, rows, window, "overwrite")
        return self._overwrite_partitions(contract, rows, window)

    def _commit_delta(self, contract: Contract, rows: Table, window: Window | None, mode: str) -> int:
        """One commit of Delta, which refuses rows outside of the window. The rows are counted on their way."""
        from pyspark.errors import PySparkException
        from pyspark.sql import Observation
        from pyspark.sql import functions as F

        seen = Observation()
        with naming_damaged_files(rows), self._saying_what_could_not_be_written(contract.name):
            self._create_table(contract)
            writer = engine().rows(rows).observe(seen, F.count(F.lit(1)).alias("rows")).write.format("delta").mode(mode)
            if window:
                writer = writer.option("replaceWhere", predicate(contract, window))
            try:
                if window or mode == "append":
                    writer.saveAsTable(self._name(contract.name))
                else:  # saveAsTable would make another table, without key and comments
                    writer.insertInto(self._name(contract.name), overwrite=True)
            except PySparkException as error:
                if error.getCondition() == "DELTA_REPLACE_WHERE_MISMATCH":
                    time = rows[contract.time_column]
                    [span] = rows.aggregate(first=time.min(), last=time.max()).to_pyarrow().to_pylist()
                    check_window(contract, span["first"], span["last"], window)
                raise
        return seen.get["rows"]

    def _overwrite_partitions(self, contract: Contract, rows: Table, window: Window | None) -> int:
        """Replace the partitions of the window. Rows of its first and last day outside of it are written again."""
        with self._computed_once(contract, rows) as (held, found):
            if window and found.rows:
                check_window(contract, found.first, found.last, window)
            self._insert(contract, held, overwrite=True, window=window)
        return found.rows

    def _insert(self, contract: Contract, rows: DataFrame, overwrite: bool, window: Window | None = None) -> None:
        with self._saying_what_could_not_be_written(contract.name):
            self._create_table(contract)
            beside = self._beside(contract, window)
            parts = self._in_partitions(contract, rows if beside is None else rows.unionByName(beside))
            written = {row[0] for row in parts.select(PARTITION).distinct().collect()}
            if written:
                parts.write.insertInto(self._name(contract.name), overwrite=overwrite)
            if overwrite:
                self._drop(contract, self._there(contract, window) - written)
            number = (self.version(contract.name) or 0) + 1
            self._session.sql(f"ALTER TABLE {self._name(contract.name)} SET TBLPROPERTIES ('{_VERSION}' = '{number}')")

    def _beside(self, contract: Contract, window: Window | None) -> DataFrame | None:
        """The rows that lie in partitions of the window, but not in it; None where windows are of whole days."""
        if window is None or window == _whole_days(window):
            return None
        stored = self._stored(contract.name)
        beside = stored.filter(_partitions(stored, window), ~window.contains(stored[contract.time_column]))
        return engine().rows(contract.conform(beside))

    def _in_partitions(self, contract: Contract, rows: DataFrame) -> DataFrame:
        """The rows with their partition, one file each, in order."""
        from pyspark.sql import functions as F

        if contract.time_column is None:
            return rows.withColumn(PARTITION, F.lit(_WHOLE)).coalesce(1)
        keys = [key for key in contract.key if key != contract.time_column]
        day = F.date_format(contract.time_column, "yyyy-MM-dd")
        parts = rows.withColumn(PARTITION, day).repartition(PARTITION)
        return parts.sortWithinPartitions(PARTITION, contract.time_column, *keys)

    def _there(self, contract: Contract, window: Window | None) -> set[str]:
        """The partitions there are of the window."""
        found = self._session.sql(f"SHOW PARTITIONS {self._name(contract.name)}").collect()
        parts = {row[0].removeprefix(f"{PARTITION}=") for row in found}
        if window is None:
            return parts
        first = "" if window.opens else f"{window.first_day}"
        return {part for part in parts if first <= part <= f"{window.last_day}"}

    def _drop(self, contract: Contract, parts: set[str]) -> None:
        if parts:
            which = ", ".join(f"PARTITION (`{PARTITION}` = '{part}')" for part in sorted(parts))
            self._session.sql(f"ALTER TABLE {self._name(contract.name)} DROP IF EXISTS {which}")

    @contextmanager
    def _computed_once(self, contract: Contract, rows: Table) -> Iterator[tuple[DataFrame, _Found]]:
        """The rows, kept by the executors, and what was found in them: they are looked at before they are written."""
        from pyspark.sql import functions as F

        held = engine().rows(rows).persist()
        time = F.col(contract.time_column or contract.key[0])
        try:
            with naming_damaged_files(rows):
                # Not collect(), which gives times in the zone of this machine.
                found = (F.count(F.lit(1)).alias("rows"), F.min(time).alias("first"), F.max(time).alias("last"))
                [span] = held.agg(*found).toArrow().to_pylist()
            yield held, _Found(**span)
        finally:
            held.unpersist()

    @contextmanager
    def _saying_what_could_not_be_written(self, name: str) -> Iterator[None]:
        from pyspark.errors import PySparkException

        try:
            yield
        except PySparkException as error:
            raise CannotWrite(
                f"{self._name(name)} could not be written: {error}. Look whether the disk is full and the catalog's "
                "folder may be written to; then run again"
            ) from error


def _whole_days(window: Window) -> Window:
    return Window.of_days(window.first_day, window.last_day, window.opens)


def _partitions(rows: Table, window: Window) -> ibis.ir.BooleanValue:
    """The partitions of a window: Spark opens no file of others."""
    part = rows[PARTITION]
    until = part <= f"{window.last_day}"
    return until if window.opens else (part >= f"{window.first_day}") & until
