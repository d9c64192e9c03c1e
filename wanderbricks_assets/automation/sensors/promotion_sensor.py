"""A new champion speaks at once: the newest day is predicted again by the version that serves now.

Which that is the registry says, not the promotion: a person may have moved the alias there, to roll a model back.
"""

import json
from functools import partial

import dagster as dg

from wanderbricks_assets.automation.asking import Asking
from wanderbricks_assets.automation.jobs import PREDICTIONS
from wanderbricks_assets.automation.plans import Planned, Planner
from wanderbricks_assets.automation.schedules import naive_now
from wanderbricks_assets.automation.sensors.answering import Answer, answer
from wanderbricks_assets.models.registry import ModelRegistry
from wanderbricks_assets.partitions import ended, window_of
from wanderbricks_assets.predictions.assets import TARGET_OF
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.resources.source import FilesSource


@dg.sensor(
    job=PREDICTIONS,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Predicts the newest day again when another version serves, promoted or put back by a person. The "
    "cursor holds the version that was answered, by model. The serving endpoint follows the registry by itself.",
)
def promotion_sensor(
    context: dg.SensorEvaluationContext, lake: Lake, source: FilesSource, registry: ModelRegistry
) -> dg.SensorResult:
    planner = Planner(context.repository_def, context.instance, lake, source, registry)
    answered: dict[str, str] = json.loads(context.cursor or "{}")
    new = {
        target.model: (version, partial(_answer, planner, asset, version))
        for asset, target in TARGET_OF.items()
        if (version := registry.serving_version(target)) and version != answered.get(target.model)
    }
    return answer(answered, new, "The same versions serve as before.")


def _answer(planner: Planner, asset: str, version: str) -> Answer:
    now = naive_now()
    days = ended(PREDICTIONS.partitions_def, now)
    if not days or days[-1] not in planner.materialized(asset):
        return f"{asset}: version {version} serves; the day's predictions are still to come."
    day = days[-1]
    made = planner.instance.fetch_materializations(
        dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=[day]), limit=1
    ).records[0]
    by = made.asset_materialization.metadata.get("model_version")
    if by is not None and str(by.value) == version:
        return f"{asset} of {day} was predicted by version {version}."
    end = window_of(PREDICTIONS.partitions_def, dg.PartitionKeyRange(day, day)).end
    if planner.registry.serving_version(TARGET_OF[asset], end) != version:
        why = "it has seen later days, or never passed its gates"
        return f"{asset} of {day} is not version {version}'s to predict: {why}."
    found = Asking(planner, now).request(Planned(PREDICTIONS.name, (asset,), day, day))
    if isinstance(found, dg.SkipReason):
        return found
    # A version may be put back on the day on which it was replaced: then it is asked again.
    return found.with_replaced_attrs(run_key=f"{asset}/{version}/{day}/{made.storage_id}")
