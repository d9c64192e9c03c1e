"""Assets as jobs of a workspace, end to end, against a stand-in that runs them."""

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator

import dagster as dg
import pytest
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)

from wanderbricks_assets.definitions import everything
from wanderbricks_assets.predictions.assets import DRIFT
from wanderbricks_assets.resources.databricks import on_databricks
from wanderbricks_assets.settings import Settings
from wanderbricks_assets_tests.databricks.conftest import TOKEN
from wanderbricks_assets_tests.databricks.stand_in import StandIn
from wanderbricks_assets_tests.databricks.test_task import DAY, PREDICTED

THERE = on_databricks(everything())
SUBMIT, GET, FILES = "POST /api/2.2/jobs/runs/submit", "GET /api/2.2/jobs/runs/get", "GET /api/2.0/fs/files"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def materialize(instance: dg.DagsterInstance, asset: str, **tags: str) -> dg.ExecuteInProcessResult:
    job = dg.define_asset_job("job", dg.AssetSelection.assets(asset))
    defs = dg.Definitions.merge(THERE, dg.Definitions(jobs=[job]))
    return defs.resolve_job_def("job").execute_in_process(instance=instance, tags=tags, raise_on_error=False)


def reason(result: dg.ExecuteInProcessResult) -> str:
    (failure,) = (event for event in result.all_events if event.is_step_failure)
    error = failure.step_failure_data.error
    return (error.cause or error).message


def said(instance: dg.DagsterInstance, result: dg.ExecuteInProcessResult) -> str:
    """All that Dagster keeps of a run."""
    return "\n".join(dg.serialize_value(entry) for entry in instance.all_logs(result.run_id))


@pytest.mark.usefixtures("marketplace")
def test_a_days_asset_and_its_checks_are_one_job_and_told_of_here(stand_in: StandIn, instance: dg.DagsterInstance):
    # The network is bad throughout: busy, away, gone without an answer, and gone after having done what was asked.
    stand_in.answer_next("PUT /api/2.0/fs/files", "429", "503")
    stand_in.answer_next(SUBMIT, "drop", "lose")
    stand_in.answer_next(GET, "503", "drop")
    stand_in.answer_next(FILES, "503", "drop")
    result = materialize(instance, "dim_destination")
    assert result.success
    assert list(stand_in.jobs) == [1]
    materialization = result.asset_materializations_for_node("dim_destination")[0]
    assert materialization.metadata["dagster/row_count"].value == 1
    assert materialization.metadata["Databricks Job Run URL"].value == f"{stand_in.url}/#job/run/1"
    (check,) = result.get_asset_check_evaluations()
    assert (check.check_name, check.passed, check.description) == (
        "keeps_its_contract",
        True,
        "1 rows keep the contract",
    )
    assert TOKEN not in said(instance, result)
    assert TOKEN not in stand_in.jobs[1].log.read_text()
    assert not list(stand_in.folder.glob("Volumes/main/wanderbricks/files/tmp/*"))  # what was said lies nowhere
    # It was the wheel that ran, not this checkout.
    assert "environment-0" in stand_in.jobs[1].command[0]


@pytest.mark.usefixtures("marketplace")
def test_a_backfill_of_several_days_is_one_job_and_a_failed_check_fails_here_as_there(
    stand_in: StandIn, instance: dg.DagsterInstance
):
    days = {ASSET_PARTITION_RANGE_START_TAG: "2024-01-02", ASSET_PARTITION_RANGE_END_TAG: "2024-01-04"}
    result = materialize(instance, "fact_property_engagement", **days)
    assert len(stand_in.jobs) == 1
    key, wanted = dg.AssetKey("fact_property_engagement"), {"2024-01-02", "2024-01-03", "2024-01-04"}
    assert instance.get_materialized_partitions(key) == wanted, reason(result)
    last = instance.get_latest_materialization_event(key).asset_materialization
    assert last.metadata["rows_of_all_partitions_in_this_run"].value == 3
    # No property is known, so those of the rows are not: the check blocks what would be made of them.
    found = {check.partition: check for check in result.get_asset_check_evaluations()}
    assert set(found) == {None, *wanted}
    assert not any(check.passed for check in found.values())
    assert all(check.severity == dg.AssetCheckSeverity.ERROR for check in found.values())
    assert "property_id is not in dim_property" in found["2024-01-03"].description
    assert not result.success
    assert "keeps_its_contract" in reason(result)
    history = instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(key, "keeps_its_contract"), limit=10, status={AssetCheckExecutionRecordStatus.FAILED}
    )
    assert {record.partition for record in history} >= wanted


@pytest.mark.usefixtures("marketplace")
def test_what_fails_there_is_said_here_in_its_own_words(stand_in: StandIn, instance: dg.DagsterInstance):
    result = materialize(instance, "dim_user")
    assert not result.success
    assert "no table users, which is required" in reason(result)
    assert "job run" in reason(result)
    assert not result.get_asset_materialization_events()


def test_a_cancelled_run_cancels_its_job_and_is_no_success(stand_in: StandIn, instance: dg.DagsterInstance):
    run_instead(stand_in, "import time; time.sleep(100)")
    cancel_once(stand_in, instance, lambda request: request.startswith(GET))
    result = materialize(instance, "dim_destination")
    (job,) = stand_in.jobs.values()
    assert job.state.result_state.value == "CANCELED"
    assert not result.success
    assert instance.get_run_by_id(result.run_id).status == dg.DagsterRunStatus.CANCELED
    assert instance.get_latest_materialization_event(dg.AssetKey("dim_destination")) is None


@pytest.mark.parametrize(
    ("program", "sentence"),
    [
        ("import os; os.kill(os.getpid(), 9)", "Workload failed"),
        ("raise SystemExit(3)", "exit code 3"),
        ("pass", "without a report"),
    ],
)
def test_a_task_that_reports_nothing_is_a_failure(
    program: str, sentence: str, stand_in: StandIn, instance: dg.DagsterInstance
):
    run_instead(stand_in, program)
    result = materialize(instance, "dim_destination")
    assert not result.success
    assert sentence in reason(result)
    assert not result.get_asset_materialization_events()


@pytest.mark.parametrize(("request_", "status"), [(SUBMIT, "401"), (SUBMIT, "403"), (GET, "401")])
def test_an_expired_token_is_said_in_a_sentence_without_the_token(
    request_: str, status: str, stand_in: StandIn, instance: dg.DagsterInstance
):
    run_instead(stand_in, "pass")
    stand_in.answer_next(request_, status)
    result = materialize(instance, "dim_destination")
    assert not result.success
    assert "refuses these credentials" in reason(result)
    assert "databricks auth login" in reason(result)
    assert TOKEN not in said(instance, result)


def test_without_credentials_it_says_how_to_get_some(
    stand_in: StandIn, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("DATABRICKS_TOKEN")
    result = materialize(instance, "dim_destination")
    assert "no credentials" in reason(result)


def test_a_classic_cluster_is_given_the_wheel_and_the_orders(
    stand_in: StandIn, instance: dg.DagsterInstance, profile: Callable[..., Settings]
):
    profile(databricks_compute="cluster")
    run_instead(stand_in, "import os; assert os.environ['DAGSTER_PIPES_CONTEXT']; raise SystemExit(5)")
    result = materialize(instance, "dim_destination")
    assert "exit code 5" in reason(result)
    (job,) = stand_in.jobs.values()
    assert job.task.new_cluster.num_workers == 1
    assert job.task.libraries[0].whl.endswith(".whl")


def test_the_orders_hold_what_dagster_remembers_and_no_secret(
    stand_in: StandIn, instance: dg.DagsterInstance, profile: Callable[..., Settings]
):
    profile(serve_token="planted-secret", alert_urls="slack://planted/secret/urls")
    instance.report_runless_asset_event(PREDICTED)
    kept = stand_in.folder / "orders.json"
    keep = f"shutil.copy(glob.glob('**/context.json', recursive=True)[0], '{kept}')"
    run_instead(stand_in, f"import glob, shutil; {keep}")
    check = dg.AssetCheckKey(dg.AssetKey("revenue_forecast"), "has_not_drifted")
    job = dg.define_asset_job("job", dg.AssetSelection.checks(check))
    defs = dg.Definitions.merge(THERE, dg.Definitions(jobs=[job]))
    defs.resolve_job_def("job").execute_in_process(
        instance=instance, tags={PARTITION_NAME_TAG: DAY}, raise_on_error=False
    )
    order = json.loads(kept.read_text())["extras"]["order"]
    assert (order["assets"], order["checks"]) == ([], [["revenue_forecast", "has_not_drifted"]])
    assert order["tags"] == {PARTITION_NAME_TAG: DAY}
    assert [dg.deserialize_value(event).metadata[DRIFT] for event in order["remembered"]] == [PREDICTED.metadata[DRIFT]]
    assert order["settings"]["WANDERBRICKS_START"] == "2024-01-01"
    assert "planted" not in kept.read_text()


def run_instead(stand_in: StandIn, program: str) -> None:
    """Let jobs run this program in place of the wheel's entry point."""
    stand_in.program = program


def cancel_once(stand_in: StandIn, instance: dg.DagsterInstance, moment: Callable[[str], bool]) -> None:
    """Cancel the run, as a person does in the UI, when such a request has come."""
    waiting = threading.Event()

    def interrupt(request: str) -> None:
        if moment(request) and not waiting.is_set():
            waiting.set()
            (run,) = instance.get_runs()
            instance.report_run_canceling(run)
            threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()

    stand_in.on_request = interrupt
