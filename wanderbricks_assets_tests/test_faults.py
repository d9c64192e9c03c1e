"""What the world does to a home: a full disk, damaged files, the clock."""

import os
import resource
import shutil
import subprocess
import sys
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from typer.testing import CliRunner

from wanderbricks_assets import cli
from wanderbricks_assets.contracts.tables import LAKE
from wanderbricks_assets.home import CannotWriteThere, enter, make_databases, writing_to
from wanderbricks_assets.partitions import DAILY, HOURLY, WEEKLY, ended
from wanderbricks_assets.resources.engine import UnreadableFiles
from wanderbricks_assets.resources.lake import MONTH, CannotWrite, Lake
from wanderbricks_assets.resources.source import FilesSource, SourceError
from wanderbricks_assets.settings import Settings
from wanderbricks_assets.window import Window
from wanderbricks_assets_tests.marketplace import day, deliver, random_marketplace
from wanderbricks_assets_tests.resources.lake_writers import features_of_days

JANUARY = Window.of_days(date(2024, 1, 1), date(2024, 1, 31))


def january(properties: int, mark: int):
    return features_of_days(date(2024, 1, 1), 31, properties, mark)


@pytest.fixture
def little_space():
    """No file of this process may grow beyond 40 kB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_write_that_the_disk_has_no_room_for_names_the_table_and_changes_nothing(tmp_path: Path, little_space):
    lake = Lake(folder=str(tmp_path))
    lake.replace("property_features", january(properties=50, mark=1), JANUARY)
    with pytest.raises(CannotWrite, match=r"property_features could not be written to .*File too large.*disk is full"):
        lake.replace("property_features", january(properties=20_000, mark=2), JANUARY)
    assert set(lake.read("property_features").photos_count.to_pyarrow().to_pylist()) == {1}


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path):
    (tmp_path / "lake").write_text("a file in the place of the folder")
    with pytest.raises(CannotWrite, match=r"property_features could not be written to .*/lake"):
        Lake(folder=str(tmp_path / "lake")).replace("property_features", january(properties=1, mark=1), JANUARY)


def test_a_table_that_was_stored_before_its_contract_had_a_column_is_told_with_what_to_do(tmp_path: Path):
    stored = LAKE["property_features"].arrow_schema.remove(0).append(pa.field(MONTH, pa.string()))
    DeltaTable.create(str(tmp_path / "property_features"), schema=stored, partition_by=[MONTH])
    with pytest.raises(CannotWrite, match=r"nothing of it was: .* not those of its contract: reset the table"):
        Lake(folder=str(tmp_path)).replace("property_features", january(properties=1, mark=1), JANUARY)


@pytest.mark.parametrize("words", [("run",), ("simulate", "--scale", "0.001"), ("up",)])
def test_a_home_that_cannot_be_made_is_named_with_what_was_found_and_what_to_do(tmp_path: Path, words: tuple[str, ...]):
    deliver(tmp_path / "source", random_marketplace(seed=1, bookings=20, events=10), None, day("2024-01-16"))
    (tmp_path / "file").touch()
    given = ("--source", str(tmp_path / "source")) if words[0] == "run" else ()
    refused = CliRunner().invoke(cli.app, [*words, *given, "--home", str(tmp_path / "file" / "home")])
    assert (refused.exit_code, refused.output.count("\n")) == (1, 1), refused.output
    assert f"{tmp_path}/file/home" in refused.output
    assert "cannot be written to: Not a directory" in refused.output
    assert "MB are free there). Make room, let this account write there, or give another" in refused.output


@pytest.mark.parametrize("what", ["MLflow's database", "Dagster's database"])
def test_a_full_disk_while_a_home_is_made_is_a_sentence_and_leaves_no_half_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, little_space, what: str
):
    for name in ("DAGSTER_HOME", "WANDERBRICKS_HOME"):
        monkeypatch.setenv(name, "restored after the test")
    away = {"mlflow_tracking_uri": "http://127.0.0.1:9"} if what.startswith("Dagster") else {}
    settings = Settings(home=tmp_path / "home", **away)
    refusal = pytest.raises(CannotWriteThere, match=f"^{settings.home} cannot be written to: .*MB are free")
    with refusal, writing_to(settings.home):
        enter(settings)
        make_databases(settings)
    assert not (settings.home / "mlflow.db").exists()
    assert not (settings.dagster_home / "history").exists()


def test_an_error_of_another_kind_is_not_taken_for_a_full_disk(tmp_path: Path):
    for error in (FileNotFoundError(2, "No such file", "/elsewhere/users.csv"), ConnectionRefusedError(111, "Refused")):
        with pytest.raises(type(error)), writing_to(tmp_path):
            raise error


def test_a_file_of_the_lake_that_is_damaged_is_named(tmp_path: Path):
    lake = Lake(folder=str(tmp_path))
    lake.replace("property_features", january(properties=500, mark=1), JANUARY)
    [file] = tmp_path.glob("property_features/month=2024-01/*.parquet")
    spoil(file)
    with pytest.raises(UnreadableFiles, match=f"^{file} cannot be read: the contents are damaged"):
        lake.replace("property_features", lake.read("property_features"), JANUARY)


@pytest.mark.parametrize("how", ["cut off", "a folder in its place"])
def test_a_file_of_the_source_that_cannot_be_opened_is_named_before_anything_runs(tmp_path: Path, how: str):
    deliver(tmp_path, random_marketplace(seed=1, bookings=20, events=10), None, day("2024-01-16"))
    file = tmp_path / "users.parquet"
    if how == "cut off":
        file.write_bytes(file.read_bytes()[:-100])
    else:
        file.unlink()
        file.mkdir()
    with pytest.raises(SourceError, match=f"^{file} .*cannot be read"):
        FilesSource(folder=str(tmp_path)).require()


def test_a_file_of_the_source_with_damaged_contents_is_named_when_it_is_read(tmp_path: Path):
    deliver(tmp_path / "source", random_marketplace(seed=1, bookings=20, events=10), None, day("2024-01-16"))
    file = tmp_path / "source" / "hosts.parquet"
    spoil(file)
    hosts = FilesSource(folder=str(tmp_path / "source")).read("hosts")
    with pytest.raises(UnreadableFiles, match=f"^{file} cannot be read"):
        Lake(folder=str(tmp_path / "lake")).replace("dim_host", hosts.mutate(property_count=0))


def spoil(file: Path) -> None:
    """Overwrite the beginning, which holds rows; the end, which says what a Parquet file holds, stays."""
    contents = file.read_bytes()
    file.write_bytes(contents[:4] + b"\xff" * 120 + contents[124:])


def test_the_leap_day_is_a_day_and_its_hours_are_hours():
    for leap_day in ("2024-02-29", "2028-02-29"):
        moment = datetime.fromisoformat(leap_day).replace(month=3, day=2)
        assert ended(DAILY, moment)[-3:] == [f"{leap_day[:4]}-02-28", leap_day, f"{leap_day[:4]}-03-01"]
        assert sum(hour.startswith(leap_day) for hour in ended(HOURLY, moment)) == 24


def test_a_clock_that_goes_backwards_ends_fewer_partitions_and_begins_none():
    before, after = datetime(2024, 3, 3, 12), datetime(2024, 3, 10, 12)
    for partitions in (DAILY, HOURLY, WEEKLY):
        assert set(ended(partitions, before)) < set(ended(partitions, after))
    assert ended(DAILY, datetime(2020, 1, 1)) == []


def test_a_home_in_berlin_holds_the_rows_of_a_home_in_utc_over_both_changes_of_the_clock(tmp_path: Path):
    said = {}
    for zone in ("UTC", "Europe/Berlin"):
        folder = tmp_path / zone.replace("/", "-")
        command = [sys.executable, "-m", "wanderbricks_assets_tests.around_the_clock", str(folder)]
        environment = os.environ | {"TZ": zone, "WANDERBRICKS_HOME": str(folder)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        said[zone] = done.stdout.splitlines()
        shutil.rmtree(folder)
    assert said["UTC"] == said["Europe/Berlin"]
    for line in said["UTC"][-3:]:
        hours = {int(hour) for hour in line.split()[1:]}
        assert {0, 1, 2, 3, 23} <= hours
