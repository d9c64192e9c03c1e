"""Source tables of a catalog, as those of `samples.wanderbricks`."""

import uuid

import ibis
import pytest

from wanderbricks_assets.contracts.source import SOURCE
from wanderbricks_assets.resources.catalog_source import CatalogSource
from wanderbricks_assets.resources.engine import engine as current_engine
from wanderbricks_assets.resources.source import SourceError
from wanderbricks_assets.window import Window
from wanderbricks_assets_tests import engines
from wanderbricks_assets_tests.marketplace import arrow_of, day, user, view


@pytest.fixture(scope="module", autouse=True)
def on_spark():
    engines.use("spark")
    yield
    engines.use("duckdb")


@pytest.fixture(scope="module")
def source(on_spark: None) -> CatalogSource:
    """Views of two days and one without a time; users that lack a column."""
    database = f"spark_catalog.marketplace_{uuid.uuid4().hex}"
    views = [
        view(1, "2024-01-02 10:00"),
        view(2, "2024-01-03 10:00"),
        view(3, "2024-01-03 11:00") | {"timestamp": None},
    ]
    tables = {"page_views": arrow_of(SOURCE["page_views"], views), "users": arrow_of(SOURCE["users"], [user(7)])}
    tables["users"] = tables["users"].drop_columns("country")
    spark = current_engine()
    spark.session.sql(f"CREATE SCHEMA {database}")
    for name, rows in tables.items():
        spark.rows(ibis.memtable(rows)).write.saveAsTable(f"{database}.{name}")
    return CatalogSource(database=database)


def test_a_window_of_a_table_holds_its_rows_in_the_types_of_the_contract(source: CatalogSource):
    rows = source.read("page_views", Window.of_days(day("2024-01-03"), day("2024-01-03")))
    assert rows.schema() == SOURCE["page_views"].schema
    assert rows.to_pyarrow()["view_id"].to_pylist() == [2]


def test_a_row_without_a_time_is_of_no_day(source: CatalogSource):
    (row,) = source.undated("page_views").to_pyarrow().to_pylist()
    assert (row["view_id"], row["day"]) == (3, None)
    window = Window.of_days(day("2024-01-01"), day("2024-01-05"))
    assert source.undated("page_views", window).count().to_pyarrow().as_py() == 0


def test_a_table_that_is_not_there_is_empty_unless_it_is_required(source: CatalogSource):
    assert not source.has("hosts")
    assert source.columns("hosts") == {}
    assert source.read("hosts").count().to_pyarrow().as_py() == 0
    with pytest.raises(SourceError, match="no table bookings, which is required"):
        source.read("bookings")


def test_a_missing_column_is_told_with_the_tables_full_name(source: CatalogSource):
    assert "email" in source.columns("users")
    with pytest.raises(SourceError, match=r"spark_catalog\.marketplace_\w+\.users: column 'country' is missing"):
        source.read("users")
