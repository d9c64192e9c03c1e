"""The gold and feature assets, materialized by Dagster itself: one run of a range equals a run per partition."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from wanderbricks_assets.contracts.tables import LAKE
from wanderbricks_assets.features import assets as features
from wanderbricks_assets.gold import assets as gold
from wanderbricks_assets.resources.lake import Lake, LakeIOManager
from wanderbricks_assets.resources.source import FilesSource, SourceIOManager
from wanderbricks_assets.resources.spark_lake import SparkLake
from wanderbricks_assets.source.assets import SOURCE_ASSETS
from wanderbricks_assets.window import Window
from wanderbricks_assets_tests import engines
from wanderbricks_assets_tests.marketplace import assert_same, at, day, deliver, random_marketplace
from wanderbricks_assets_tests.whole_pipeline import DAILY, compute, compute_dimensions, rows_of

BEFORE_DAYS = ("dim_property", "dim_user", "dim_destination", "dim_host", "quarantine_without_day")
WITHOUT_DAYS = (*BEFORE_DAYS, "dim_date")  # the calendar is that of the bookings
DAILY_ASSETS = (*DAILY, "quarantine")
DAYS = ("2024-01-01", "2024-01-02", "2024-01-03")
HOURS = tuple(f"2024-01-01-{hour:02}:00" for hour in range(4))


@dataclass
class Installation:
    lake: Lake
    source: FilesSource
    instance: dg.DagsterInstance

    def materialize(self, *names: str, partition: str | None = None, range_: tuple[str, str] | None = None) -> None:
        names_of_range = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
        result = dg.materialize(
            [*SOURCE_ASSETS, *dg.load_assets_from_modules([gold, features])],
            selection=list(names),
            instance=self.instance,
            resources={
                "lake": self.lake,
                "source": self.source,
                "io_manager": LakeIOManager(lake=self.lake),
                "source_io": SourceIOManager(source=self.source),
            },
            partition_key=partition,
            tags=dict(zip(names_of_range, range_, strict=True)) if range_ else None,
        )
        assert result.success


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> FilesSource:
    folder = tmp_path_factory.mktemp("source")
    deliver(folder, random_marketplace(seed=10), None, day("2024-01-05"))
    return FilesSource(folder=str(folder))


def installed(lake: Lake, source: FilesSource) -> Iterator[Installation]:
    with dg.DagsterInstance.ephemeral() as instance:
        installation = Installation(lake, source, instance)
        installation.materialize(*BEFORE_DAYS)
        yield installation


@pytest.fixture(scope="module")
def in_one_run(tmp_path_factory: pytest.TempPathFactory, source: FilesSource) -> Iterator[Installation]:
    for installation in installed(Lake(folder=str(tmp_path_factory.mktemp("in_one_run"))), source):
        installation.materialize(*DAILY_ASSETS, range_=(DAYS[0], DAYS[-1]))
        installation.materialize("dim_date")
        installation.materialize("engagement_features", range_=(HOURS[0], HOURS[-1]))
        yield installation


@pytest.fixture
def on_spark(in_one_run: Installation) -> Iterator[Installation]:
    """The same run, computed by Spark into its catalog."""
    engines.use("spark")
    for installation in installed(SparkLake(database="in_one_run"), in_one_run.source):
        installation.materialize(*DAILY_ASSETS, range_=(DAYS[0], DAYS[-1]))
        installation.materialize("dim_date")
        installation.materialize("engagement_features", range_=(HOURS[0], HOURS[-1]))
        yield installation
    engines.use("duckdb")


@pytest.fixture(scope="module")
def in_many_runs(tmp_path_factory: pytest.TempPathFactory, source: FilesSource) -> Iterator[Installation]:
    for installation in installed(Lake(folder=str(tmp_path_factory.mktemp("in_many_runs"))), source):
        for of in DAYS:
            installation.materialize(*DAILY_ASSETS, partition=of)
        installation.materialize("dim_date")
        for of in DAYS[:-1]:  # the days after changed bookings made on these
            installation.materialize("fact_booking_detail", partition=of)
        for hour in HOURS:
            installation.materialize("engagement_features", partition=hour)
        yield installation


@pytest.mark.parametrize("name", [*WITHOUT_DAYS, *DAILY_ASSETS, "engagement_features"])
def test_one_run_of_a_range_gives_what_a_run_per_partition_gives(
    name: str, in_one_run: Installation, in_many_runs: Installation
):
    assert_same(rows_of(in_one_run.lake, name), rows_of(in_many_runs.lake, name))


def test_a_home_on_spark_holds_what_a_home_on_duckdb_does(in_one_run: Installation, on_spark: Installation):
    found = {name: rows_of(on_spark.lake, name) for name in (*WITHOUT_DAYS, *DAILY_ASSETS, "engagement_features")}
    engines.use("duckdb")
    for name, rows in found.items():
        assert_same(rows, rows_of(in_one_run.lake, name))


def test_the_assets_give_what_their_transforms_give(in_one_run: Installation, tmp_path: Path):
    """So the inputs reach back as far as they must."""
    lake, days = Lake(folder=str(tmp_path)), Window.of_days(day(DAYS[0]), day(DAYS[-1]), opens=True)
    compute_dimensions(lake, in_one_run.source)
    for name in DAILY:
        if name == "fact_booking_history":
            compute(name, lake, in_one_run.source, days)
        elif name != "fact_booking_detail":
            compute(name, lake, in_one_run.source, days)
            assert_same(rows_of(in_one_run.lake, name), rows_of(lake, name))
    hours = Window(at("2024-01-01 00:00"), at("2024-01-01 04:00"))
    compute("engagement_features", lake, in_one_run.source, hours)
    assert_same(rows_of(in_one_run.lake, "engagement_features"), rows_of(lake, "engagement_features"))


def test_the_first_day_holds_what_came_before_it_and_the_first_hour_does_not(in_one_run: Installation):
    assert rows_of(in_one_run.lake, "fact_booking_history").known_at.min() < at("2023-12-17")
    assert rows_of(in_one_run.lake, "engagement_features").feature_hour.min() == at("2024-01-01 00:00")


def test_every_materialization_says_how_many_rows_it_wrote(in_one_run: Installation, in_many_runs: Installation):
    key = dg.AssetKey("property_features")
    single = in_many_runs.instance.get_latest_materialization_event(key).asset_materialization
    assert single.partition == DAYS[-1]
    assert single.metadata["dagster/partition_row_count"].value == 6
    ranged = in_one_run.instance.get_latest_materialization_event(key).asset_materialization
    assert ranged.metadata["rows_of_all_partitions_in_this_run"].value == 18
    assert in_one_run.instance.get_materialized_partitions(key) == set(DAYS)
    whole = in_one_run.instance.get_latest_materialization_event(dg.AssetKey("dim_destination")).asset_materialization
    assert whole.metadata["dagster/row_count"].value == 2


def test_every_gold_and_feature_table_has_an_asset():
    assets = dg.load_assets_from_modules([gold, features])
    keys = {key.to_user_string() for asset in assets for key in asset.keys}
    assert keys == {*WITHOUT_DAYS, *DAILY_ASSETS, "engagement_features"}
    assert keys <= set(LAKE)


def test_quarantined_rows_of_a_day_are_told(in_one_run: Installation):
    rows = rows_of(in_one_run.lake, "quarantine")
    assert set(rows.source_table) >= {"bookings", "payments", "page_views", "clickstream"}
    assert rows.reason.str.contains("repeated").any()
