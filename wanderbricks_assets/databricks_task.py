"""What a Databricks job runs: the asset that was ordered, materialized in this process, and a report to Dagster.

The orders and the report travel through Dagster Pipes: see resources/databricks_jobs.py, which submits this.
"""

import os
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

from dagster_pipes import (
    PipesCliArgsParamsLoader,
    PipesContext,
    PipesEnvVarParamsLoader,
    PipesUnityCatalogVolumesContextLoader,
    PipesUnityCatalogVolumesMessageWriter,
    open_dagster_pipes,
)

if TYPE_CHECKING:
    import dagster as dg

_NAME = "task"
_ALL = 1_000_000  # partitions of a run
_REPORT_SECONDS = 2  # how often what was logged is written to the volume


def main() -> None:
    """Do what was ordered. Raises what went wrong, so that the job fails, too."""
    in_arguments = PipesCliArgsParamsLoader()
    with open_dagster_pipes(
        context_loader=PipesUnityCatalogVolumesContextLoader(),
        message_writer=PipesUnityCatalogVolumesMessageWriter(interval=_REPORT_SECONDS),
        params_loader=in_arguments if in_arguments.is_dagster_pipes_process() else PipesEnvVarParamsLoader(),
    ) as pipes:
        order = pipes.get_extra("order")
        os.environ.update(order["settings"])  # before anything of the package is imported: partitions begin at START
        materialize(pipes, order)


def materialize(pipes: PipesContext, order: Mapping) -> None:
    """Run the step, and report its events or the reason why it failed."""
    import dagster as dg

    from wanderbricks_assets.definitions import everything

    job = dg.define_asset_job(_NAME, _selection(order["assets"], order["checks"]))
    definitions = dg.Definitions.merge(everything(), dg.Definitions(jobs=[job]))
    with dg.DagsterInstance.ephemeral() as instance:
        for event in order["remembered"]:
            instance.report_runless_asset_event(
                dg.deserialize_value(event, (dg.AssetMaterialization, dg.AssetCheckEvaluation))
            )
        instance.add_event_listener(pipes.run_id, partial(_forward, pipes))
        result = definitions.resolve_job_def(_NAME).execute_in_process(
            instance=instance,
            run_id=pipes.run_id,  # that of the orchestrator, so that MLflow names the run that people see
            tags=order["tags"],
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            raise_on_error=False,
        )
        settled = list(_settled(instance, pipes.run_id, order["checks"]))
    failures = [event for event in result.all_events if event.is_step_failure]
    broken = [reason for event in failures if (reason := _reason(event))]
    if not result.success and not failures:
        broken.append("its run ended before its steps did")
    events = [dg.serialize_value(told) for event in result.all_events if (told := _told(event))]
    report = {"events": events, "settled": list(map(dg.serialize_value, settled)), "error": "; ".join(broken)}
    pipes.report_custom_message({"report": report})
    if broken:
        raise RuntimeError("; ".join(broken))


def _selection(assets: list[str], checks: list[list[str]]) -> "dg.AssetSelection":
    import dagster as dg

    return dg.AssetSelection.assets(*assets).without_checks() | dg.AssetSelection.checks(*_keys(checks))


def _keys(checks: list[list[str]]) -> "list[dg.AssetCheckKey]":
    import dagster as dg

    return [dg.AssetCheckKey(dg.AssetKey(asset), name) for asset, name in checks]


def _settled(
    instance: "dg.DagsterInstance", run_id: str, checks: list[list[str]]
) -> "Iterator[dg.AssetCheckEvaluation]":
    """What checks found in each partition of a range, which no event tells (see `settle_checks`)."""
    from wanderbricks_assets.resources.events import HAS_A_RESULT

    for key in _keys(checks):
        history = instance.event_log_storage.get_asset_check_execution_history(key, limit=_ALL, status=HAS_A_RESULT)
        for record in history:
            if record.run_id == run_id and record.partition:
                yield record.evaluation


def _told(event: "dg.DagsterEvent") -> "dg.AssetMaterialization | dg.AssetCheckEvaluation | None":
    if event.is_step_materialization:
        return event.step_materialization_data.materialization
    return event.asset_check_evaluation_data if event.event_type_value == "ASSET_CHECK_EVALUATION" else None


def _reason(failure: "dg.DagsterEvent") -> str | None:
    """Why a step failed; None for a failed check that blocks, whose result says it."""
    from wanderbricks_assets.resources.events import first_cause, reason

    error = first_cause(failure.step_failure_data.error)
    if error.cls_name == "DagsterAssetCheckFailedError":
        return None
    return reason(error)


def _forward(pipes: PipesContext, entry: "dg.EventLogEntry") -> None:
    """What the asset logged, to the log of the run that people see."""
    if entry.dagster_event is None:
        pipes.log.log(int(entry.level), entry.user_message)


if __name__ == "__main__":
    main()
