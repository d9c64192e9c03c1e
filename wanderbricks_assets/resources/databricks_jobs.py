"""A step as one job run of a Databricks workspace, from submitting it to what it reported.

The clients of dagster-databricks submit, wait and cancel. Two faults of theirs are mended here: they take an
interrupted run for a successful one, and a job that reported nothing, too.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError, DagsterPipesExecutionError
from dagster._core.pipes.client import PipesClientCompletedInvocation
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)
from dagster_databricks.pipes import (
    PipesDatabricksClient,
    PipesDatabricksServerlessClient,
    PipesUnityCatalogVolumesContextInjector,
    PipesUnityCatalogVolumesMessageReader,
)
from databricks.sdk.service.compute import ClusterSpec, Environment, Library
from databricks.sdk.service.jobs import JobEnvironment, PythonWheelTask, SubmitTask

from wanderbricks_assets.resources.event_log import forget_planned, settle_checks
from wanderbricks_assets.resources.events import HAS_A_RESULT
from wanderbricks_assets.resources.workspace import said_by_workspace, workspace
from wanderbricks_assets.settings import Settings, settings

ENTRY_POINT = "wanderbricks-task"
ORDER, REPORT = "order", "report"
_TASK = "wanderbricks"
_PARTITIONS = {PARTITION_NAME_TAG, ASSET_PARTITION_RANGE_START_TAG, ASSET_PARTITION_RANGE_END_TAG}
# Jobs that hang cost money: the longest, the first run of three years, takes minutes on one machine.
_LONGEST_SECONDS = 6 * 3600
_SERVERLESS_VERSION = "3"  # of the environment: Python 3.12


class JobFailed(Exception):
    """A job that ended without having done what was asked; the message says how it ended."""


def run_job(
    context: dg.OpExecutionContext, assets: Sequence[dg.AssetKey], checks: Sequence[dg.AssetCheckKey]
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult | dg.AssetCheckEvaluation]:
    """Materialize assets and evaluate checks in a job; see DatabricksJobs."""
    chosen, tags = settings(), {name: value for name, value in context.run.tags.items() if name in _PARTITIONS}
    order = {
        "settings": chosen.for_task(),
        "assets": [key.to_user_string() for key in assets],
        "checks": [[key.asset_key.to_user_string(), key.name] for key in checks],
        "tags": tags,
        "remembered": [dg.serialize_value(event) for event in _remembered(context, assets, checks)],
    }
    with said_by_workspace():
        client = _client(chosen)
        done = client.run(
            context=context,
            extras={ORDER: order},
            task=_task(chosen),
            submit_args=_submission(chosen, context),
        )
    # A Pipes session demands every output. What cannot be judged, or predicted, gives none here as over there.
    context.get_step_execution_context()._requires_typed_event_stream = False
    report = _report(client, done)
    yield from _results(report["events"], done.metadata, is_range=PARTITION_NAME_TAG not in tags)
    settled = [dg.deserialize_value(found, dg.AssetCheckEvaluation) for found in report["settled"]]
    for key in {check.asset_key for check in checks}:  # as monitoring/evaluations.py does where the checks run
        if ASSET_PARTITION_RANGE_START_TAG in tags:
            settle_checks(context.instance, context.run_id, [found for found in settled if found.asset_key == key])
        names = sorted(check.name for check in checks if check.asset_key == key)
        forget_planned(context.instance, [context.run_id], key, names)


def _remembered(
    context: dg.OpExecutionContext, assets: Sequence[dg.AssetKey], checks: Sequence[dg.AssetCheckKey]
) -> Iterator[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
    """The events that a step may ask Dagster's log for, which is not there: of each asset the newest materialization of
    every partition (of one that a range run makes anew, of none), of each check the newest evaluation."""
    instance, tags = context.instance, context.run.tags
    for key in {*assets, *(check.asset_key for check in checks)}:
        made_here = key in assets
        if PARTITION_NAME_TAG not in tags and (made_here or ASSET_PARTITION_RANGE_START_TAG not in tags):
            continue
        for partition in context.partition_keys:
            wanted = dg.AssetRecordsFilter(asset_key=key, asset_partitions=[partition])
            yield from (made.asset_materialization for made in instance.fetch_materializations(wanted, limit=1).records)
    for check in checks:
        for record in instance.event_log_storage.get_asset_check_execution_history(check, limit=1, status=HAS_A_RESULT):
            yield record.evaluation


class _Mended:
    """Mixed into a stock client: remembers how the run ended, which that client forgets or raises too early."""

    ended_by: BaseException | None = None

    def _poll_til_success(self, context, run_id: int) -> None:
        try:
            super()._poll_til_success(context, run_id)  # type: ignore[misc]  # of the client that this is mixed into
        except DagsterExecutionInterruptedError as error:
            self.ended_by = error
            raise  # the stock client cancels the job, waits until it ends, and goes on as if it had succeeded
        except DagsterPipesExecutionError as error:
            self.ended_by = error  # what the task said is better than what the workspace says of it


class _OnCluster(_Mended, PipesDatabricksClient):
    pass


class _Serverless(_Mended, PipesDatabricksServerlessClient):
    pass


_Client = _OnCluster | _Serverless


def _client(chosen: Settings) -> _Client:
    client, seconds = workspace(), chosen.databricks_poll_seconds
    through: dict[str, Any] = {
        "context_injector": PipesUnityCatalogVolumesContextInjector(client=client, volume_path=chosen.volume),
        "message_reader": PipesUnityCatalogVolumesMessageReader(
            interval=seconds, client=client, volume_path=chosen.volume
        ),
        "poll_interval_seconds": seconds,
    }
    if chosen.databricks_compute == "cluster":
        return _OnCluster(client, **through)
    return _Serverless(client, chosen.volume, **through)


def _task(chosen: Settings) -> SubmitTask:
    entry = PythonWheelTask(entry_point=ENTRY_POINT, package_name="wanderbricks_assets", parameters=[])
    task = SubmitTask(task_key=_TASK, python_wheel_task=entry, timeout_seconds=_LONGEST_SECONDS)
    if chosen.databricks_compute == "serverless":
        task.environment_key = _TASK
        return task
    task.libraries = [Library(whl=chosen.wheel)]
    if existing := chosen.databricks_cluster.get("existing_cluster_id"):
        task.existing_cluster_id = existing
    else:
        task.new_cluster = ClusterSpec.from_dict(chosen.databricks_cluster)
    return task


def _submission(chosen: Settings, context: dg.OpExecutionContext) -> dict[str, Any]:
    submission: dict[str, Any] = {
        "run_name": f"{context.op_def.name} ({context.run_id})",
        # Submitted again after an answer that was lost, it is the same run.
        "idempotency_token": hashlib.sha256(
            f"{context.run_id} {context.get_step_execution_context().step.key} {context.retry_number}".encode()
        ).hexdigest(),
    }
    if chosen.databricks_compute == "serverless":
        submission["environments"] = [environment(chosen)]
    return submission


def environment(chosen: Settings) -> JobEnvironment:
    """What a serverless job installs."""
    spec = Environment(environment_version=_SERVERLESS_VERSION, dependencies=[chosen.wheel])
    return JobEnvironment(environment_key=_TASK, spec=spec)


def _report(client: "_Client", done: PipesClientCompletedInvocation) -> dict[str, Any]:
    """What the task said at its end."""
    if isinstance(client.ended_by, DagsterExecutionInterruptedError):
        raise client.ended_by
    messages = (message for message in done.get_custom_messages() if isinstance(message, dict))
    report = next((message[REPORT] for message in messages if REPORT in message), None)
    run = done.metadata.get("Databricks Job Run URL") or done.metadata["Databricks Job Run ID"]
    where = f"job run {getattr(run, 'value', run)}"
    if report and report["error"]:
        raise JobFailed(f"{report['error']} ({where})") from client.ended_by
    if client.ended_by:
        raise JobFailed(f"{where} failed: {client.ended_by}") from client.ended_by
    if report is None:
        raise JobFailed(f"{where} succeeded without a report: it is unknown what it did, so it counts as failed")
    return report


def _results(events: list[str], link, is_range: bool) -> Iterator:
    """The events over there as results of this step; of an asset's partitions one is enough, as they are alike."""
    told = set()
    for said in events:
        event = dg.deserialize_value(said, (dg.AssetMaterialization, dg.AssetCheckEvaluation))
        if isinstance(event, dg.AssetMaterialization):
            if event.asset_key not in told:
                told.add(event.asset_key)
                yield dg.MaterializeResult(event.asset_key, metadata={**event.metadata, **link})
        elif is_range and event.partition:
            yield event  # beside the result of the whole range, see monitoring/evaluations.py
        else:
            yield dg.AssetCheckResult(
                passed=event.passed,
                asset_key=event.asset_key,
                check_name=event.check_name,
                severity=event.severity,
                description=event.description,
                metadata=event.metadata,
            )
