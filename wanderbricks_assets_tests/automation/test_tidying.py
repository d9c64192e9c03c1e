"""Old files go, and nothing that a reader may need."""

import os
import time
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from wanderbricks_assets.automation import tidying
from wanderbricks_assets.automation.tidying import TIDY_SCHEDULE, tidy_lake, tidy_logs
from wanderbricks_assets.resources.lake import KEPT_DAYS, Lake
from wanderbricks_assets.window import Window
from wanderbricks_assets_tests.resources.lake_writers import features_of_days

TABLE, JANUARY = "property_features", Window.of_days(date(2024, 1, 1), date(2024, 1, 31))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(folder=str(tmp_path / "lake"))


def write(lake: Lake, mark: int) -> None:
    lake.replace(TABLE, features_of_days(date(2024, 1, 1), 31, 5, mark), JANUARY)


def marks(lake: Lake) -> set[int]:
    return set(lake.read(TABLE).photos_count.to_pyarrow().to_pylist())


def files(lake: Lake) -> set[Path]:
    return {file for file in Path(lake.folder).rglob("*.parquet") if "_delta_log" not in file.parts}


def age(lake: Lake, days: float) -> None:
    """Everything in the lake was written so many days ago."""
    before = time.time() - days * 86400
    for file in Path(lake.folder).rglob("*"):
        os.utime(file, (before, before))
        if file.suffix == ".json":  # the log says by itself when a file was replaced
            now, then = (f"{int(moment * 1000)}"[:6] for moment in (time.time(), before))
            file.write_text(file.read_text().replace(f":{now}", f":{then}"))


def test_files_replaced_long_ago_and_those_of_killed_writers_are_deleted_and_the_rows_stay(lake: Lake):
    write(lake, 1)
    write(lake, 2)
    (Path(lake.folder) / TABLE / "month=2024-01" / "part-killed.parquet").write_bytes(b"half a file")
    age(lake, KEPT_DAYS + 1)
    assert len(files(lake)) == 3
    assert tidy_lake(lake)[TABLE] == 2
    assert (marks(lake), len(files(lake))) == ({2}, 1)
    write(lake, 3)
    assert marks(lake) == {3}


def test_what_a_reader_that_began_before_the_replacement_may_need_is_kept_however_old_it_is(lake: Lake):
    write(lake, 1)
    age(lake, 10 * KEPT_DAYS)
    reader = lake.read(TABLE)
    write(lake, 2)
    (Path(lake.folder) / TABLE / "month=2024-01" / "part-being-written.parquet").write_bytes(b"half a file")
    before = files(lake)
    assert set(tidy_lake(lake).values()) == {0}
    assert files(lake) == before
    assert set(reader.photos_count.to_pyarrow().to_pylist()) == {1}


def test_a_large_log_is_set_aside_while_its_server_writes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tidying, "LARGEST_LOG", 10)
    (tmp_path / "small.log").write_text("few words")
    with (tmp_path / "daemon.log").open("ab", buffering=0) as server:
        server.write(b"a long story of many words\n")
        assert tidy_logs(tmp_path) == ["daemon.log"]
        server.write(b"and on\n")
    assert (tmp_path / "daemon.log").read_text() == "and on\n"
    assert (tmp_path / "daemon.log.before").read_text() == "a long story of many words\n"
    assert (tmp_path / "small.log").read_text() == "few words"


def test_the_daemon_does_it_every_week_and_its_run_says_how_many_files(lake: Lake):
    assert TIDY_SCHEDULE.default_status == dg.DefaultScheduleStatus.RUNNING
    write(lake, 1)
    result = tidying.tidy.execute_in_process(resources={"lake": lake})
    [output] = [event for event in result.all_events if event.is_successful_output]
    assert output.step_output_data.metadata["files_deleted"].value == 0
