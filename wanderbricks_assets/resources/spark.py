"""Spark as an engine: a session of this process, or a Spark Connect server that SPARK_REMOTE names (sc://host:15002).

Where Ibis' translation gives other rows on Spark than on DuckDB, it is settled here and nowhere else.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import pyarrow as pa
import sqlglot.expressions as sge
from ibis.backends.pyspark import Backend
from ibis.backends.pyspark.datatypes import PySparkSchema, PySparkType
from ibis.backends.sql.compilers.base import SQLGlotCompiler
from ibis.backends.sql.compilers.pyspark import PySparkCompiler
from ibis.expr.schema import Schema
from ibis.formats.pyarrow import PyArrowData
from ibis.util import gen_name

from wanderbricks_assets.resources.engine import duckdb_engine

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame, SparkSession

# What queries mean, wherever they run.
MEANING = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",  # what overflows or does not parse is an error, not a null
}
# Files as DuckDB and Delta read and write them, and a table's partitions replaced one by one.
FILES = {
    "spark.sql.parquet.inferTimestampNTZ.enabled": "false",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.sources.partitionOverwriteMode": "dynamic",
}


def spark_session(folder: Path) -> SparkSession:
    """The one session: of the server that SPARK_REMOTE names, of the cluster that this runs on, or else a local one
    whose catalog and tables lie in `folder`."""
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # Python workers would start with another one
    on_databricks = "DATABRICKS_RUNTIME_VERSION" in os.environ
    builder = SparkSession.builder
    if not on_databricks and "SPARK_REMOTE" not in os.environ:
        os.environ.setdefault("SPARK_DRIVER_MEMORY", "2g")
        folder.mkdir(parents=True, exist_ok=True)
        for name, value in _local(folder).items():
            builder = builder.config(name, value)
    session = builder.getOrCreate()
    for name, value in (MEANING if on_databricks else MEANING | FILES).items():
        session.conf.set(name, value)
    return session


def _local(folder: Path) -> dict[str, str]:
    quiet = Path(__file__).with_name("log4j2.properties")
    return {
        "spark.master": os.environ.get("MASTER", "local[*]"),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={quiet.as_uri()} "
        f"-Dderby.stream.error.file={folder / 'derby.log'}",
        "spark.sql.warehouse.dir": str(folder / "tables"),
        # Spark's own catalog forgets its tables when the session ends; Hive's, in Derby, stays.
        "spark.sql.catalogImplementation": "hive",
        "spark.hadoop.javax.jdo.option.ConnectionURL": f"jdbc:derby:;databaseName={folder / 'catalog'};create=true",
        "spark.sql.shuffle.partitions": str(os.cpu_count() or 1),  # 200 of a few kilobytes each otherwise
    }


class Compiler(PySparkCompiler):
    """Ibis' translation to Spark SQL, with the rows of DuckDB."""

    __slots__ = ()

    # NaN is a number, and no null.
    visit_IsNull = SQLGlotCompiler.visit_IsNull
    visit_NotNull = SQLGlotCompiler.visit_NotNull

    def visit_Cast(self, op, *, arg, to):
        if to.is_json() and not op.arg.dtype.is_string():
            # With nulls, and times as they are printed.
            null_too = self.f.anon.map(sge.convert("ignoreNullFields"), sge.convert("false"))
            return self.f.to_json(self.cast(arg, _as_printed(op.arg.dtype)), null_too)
        if to.is_integer() and op.arg.dtype.is_floating():
            arg = self.f.anon.rint(arg)  # Spark cuts off
        elif to.is_integer() and op.arg.dtype.is_decimal():
            arg = self.f.round(arg, 0)
        elif to.is_decimal() and op.arg.dtype.is_floating():
            # From the binary value, as in visit_Round.
            unit = sge.convert(10.0**to.scale)
            arg = self.f.round(arg * unit, 0) / unit
        return super().visit_Cast(op, arg=arg, to=to)

    def visit_Round(self, op, *, arg, digits):
        if not op.arg.dtype.is_floating():
            return super().visit_Round(op, arg=arg, digits=digits)
        # Of the number in binary, as C does; Spark rounds what it prints: 1.005 to 1.01.
        unit = sge.convert(10.0 ** (op.digits.value if op.digits is not None else 0))
        rounded = self.f.round(arg * unit, 0) / unit
        return rounded if op.dtype.is_floating() else self.cast(rounded, op.dtype)

    def visit_Divide(self, op, *, left, right):
        # By zero as floats do it, infinite or NaN; Spark fails.
        by_zero = self.cast(left, dt.float64) * self.POS_INF
        if op.left.dtype.is_decimal():
            left = self.cast(left, dt.float64)
        quotient = sge.Div(this=sge.paren(left), expression=sge.paren(right))
        if isinstance(op.right, ops.Literal) and op.right.value != 0:
            return quotient
        return self.if_(right.eq(0), by_zero, quotient)

    def visit_ExtractEpochSeconds(self, op, *, arg):
        # With their fraction, as a float: Spark reads 1e6 as a decimal.
        return self.cast(self.f.anon.unix_micros(arg), dt.float64) / sge.convert(1e6)

    def visit_ArrayIndex(self, op, *, arg, index):
        # Null beyond the end; Spark fails.
        place = op.index.value + (op.index.value >= 0) if isinstance(op.index, ops.Literal) else index + 1
        return self.f.anon.try_element_at(arg, place if isinstance(place, sge.Expression) else sge.convert(place))


class SparkEngine(Backend):
    """Ibis' backend for Spark, with tables handed over as Arrow in both directions."""

    compiler = Compiler()

    @property
    def session(self) -> SparkSession:
        return self._session

    def read_files(self, files: Sequence[Path | str], hive_partitioning: bool = False) -> ibis.Table:
        """The rows of Parquet files; `hive_partitioning` adds the columns that their folders name."""
        root = {"basePath": str(Path(files[0]).parent.parent)} if hive_partitioning else {}
        rows = self._session.read.options(recursiveFileLookup=not hive_partitioning, **root).parquet(*map(str, files))
        name = gen_name("files")
        rows.createOrReplaceTempView(name)
        return self.table(name)

    def catalog_table(self, name: str) -> ibis.Table:
        """A table by its full name, `schema.table` or `catalog.schema.table`.

        Not `Backend.table`, which goes to its schema and back for each: six queries.
        """
        *catalog, schema, table = name.split(".")
        return ops.DatabaseTable(
            name=table,
            schema=Schema(PySparkType.to_ibis(self._session.table(name).schema)),
            source=self,
            namespace=ops.Namespace(catalog=catalog[0] if catalog else None, database=schema),
        ).to_expr()

    def rows(self, expr: ibis.Table) -> DataFrame:
        """An expression as Spark's own, not computed yet."""
        self._run_pre_execute_hooks(expr)
        return self._session.sql(self.compile(expr))

    def in_batches(
        self,
        rows: pa.Table,
        function: Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]],
        schema: ibis.Schema,
    ) -> ibis.Table:
        """What a function makes of batches of the rows, on the executors; `schema` is what it gives."""
        name = gen_name("batches")
        given = self._session.createDataFrame(_timed(rows, None))
        given.mapInArrow(function, PySparkSchema.from_ibis(schema)).createOrReplaceTempView(name)
        return self.table(name)

    def files_of(self, table: ops.DatabaseTable) -> list[str]:
        """The files of a table, as paths."""
        where = ".".join(part for part in (table.namespace.catalog, table.namespace.database, table.name) if part)
        return [unquote(urlparse(file).path) for file in self._session.table(where).inputFiles()]

    def _register_in_memory_table(self, op: ops.InMemoryTable) -> None:
        self._session.createDataFrame(_timed(op.data.to_pyarrow(op.schema), "UTC")).createOrReplaceTempView(op.name)

    def to_pyarrow(self, expr: ibis.Expr, /, *, params=None, limit=None, **options: object) -> pa.Table:
        self._run_pre_execute_hooks(expr)
        sql = self.compile(expr.as_table(), params=params, limit=limit, **options)
        return expr.__pyarrow_result__(self._session.sql(sql).toArrow(), data_mapper=PyArrowData)

    def execute(self, expr: ibis.Expr, /, **options: object) -> pd.DataFrame:
        """The frame that DuckDB makes of the same rows: dtypes of nulls, dates and lists differ otherwise."""
        rows = self.to_pyarrow(expr.as_table(), **options)
        return expr.__pandas_result__(duckdb_engine().execute(ibis.memtable(rows)))


def _as_printed(type_: dt.DataType) -> dt.DataType:
    """The type as DuckDB prints it: times as text, short decimals and floats as long floats."""
    if type_.is_struct():
        return dt.Struct({name: _as_printed(part) for name, part in type_.fields.items()})
    if type_.is_array():
        return dt.Array(_as_printed(type_.value_type))
    if type_.is_timestamp():
        return dt.string
    is_short = type_.is_float32() or (type_.is_decimal() and type_.precision <= 15)
    return dt.float64 if is_short else type_


def _timed(rows: pa.Table, zone: str | None) -> pa.Table:
    """Times in microseconds. With a zone, as Ibis reads them on Spark, they are of that zone; ours are UTC."""
    fields = [
        field.with_type(pa.timestamp("us", zone)) if pa.types.is_timestamp(field.type) else field
        for field in rows.schema
    ]
    return rows.cast(pa.schema(fields))


@cache
def spark_engine(folder: Path) -> SparkEngine:
    """This process's one Spark; `folder` holds the catalog and the tables of a local session."""
    engine = SparkEngine()
    engine.register_options()
    engine.do_connect(spark_session(folder))
    return engine
