"""The check that tells how much of the source was not believed, on real files and a real Delta table."""

from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq
import pytest

from wanderbricks_assets.contracts.source import SOURCE
from wanderbricks_assets.gold import assets
from wanderbricks_assets.models.registry import ModelRegistry
from wanderbricks_assets.monitoring.evaluations import asset_checks
from wanderbricks_assets.monitoring.quarantine_suites import FEW_ROWS, QUARANTINE_SUITES
from wanderbricks_assets.resources.lake import Lake, LakeIOManager
from wanderbricks_assets.resources.source import FilesSource, SourceIOManager
from wanderbricks_assets.source.assets import SOURCE_ASSETS
from wanderbricks_assets_tests.marketplace import arrow_of, payment, user, view


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with an empty table for each that is required."""
    for name, contract in SOURCE.items():
        if contract.required:
            write(tmp_path, name)
    return tmp_path


def write(folder: Path, name: str, *rows: dict) -> None:
    pq.write_table(arrow_of(SOURCE[name], rows), folder / f"{name}.parquet")


def checked(folder: Path, asset: dg.AssetsDefinition, day: str | None = None) -> dg.AssetCheckEvaluation:
    """The verdict of the check, after the asset has written its table."""
    source, lake = FilesSource(folder=str(folder)), Lake(folder=str(folder / "lake"))
    registry = ModelRegistry(tracking_uri="unused", artifact_folder="unused")
    resources = {"lake": lake, "source": source, "registry": registry}
    io = {"io_manager": LakeIOManager(lake=lake), "source_io": SourceIOManager(source=source)}
    result = dg.materialize(
        [*SOURCE_ASSETS, asset, *map(asset_checks, QUARANTINE_SUITES)],
        selection=dg.AssetSelection.assets(asset.key),
        resources=resources | io,
        partition_key=day,
    )
    [verdict] = result.get_asset_check_evaluations()
    assert verdict.check_name == FEW_ROWS
    return verdict


def test_up_to_a_fifth_of_a_table_in_quarantine_passes_and_more_fails(source: Path):
    good = [view(key, "2024-01-02 10:00") for key in range(8)]
    write(source, "page_views", *good, view(8, "2024-01-02 10:00", device_type="toaster"), good[0])
    kept = checked(source, assets.quarantine, "2024-01-02")
    assert kept.passed
    assert kept.description == "2 rows quarantined; most in page_views: 20.0% of its 10"
    write(source, "page_views", *good, *[good[0]] * 3)
    missed = checked(source, assets.quarantine, "2024-01-02")
    assert not missed.passed
    assert missed.severity == dg.AssetCheckSeverity.WARN
    assert missed.description == "3 rows quarantined; most in page_views: 27.3% of its 11"
    assert missed.metadata["share_page_views"].value == pytest.approx(3 / 11)
    assert "view_id repeated" in missed.metadata["reasons"].value


def test_a_day_is_judged_by_its_own_rows_and_the_worst_table_decides(source: Path):
    write(
        source, "page_views", *[view(1, "2024-01-01 10:00")] * 9, *[view(key, "2024-01-02 10:00") for key in range(9)]
    )
    write(source, "payments", *[payment(key, 1, "2024-01-02 10:00") for key in range(4)])  # of a booking unknown
    assert not checked(source, assets.quarantine, "2024-01-01").passed
    second = checked(source, assets.quarantine, "2024-01-02")
    assert (second.passed, set(second.metadata)) == (False, {"reasons", "share_payments"})


def test_rows_that_belong_to_no_day_are_judged_by_the_whole_table(source: Path):
    write(source, "users", *[user(key) for key in range(1, 5)], user(4, country="Japan"))
    write(
        source,
        "page_views",
        *[view(key, "2024-01-02 10:00") for key in range(9)],
        view(9, "2024-01-02") | {"timestamp": None},
    )
    kept = checked(source, assets.quarantine_without_day)
    assert (kept.passed, kept.description) == (True, "2 rows quarantined; most in users: 20.0% of its 5")
    assert kept.metadata["share_page_views"].value == 0.1
    write(source, "users", *[user(1)] * 2)
    assert not checked(source, assets.quarantine_without_day).passed


def test_a_source_without_faults_passes_with_nothing_told(source: Path):
    kept = checked(source, assets.quarantine_without_day)
    assert (kept.passed, kept.description, kept.metadata["reasons"].value) == (True, "0 rows quarantined", "none")


def test_an_event_without_a_time_is_told_on_the_day_of_its_folder(source: Path):
    good, timeless = view(1, "2024-01-02 10:00"), view(2, "2024-01-02 10:00") | {"timestamp": None}
    for day, rows in (("2024-01-02", [good, timeless]), ("2024-01-03", [view(3, "2024-01-03 10:00")])):
        folder = source / "page_views" / f"date={day}"
        folder.mkdir(parents=True)
        pq.write_table(arrow_of(SOURCE["page_views"], rows), folder / "part.parquet")
    assert "timestamp is null" in checked(source, assets.quarantine, "2024-01-02").metadata["reasons"].value
    assert checked(source, assets.quarantine, "2024-01-03").description == "0 rows quarantined"
