"""A real process, killed in the middle of a Dagster run and an MLflow run."""

import subprocess
import sys
import time

import dagster as dg
import pytest
from dagster._core.utils import make_new_run_id

from wanderbricks_assets.automation.orphans import close_orphans, close_training_runs
from wanderbricks_assets.targets import TARGETS
from wanderbricks_assets_tests.automation.endless_run import registry_of


@pytest.fixture
def begun(tmp_path):
    """A process in the middle of its run."""
    process = subprocess.Popen([sys.executable, "-m", "wanderbricks_assets_tests.automation.endless_run", tmp_path])
    deadline = time.monotonic() + 120
    while not (tmp_path / "begun").exists():
        assert process.poll() is None, "the process ended by itself"
        assert time.monotonic() < deadline, "the run did not begin"
        time.sleep(0.1)
    yield process
    process.kill()
    process.wait()


def statuses(home):
    """Of the one Dagster run and the one MLflow run."""
    client = registry_of(home)._client
    experiment = client.get_experiment_by_name(TARGETS["revenue_forecaster"].experiment)
    (mlflow_run,) = client.search_runs([experiment.experiment_id])
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        (dagster_run,) = instance.get_runs()
    return dagster_run.status, mlflow_run.info.status


def test_runs_of_a_living_process_are_left_alone_and_those_of_a_killed_one_are_closed(begun, tmp_path):
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        assert close_orphans(instance, tmp_path / "running") == []
        close_training_runs(instance, registry_of(tmp_path))
        assert statuses(tmp_path) == (dg.DagsterRunStatus.STARTED, "RUNNING")

        begun.kill()
        begun.wait()
        assert len(close_orphans(instance, tmp_path / "running")) == 1
        close_training_runs(instance, registry_of(tmp_path))

    assert statuses(tmp_path) == (dg.DagsterRunStatus.FAILURE, "FAILED")
    assert list((tmp_path / "running").iterdir()) == []


def test_a_run_that_the_daemon_launched_is_closed_only_when_no_server_runs(tmp_path):
    (tmp_path / "running").mkdir()
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_run(dg.DagsterRun("predictions", run_id=make_new_run_id(), status=dg.DagsterRunStatus.STARTED))
        assert close_orphans(instance, tmp_path / "running") == []
        assert len(close_orphans(instance, tmp_path / "running", launched=True)) == 1
        assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.FAILURE]
