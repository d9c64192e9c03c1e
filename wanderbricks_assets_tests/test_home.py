"""A home: one writer at a time, databases made whole or not at all, and a dagster.yaml that a person may own."""

import multiprocessing
import sqlite3
from pathlib import Path

import pytest
import yaml

from wanderbricks_assets import home
from wanderbricks_assets.home import HomeInUse, enter, make_databases, only_process
from wanderbricks_assets.settings import Settings


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in ("DAGSTER_HOME", "WANDERBRICKS_HOME", "WANDERBRICKS_MLFLOW_TRACKING_URI"):
        monkeypatch.setenv(name, "restored after the test")
    monkeypatch.delenv("WANDERBRICKS_MLFLOW_TRACKING_URI")
    return Settings(home=tmp_path / "o'home: a #1 {place}")


def test_the_second_process_is_told_who_is_at_work_and_since_when(settings: Settings):
    with only_process(settings, "run"):
        with pytest.raises(HomeInUse, match=r"is in use: process \d+ \(run, since 20\d\d-.* UTC\) is at work on it"):
            only_process(settings, "run").__enter__()
        with only_process(settings, "up"):
            pass
    with only_process(settings, "run"):
        pass


def test_a_killed_process_holds_nothing(settings: Settings):
    context = multiprocessing.get_context("fork")
    begun = context.Event()
    process = context.Process(target=_hold, args=(settings, begun))
    process.start()
    assert begun.wait(20)
    with pytest.raises(HomeInUse, match=f"process {process.pid}"), only_process(settings, "run"):
        pass
    process.kill()
    process.join()
    with only_process(settings, "run"):
        pass


def test_the_dagster_yaml_of_any_folder_can_be_read(settings: Settings):
    enter(settings)
    written = yaml.safe_load((settings.dagster_home / "dagster.yaml").read_text())
    assert written["event_log_storage"]["config"]["base_dir"] == str(settings.dagster_home / "history" / "runs")


def test_a_dagster_yaml_that_a_person_has_made_theirs_is_left_alone(settings: Settings):
    enter(settings)
    file = settings.dagster_home / "dagster.yaml"
    file.write_text("telemetry: {enabled: false}\n")
    enter(settings)
    make_databases(settings)
    assert file.read_text() == "telemetry: {enabled: false}\n"
    assert not (settings.dagster_home / "history").exists()


def test_databases_are_made_whole_after_a_process_was_killed_while_making_them(settings: Settings):
    enter(settings)
    (settings.home / "mlflow.new").write_bytes(b"half")
    (settings.home / "dagster.new").mkdir()
    (settings.dagster_home / "dagster.yaml.123").write_text("half")
    make_databases(settings)
    names = {file.name for file in settings.home.iterdir()}
    assert names == {"dagster", "mlflow.db"}
    assert {file.name for file in settings.dagster_home.iterdir()} == {"dagster.yaml", "history", "schedules"}
    with sqlite3.connect(settings.home / "mlflow.db") as tables:
        assert tables.execute("select count(*) from alembic_version").fetchone() == (1,)


def test_databases_that_are_there_are_not_made_again(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    enter(settings)
    (settings.home / "mlflow.db").touch()
    (settings.dagster_home / "history").mkdir()
    (settings.dagster_home / "history" / "runs.db").touch()
    monkeypatch.setattr(home, "_make_mlflow", None)
    monkeypatch.setattr(home, "_make_dagster", None)
    make_databases(settings)


def _hold(settings: Settings, begun) -> None:
    with only_process(settings, "run"):
        begun.set()
        multiprocessing.Event().wait(60)
