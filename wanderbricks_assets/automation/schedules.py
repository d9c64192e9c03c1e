"""The clock: each tick asks for everything of its rhythm that is missing up to the tick.

So nothing is lost while the daemon is down, although Dagster makes up only the newest of the ticks it missed.
"""

from datetime import datetime

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from dagster._time import get_current_datetime
from dagster._utils.schedules import get_latest_completed_cron_tick

from wanderbricks_assets.automation.asking import Asking
from wanderbricks_assets.automation.jobs import (
    ACTIVATION,
    ENGAGEMENT,
    GOLD_AND_FEATURES,
    JOBS,
    MONITORING,
    PREDICTIONS,
    TRAINING,
)
from wanderbricks_assets.automation.plans import PREDICTED_BACK, Planner
from wanderbricks_assets.models.registry import ModelRegistry
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.resources.source import FilesSource
from wanderbricks_assets.window import naive_utc

TIME_ZONE = "UTC"
# Minutes past the hour leave the source time to write its last events; what comes later still is late data.
CRON = {
    ENGAGEMENT.name: "5 * * * *",
    GOLD_AND_FEATURES.name: "20 0 * * *",
    TRAINING.name: "40 0 * * 1",
    PREDICTIONS.name: "50 0 * * *",
    ACTIVATION.name: "0 1 * * *",
    MONITORING.name: "10 1 * * *",
}

# What a tick asks for when ticks before it were missed.
_MADE_UP = {
    TRAINING.name: "Weeks missed while nothing ran are left out: the newest model is enough to serve from.",
    PREDICTIONS.name: f"Days missed while nothing ran are made up, for {PREDICTED_BACK} days back, in a run each.",
    ACTIVATION.name: "Of the newest day only.",
}
_ALL_MADE_UP = "Partitions missed while nothing ran are made up in the same run."


def _schedule(job: UnresolvedAssetJobDefinition) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=f"{job.name}_schedule",
        job=job,
        cron_schedule=CRON[job.name],
        execution_timezone=TIME_ZONE,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"{job.description} {_MADE_UP.get(job.name, _ALL_MADE_UP)}",
    )
    def tick(
        context: dg.ScheduleEvaluationContext, lake: Lake, source: FilesSource, registry: ModelRegistry
    ) -> list[dg.RunRequest] | dg.SkipReason:
        planner = Planner(context.repository_def, context.instance, lake, source, registry)
        return Asking(planner, naive_now()).of_rhythm(job.name, naive_utc(context.scheduled_execution_time))

    return tick


SCHEDULES = [_schedule(job) for job in JOBS]


def naive_now() -> datetime:
    """The wall clock, which Dagster's tests can set."""
    return naive_utc(get_current_datetime())


def newest_tick(cron: str) -> datetime:
    """The last moment, naive UTC, at which a schedule was to tick."""
    return naive_utc(get_latest_completed_cron_tick(cron, get_current_datetime(), TIME_ZONE))
