"""Sixteen processes that materialize overlapping partitions of one table at the same moment, on one home."""

import multiprocessing
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from wanderbricks_assets.home import enter, make_databases
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.settings import Settings
from wanderbricks_assets.window import Window
from wanderbricks_assets_tests.automation import together
from wanderbricks_assets_tests.marketplace import day

DAYS = [day("2024-01-01") + timedelta(days=number) for number in range(18)]


def test_nothing_is_lost_nothing_is_there_twice_and_no_database_is_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in ("DAGSTER_HOME", "WANDERBRICKS_HOME"):
        monkeypatch.setenv(name, "restored after the test")
    settings = Settings(home=tmp_path / "home", mlflow_tracking_uri="http://127.0.0.1:9")  # no database is made for it
    enter(settings)
    make_databases(settings)
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([together.__name__])
    barrier = processes.Barrier(16)
    places = (str(settings.dagster_home), str(settings.lake_folder))
    runs = [
        processes.Process(target=together.materialize_together, args=(barrier, *places, mark)) for mark in range(1, 17)
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join(timeout=180)
    assert [run.exitcode for run in runs] == [0] * 16

    lake = Lake(folder=str(settings.lake_folder))
    for number, today in enumerate(DAYS):
        rows = lake.read("property_features", Window.of_days(today, today)).to_pandas()
        assert sorted(rows.property_id) == [*range(50)]
        assert rows.photos_count.nunique() == 1, "a day is of one process, whole"
        assert number - 1 <= rows.photos_count[0] <= number + 1
    key = dg.AssetKey("property_features")
    with dg.DagsterInstance.get() as instance:
        assert {run.status for run in instance.get_runs()} == {dg.DagsterRunStatus.SUCCESS}
        counts = instance.event_log_storage.get_materialized_partitions(key)
        assert counts == {str(today) for today in DAYS}
        events = instance.fetch_materializations(key, limit=1000).records
    told = [event.partition_key for event in events]
    assert {str(today): told.count(str(today)) for today in DAYS} == {
        str(today): min(number + 1, 3, 18 - number) for number, today in enumerate(DAYS)
    }
