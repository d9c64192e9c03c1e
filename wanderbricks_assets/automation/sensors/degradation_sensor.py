"""A model whose realized accuracy has left its bound is trained anew, if it could learn something it does not know."""

import json
from datetime import datetime, timedelta
from functools import partial

import dagster as dg
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
)

from wanderbricks_assets.automation.asking import Asking
from wanderbricks_assets.automation.jobs import TRAINING
from wanderbricks_assets.automation.plans import Planned, Planner
from wanderbricks_assets.automation.schedules import naive_now
from wanderbricks_assets.automation.sensors.answering import Answer, answer
from wanderbricks_assets.contracts.tables import LAKE
from wanderbricks_assets.models.all import MODELS
from wanderbricks_assets.models.lifecycle import champion_key
from wanderbricks_assets.models.registry import ModelRegistry
from wanderbricks_assets.monitoring.assets import HOLDS_ITS_BOUND
from wanderbricks_assets.partitions import ended, window_of
from wanderbricks_assets.resources.events import HAS_A_RESULT
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.resources.source import FilesSource


@dg.sensor(
    job=TRAINING,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Trains a model anew when its realized accuracy has left its bound. The cursor holds the last "
    "evaluation that was answered, by model.",
)
def degradation_sensor(
    context: dg.SensorEvaluationContext, lake: Lake, source: FilesSource, registry: ModelRegistry
) -> dg.SensorResult:
    planner = Planner(context.repository_def, context.instance, lake, source, registry)
    answered: dict[str, int] = json.loads(context.cursor or "{}")
    new = {
        model: (newest.id, partial(_answer, planner, model, newest))
        for model in HOLDS_ITS_BOUND
        if (newest := _newest(context.instance, model)) and newest.id > answered.get(model, 0)
    }
    return answer(answered, new, "No new evaluation of realized accuracy.")


def _newest(instance: dg.DagsterInstance, model: str) -> AssetCheckExecutionRecord | None:
    """The newest evaluation that has a result: older ones say nothing about the model that serves now."""
    key = dg.AssetCheckKey(dg.AssetKey("realized_accuracy"), HOLDS_ITS_BOUND[model])
    found = instance.event_log_storage.get_asset_check_execution_history(key, limit=1, status=HAS_A_RESULT)
    return found[0] if found else None


def _answer(planner: Planner, model: str, evaluation: AssetCheckExecutionRecord) -> Answer:
    if evaluation.status == AssetCheckExecutionRecordStatus.SUCCEEDED:
        return f"{model} holds its bound."
    now = naive_now()
    weeks = ended(TRAINING.partitions_def, now)
    if not weeks:
        return f"{model} has left its bound, and no week has ended that it could learn from."
    week = weeks[-1]
    cutoff = window_of(TRAINING.partitions_def, dg.PartitionKeyRange(week, week)).end
    candidate = planner.registry.candidate(MODELS[model].target(), cutoff)
    if candidate and not (changed := _changed_inputs(planner, model, week, cutoff)):
        learned = f"version {candidate.version}" if candidate.version else "its last training"
        return (
            f"{model} has left its bound, but {learned} has already learned from all that was known on "
            f"{cutoff:%Y-%m-%d}; the next week ends on {cutoff + timedelta(weeks=1):%Y-%m-%d}."
        )
    found = Asking(planner, now).request(Planned(TRAINING.name, (model, champion_key(MODELS[model])), week, week))
    if isinstance(found, dg.SkipReason):
        return found
    why = f"changed since: {', '.join(changed)}" if candidate else f"nothing was trained as of {cutoff:%Y-%m-%d}"
    return found.with_replaced_attrs(
        run_key=f"{model}/{week}/{evaluation.id}", tags={**found.tags, "wanderbricks/degraded": f"{model}: {why}"}
    )


def _changed_inputs(planner: Planner, model: str, week: str, cutoff: datetime) -> list[str]:
    """The tables that the model reads and of which a partition before the cutoff is newer than its training."""
    trained = dg.AssetRecordsFilter(dg.AssetKey(model), asset_partitions=[week])
    newest = planner.instance.fetch_materializations(trained, limit=1).records
    if not newest:
        return []
    return [
        name
        for name in MODELS[model].reads
        if name in LAKE and LAKE[name].time_column and _is_newer(planner, name, newest[0].timestamp, cutoff)
    ]


def _is_newer(planner: Planner, name: str, than: float, cutoff: datetime) -> bool:
    cursor, has_more = None, True
    while has_more:
        since = dg.AssetRecordsFilter(dg.AssetKey(name), after_timestamp=than)
        page = planner.instance.fetch_materializations(since, limit=1000, cursor=cursor)
        # Keys of days and of hours both begin with the date.
        if any(record.partition_key and record.partition_key < cutoff.date().isoformat() for record in page.records):
            return True
        cursor, has_more = page.cursor, page.has_more
    return False
