"""What a schedule began is carried on: what waited begins, what failed is tried again."""

from datetime import datetime, timedelta

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType

from wanderbricks_assets.automation.asking import Asking
from wanderbricks_assets.automation.jobs import JOBS
from wanderbricks_assets.automation.plans import Planner
from wanderbricks_assets.automation.schedules import CRON, naive_now, newest_tick
from wanderbricks_assets.models.registry import ModelRegistry
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.resources.source import FilesSource

# A tick is its schedule's own for so long; then whatever it could not ask for is carried on.
_LEFT_TO_THE_SCHEDULE = timedelta(minutes=3)
_LOOKED_AGAIN_AFTER = timedelta(minutes=20)


class CannotPlan(Exception):
    """What is missing of some rhythms cannot be told; the message names them."""


@dg.sensor(
    jobs=JOBS,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Carries on what a schedule began: when a run ends, what waited for it begins; what failed is tried "
    "again an hour later, training a day later.",
)
def carry_on(
    context: dg.SensorEvaluationContext, lake: Lake, source: FilesSource, registry: ModelRegistry
) -> dg.SensorResult | dg.SkipReason:
    now, instance = naive_now(), context.instance
    # Looking costs a second, a look at the newest run nothing.
    newest = instance.get_run_records(limit=1, order_by="update_timestamp")
    seen = f"{newest[0].storage_id} {newest[0].dagster_run.status.value}" if newest else "no run"
    if context.cursor:
        before, _, at = context.cursor.rpartition(" ")
        if before == seen and timedelta(0) <= now - datetime.fromisoformat(at) < _LOOKED_AGAIN_AFTER:
            return dg.SkipReason("No run has begun or ended since the last look.")
    asking = Asking(Planner(context.repository_def, instance, lake, source, registry), now)
    off = _turned_off(instance)
    requests, reasons, errors = [], [], {}
    for name, cron in CRON.items():
        if f"{name}_schedule" in off:
            reasons.append(f"{name}_schedule is turned off.")
            continue
        tick = newest_tick(cron)
        if now - tick < _LEFT_TO_THE_SCHEDULE:
            return dg.SkipReason(f"{name}_schedule ticks; what it leaves is looked at in some minutes.")
        try:
            found = asking.of_rhythm(name, tick)
        except Exception as error:  # noqa: BLE001 (the other rhythms go on; the tick tells, below)
            errors[name] = error
            continue
        if isinstance(found, dg.SkipReason):
            reasons.append(found.skip_message)
        else:
            requests += found
    if errors:
        said = "; ".join(
            f"{name} could not be planned: {type(error).__name__}: {error}" for name, error in errors.items()
        )
        if not requests:
            raise CannotPlan(said) from next(iter(errors.values()))
        context.log.error(said)  # a tick that fails asks for nothing; the next one has nothing to ask for, and fails
        return dg.SensorResult(run_requests=requests)
    cursor = f"{seen} {now.isoformat(timespec='seconds')}"
    if not requests:
        return dg.SensorResult(skip_reason=" ".join(reasons), cursor=cursor)
    return dg.SensorResult(run_requests=requests, cursor=cursor)


def _turned_off(instance: dg.DagsterInstance) -> set[str]:
    """The schedules that a person has turned off: nothing of theirs is to be carried on."""
    states = instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)
    return {state.instigator_name for state in states if not state.is_running}
