"""The lake in Spark's catalog: what is true of it beside what `test_lake` demands of every lake."""

import subprocess
import sys
import textwrap
import uuid
from pathlib import Path

import ibis
import pytest

from wanderbricks_assets.contracts.features import PROPERTY_FEATURES
from wanderbricks_assets.contracts.gold import DIM_HOST
from wanderbricks_assets.resources.engine import UnreadableFiles
from wanderbricks_assets.resources.engine import engine as current_engine
from wanderbricks_assets.resources.lake import CannotWrite
from wanderbricks_assets.resources.spark_lake import PARTITION, SparkLake
from wanderbricks_assets.window import Window
from wanderbricks_assets_tests import engines
from wanderbricks_assets_tests.marketplace import at, day, table_of


@pytest.fixture(scope="module", autouse=True)
def on_spark():
    engines.use("spark")
    yield
    engines.use("duckdb")


@pytest.fixture
def lake() -> SparkLake:
    return SparkLake(database=f"lake_{uuid.uuid4().hex}")


def january(*photos: int, start: str = "2024-01-01") -> ibis.Table:
    rows = [
        {"property_id": key, "feature_date": day(start), "photos_count": count, "available_at": at(start)}
        for key, count in enumerate(photos)
    ]
    return table_of(PROPERTY_FEATURES, *rows)


JANUARY = Window.of_days(day("2024-01-01"), day("2024-01-31"))


def partitions(lake: SparkLake, name: str) -> list[str]:
    rows = current_engine().session.sql(f"SHOW PARTITIONS {lake.database}.{name}").collect()
    return sorted(row[0].removeprefix(f"{PARTITION}=") for row in rows)


def test_each_day_is_a_partition_and_days_without_rows_have_none(lake: SparkLake):
    rows = january(1, 2).union(january(3, start="2024-01-09"))
    lake.replace("property_features", rows, JANUARY)
    assert partitions(lake, "property_features") == ["2024-01-01", "2024-01-09"]
    lake.replace("property_features", january(4, start="2024-01-09"), JANUARY)
    assert partitions(lake, "property_features") == ["2024-01-09"]
    assert lake.version("property_features") == 2


def test_reading_a_window_reads_its_partitions_only(lake: SparkLake):
    lake.replace("property_features", january(1).union(january(3, start="2024-01-09")), JANUARY)
    ninth = lake.read("property_features", Window.of_days(day("2024-01-09"), day("2024-01-10")))
    [plan] = [row[0] for row in current_engine().session.sql(f"EXPLAIN {ibis.to_sql(ninth)}").collect()]
    assert "PartitionFilters: [isnotnull" in plan
    assert "2024-01-09" in plan.split("PartitionFilters:")[1].split("]")[0]


def test_what_cannot_be_written_is_named_with_its_table(lake: SparkLake):
    current_engine().session.sql(f"CREATE SCHEMA {lake.database}")
    current_engine().session.sql(f"CREATE VIEW {lake.database}.dim_host AS SELECT 1 AS host_id")
    with pytest.raises(CannotWrite, match=rf"{lake.database}.dim_host could not be written"):
        lake.replace("dim_host", table_of(DIM_HOST, {"host_id": 1, "property_count": 2}))


def test_a_file_that_is_damaged_is_named_and_nothing_is_written(lake: SparkLake):
    lake.replace("property_features", january(1, 2), JANUARY)
    rows = lake.read("property_features")
    [file] = current_engine().files_of(rows.op().find_topmost(ibis.expr.operations.DatabaseTable)[0])
    Path(file).write_bytes(b"not Parquet")
    with pytest.raises(UnreadableFiles, match=f"^{file} cannot be read: the contents are damaged"):
        lake.replace("property_features", rows, JANUARY)
    assert lake.version("property_features") == 1


def test_tables_outlive_the_session_that_wrote_them(tmp_path: Path):
    """Each in a process of its own, as `wanderbricks run` and `wanderbricks backtest` are."""
    write = """
        from wanderbricks_assets_tests.resources.test_spark_lake import JANUARY, SparkLake, january
        lake = SparkLake(database="kept")
        print(lake.replace("property_features", january(1, 2, 3), JANUARY))
    """
    read = """
        from wanderbricks_assets_tests.resources.test_spark_lake import SparkLake
        lake = SparkLake(database="kept")
        print(lake.version("property_features"), lake.read("property_features").photos_count.sum().to_pyarrow())
    """
    assert [answer(tmp_path, write), answer(tmp_path, read)] == ["3", "1 6"]


def answer(home: Path, code: str) -> str:
    environment = {"PATH": "/usr/bin:/bin", "WANDERBRICKS_HOME": str(home), "WANDERBRICKS_ENGINE": "spark"}
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()
