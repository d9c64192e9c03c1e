"""From what is missing to runs asked of the daemon: what waits for what, and nothing twice."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)

from wanderbricks_assets.automation.jobs import (
    ACTIVATION,
    ENGAGEMENT,
    GOLD_AND_FEATURES,
    MONITORING,
    NEED_THE_REGISTRY,
    PREDICTIONS,
    TRAINING,
)
from wanderbricks_assets.automation.plans import Planned, Planner, checks_of, range_tags
from wanderbricks_assets.partitions import window_of

_PLANS = {
    # The details of bookings follow the other tables of their days.
    GOLD_AND_FEATURES.name: lambda planner, tick: planner.gold_and_features(tick)[:1],
    ENGAGEMENT.name: Planner.engagement,
    TRAINING.name: Planner.training,
    PREDICTIONS.name: Planner.predictions,
    ACTIVATION.name: Planner.activation,
    MONITORING.name: Planner.monitoring,
}
# What is computed from tables and predictions waits until those of its time are there.
_WAITING = {job.name: job.partitions_def for job in NEED_THE_REGISTRY}
ASKED = "wanderbricks/asked"  # tag of a run: what was asked for, the same however often it is
# What failed is asked for again, and no sooner: a file that cannot be read may be mended, a destination come back.
TRIED_AGAIN_AFTER = {TRAINING.name: timedelta(days=1)}
_TRIED_AGAIN_AFTER = timedelta(hours=1)
# A day's predictions wait for the training that the day completes, but not for ever: the champion can make them too.
_WAITS_FOR_TRAINING = timedelta(hours=6)


@dataclass(frozen=True)
class Asking:
    """What the clock asks for at one moment of the wall clock."""

    planner: Planner
    now: datetime  # naive UTC

    def of_rhythm(self, job: str, tick: datetime) -> list[dg.RunRequest] | dg.SkipReason:
        """The runs of a job that are missing up to a tick (naive UTC) and can begin, or the sentence why there are
        none. Of plans that need each other, only the first is asked for; its end brings the next."""
        plans = _PLANS[job](self.planner, tick)
        if not plans:
            return dg.SkipReason(f"Nothing of {job} is missing up to {tick:%Y-%m-%d %H:%M} UTC.")
        if waits := self._waits_for(job, plans[-1], tick):
            return dg.SkipReason(waits)
        found = [self.request(planned.settle(planned)) for planned in plans]
        requests = [request for request in found if isinstance(request, dg.RunRequest)]
        return requests or next(request for request in found if isinstance(request, dg.SkipReason))

    def request(self, planned: Planned) -> dg.RunRequest | dg.SkipReason:
        """The run, unless one for some of the same partitions is under way or has just failed."""
        if running := next(self.under_way(planned), None):
            return dg.SkipReason(
                f"{_named(planned)}: run {running.run_id[:8]} is {running.status.value.lower()} already."
            )
        asked = _identity(planned)
        earlier = self.planner.instance.get_run_records(dg.RunsFilter(tags={ASKED: asked}))
        if earlier and (failed := self._failed_just_now(planned, earlier[0])):
            return dg.SkipReason(failed)
        # Dagster refuses a partition where nothing that is asked for has any.
        has_partitions = any(self.planner.has_partitions(asset) for asset in planned.assets)
        return dg.RunRequest(
            run_key=f"{asked}/{len(earlier)}",
            job_name=planned.job,
            partition_key=planned.first if planned.first == planned.last and has_partitions else None,
            asset_selection=[dg.AssetKey(asset) for asset in planned.assets],
            asset_check_keys=sorted(checks_of(planned, self.planner.repository.asset_graph)),
            tags={**range_tags(planned), ASKED: asked},
        )

    def under_way(self, planned: Planned) -> Iterator[dg.DagsterRun]:
        """The runs, queued or in progress, that materialize some of the same partitions."""
        for run in self.planner.instance.get_runs(dg.RunsFilter(statuses=NOT_FINISHED_STATUSES)):
            if self._assets(run) & set(planned.assets) and overlaps(run, planned.first, planned.last):
                yield run

    def _assets(self, run: dg.DagsterRun) -> set[str]:
        if run.asset_selection is not None:
            return {key.to_user_string() for key in run.asset_selection}
        known = self.planner.repository.has_job(run.job_name)
        return set(self.planner.assets_of(run.job_name)) if known else set()

    def _failed_just_now(self, planned: Planned, newest: dg.RunRecord) -> str | None:
        if newest.dagster_run.status == dg.DagsterRunStatus.SUCCESS or newest.end_time is None:
            return None
        failed_at = datetime.fromtimestamp(newest.end_time, UTC).replace(tzinfo=None)
        again = failed_at + TRIED_AGAIN_AFTER.get(planned.job, _TRIED_AGAIN_AFTER)
        if self.now >= again:
            return None
        return (
            f"{_named(planned)}: run {newest.dagster_run.run_id[:8]} did not succeed at {failed_at:%H:%M}; "
            f"it is tried again at {again:%Y-%m-%d %H:%M} UTC."
        )

    def _waits_for(self, job: str, planned: Planned, tick: datetime) -> str | None:
        """The sentence that says what must be there first."""
        if job not in _WAITING:
            return None
        end = _end_of(_WAITING[job], planned)
        for missing in (*self.planner.gold_and_features(end), *self.planner.engagement(end)):
            return f"{_named(planned)} waits for {_named(missing)}."
        if job in (ACTIVATION.name, MONITORING.name):
            due = next(iter(self.planner.predictions(end)), None)
            return f"{_named(planned)} waits for {_named(due)}." if due else None
        if job == PREDICTIONS.name and self.now < end + _WAITS_FOR_TRAINING:
            return self._waits_for_training(planned, end)
        return None

    def _waits_for_training(self, planned: Planned, day_end: datetime) -> str | None:
        """A day that completes a week is predicted by what the week's training promotes, if it promotes."""
        due = next(iter(self.planner.training(day_end)), None)
        if due is None or _end_of(TRAINING.partitions_def, due) != day_end:
            return None
        week = dg.RunsFilter(job_name=TRAINING.name, tags={PARTITION_NAME_TAG: due.first})
        was_tried = any(run.is_finished for run in self.planner.instance.get_runs(week))
        if was_tried and not any(self.under_way(due)):
            return None
        until = day_end + _WAITS_FOR_TRAINING
        return f"{_named(planned)} waits for {_named(due)}, until {until:%H:%M} at the longest."


def _end_of(partitions: dg.PartitionsDefinition, planned: Planned) -> datetime:
    return window_of(partitions, dg.PartitionKeyRange(planned.first, planned.last)).end


def _identity(planned: Planned) -> str:
    assets = hashlib.sha256(" ".join(sorted(planned.assets)).encode()).hexdigest()[:8]
    return f"{planned.job}/{assets}/{planned.first}/{planned.last}"


def _named(planned: Planned) -> str:
    if planned.first is None:
        return f"{planned.job} ({', '.join(planned.assets)})"
    span = planned.first if planned.first == planned.last else f"{planned.first} to {planned.last}"
    return f"{planned.job} of {span}"


def overlaps(run: dg.DagsterRun, begin: str | None, end: str | None) -> bool:
    """Keys of one asset have one form, in which later ones sort later; what has no keys may touch any."""
    one = run.tags.get(PARTITION_NAME_TAG)
    first, last = run.tags.get(ASSET_PARTITION_RANGE_START_TAG, one), run.tags.get(ASSET_PARTITION_RANGE_END_TAG, one)
    return None in (first, last, begin, end) or (first <= end and begin <= last)
