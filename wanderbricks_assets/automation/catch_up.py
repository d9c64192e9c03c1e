"""Materialize everything that is missing up to a moment, in as few runs as Dagster allows: one per rhythm."""

import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import partial
from typing import Literal

import dagster as dg
from dagster._core.execution.api import create_execution_plan
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

from wanderbricks_assets.automation.jobs import ENGAGEMENT, GOLD_AND_FEATURES, PREDICTIONS, TRAINING
from wanderbricks_assets.automation.outdated import outdated_activation
from wanderbricks_assets.models.all import MODELS
from wanderbricks_assets.models.lifecycle import champion_key, judge
from wanderbricks_assets.models.model import Model
from wanderbricks_assets.models.registry import ModelRegistry
from wanderbricks_assets.partitions import ended, window_of
from wanderbricks_assets.predictions.assets import TARGET_OF
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.resources.source import FilesSource
from wanderbricks_assets.window import Window

# A gate that a version missed, and the promotion that says so: results, not faults.
_REFUSED = ("DagsterAssetCheckFailedError", "Failure")


@dataclass(frozen=True)
class Planned:
    """One run: a job, the assets of it to materialize, and the range of partitions.

    `settle` looks again when it is the run's turn, as the runs before it may have changed what is to be done.
    """

    job: str
    assets: tuple[str, ...]
    first: str
    last: str
    settle: Callable[["Planned"], "Planned"] = lambda planned: planned


@dataclass
class Outcome:
    """What a catch-up did: runs and assets materialized; why steps failed, each reason with the names of the steps it
    stopped; and the jobs that were not begun for it."""

    runs: int = 0
    materialized: list[str] = field(default_factory=list)
    broken: dict[str, list[str]] = field(default_factory=dict)
    not_begun: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Progress:
    """One step has ended, or will not begin: a gate before it failed, or no version serves that it could use."""

    step: str
    state: Literal["done", "failed", "skipped"]
    left: int
    seconds: float = 0.0


def catch_up(
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    moment: datetime,
    show: Callable[[Progress], None],
    tags: Mapping[str, str] | None = None,
) -> Outcome:
    """Bring every asset to what it should be at a moment (naive UTC), and report each step as it ends.

    A failed gate breaks nothing: the model's champion stays, and everything else goes on. `tags` are put on the runs.
    """
    plans = list(_plans(defs, instance, moment))
    runs = _Runs(defs, instance, show, plans, tags or {})
    for planned in plans:
        if not runs.outcome.broken:
            runs.execute(planned)
        elif planned.job not in runs.outcome.not_begun:  # it would be computed, and trained, on what is not there
            runs.outcome.not_begun.append(planned.job)
    return runs.outcome


def _plans(defs: dg.Definitions, instance: dg.DagsterInstance, moment: datetime) -> Iterator[Planned]:
    yield from _of_gold_and_features(defs, instance, moment)
    hourly = _assets_of(defs, ENGAGEMENT.name)
    if missing := _missing(instance, hourly, ENGAGEMENT.partitions_def, moment):
        yield Planned(ENGAGEMENT.name, tuple(hourly), *missing)
    training = [*_of_training(defs, instance, moment)]
    yield from training
    yield from _of_predictions(defs, instance, moment, may_promote=bool(training))


def _of_gold_and_features(defs: dg.Definitions, instance: dg.DagsterInstance, moment: datetime) -> Iterator[Planned]:
    daily, without_days, detail = [], [], "fact_booking_detail"
    for key in _assets_of(defs, GOLD_AND_FEATURES.name):
        partitioned = defs.get_assets_def(key).partitions_def is not None
        (daily if partitioned else without_days).append(key)
    missing = _missing(instance, daily, GOLD_AND_FEATURES.partitions_def, moment)
    if not missing:
        return
    first, last = missing
    begins = first == GOLD_AND_FEATURES.partitions_def.get_first_partition_key()
    at_once = daily if begins else [key for key in daily if key != detail]
    yield Planned(GOLD_AND_FEATURES.name, (*without_days, *at_once), first, last)
    if detail not in at_once:
        yield Planned(
            GOLD_AND_FEATURES.name,
            (detail,),
            first,
            last,
            partial(_with_bookings_touched, defs.resources["lake"], defs.resources["source"]),
        )


def _of_training(defs: dg.Definitions, instance: dg.DagsterInstance, moment: datetime) -> Iterator[Planned]:
    """The newest model is enough to serve from; earlier weeks are there for whoever wants to backfill them."""
    weeks = ended(TRAINING.partitions_def, moment)
    if not weeks:
        return
    untrained = _lacking(instance, list(MODELS), weeks[-1])
    champions = [
        champion_key(model)
        for name, model in MODELS.items()
        if name in untrained or _awaits_promotion(model, defs.resources["registry"])
    ]
    if champions:
        yield Planned(TRAINING.name, (*untrained, *champions), weeks[-1], weeks[-1])


def _of_predictions(
    defs: dg.Definitions, instance: dg.DagsterInstance, moment: datetime, may_promote: bool
) -> Iterator[Planned]:
    """The newest day, of the models that a version serves for, or may once training has run, and what is made of it.

    A model whose first champion appears later is thus caught up from the newest day on; the days before it are there
    for whoever wants to backfill them.
    """
    days = ended(PREDICTIONS.partitions_def, moment)
    if not days:
        return
    settle = partial(_with_champion, defs.resources["registry"], instance)
    predicted = _lacking(instance, list(TARGET_OF), days[-1])
    assets = (*predicted, *outdated_activation(instance, predicted, days[-1]))
    planned = Planned(PREDICTIONS.name, assets, days[-1], days[-1], settle)
    planned = planned if may_promote else settle(planned)
    if planned.assets:
        yield planned


class _Runs:
    """Executes planned runs in this process, counting steps over all of them."""

    def __init__(
        self,
        defs: dg.Definitions,
        instance: dg.DagsterInstance,
        show: Callable[[Progress], None],
        plans: list[Planned],
        tags: Mapping[str, str],
    ):
        self._defs, self._instance, self._show, self._tags = defs, instance, show, tags
        self._later = sum(len(_steps(self._job(planned))) for planned in plans)
        self.outcome = Outcome()

    def execute(self, planned: Planned) -> None:
        foreseen = _steps(self._job(planned))
        self._later -= len(foreseen)
        planned = planned.settle(planned)
        job, run_id = self._job(planned) if planned.assets else None, str(uuid.uuid4())
        steps = _steps(job) if job else {}
        self._skip(foreseen.keys() - steps.keys(), left=len(steps) + self._later)
        if job is None:
            return
        with self._listening(run_id, steps):
            result = job.execute_in_process(
                instance=self._instance,
                partition_key=planned.first if planned.first == planned.last else None,
                tags={**self._tags, **_range_tags(planned)},
                run_id=run_id,
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                raise_on_error=False,
            )
        self.outcome.runs += 1
        for event in result.get_asset_materialization_events():
            name = event.asset_key.to_user_string()
            if name not in self.outcome.materialized:
                self.outcome.materialized.append(name)
        if not result.success and not any(event.is_step_failure for event in result.all_events):
            self.outcome.broken[f"the run ended before its steps did; see run {run_id}"] = list(planned.assets)

    def _job(self, planned: Planned) -> dg.JobDefinition:
        keys = {dg.AssetKey(key) for key in planned.assets}
        return self._defs.resolve_job_def(planned.job).get_subset(asset_selection=keys)

    @contextmanager
    def _listening(self, run_id: str, steps: Mapping[str, set[str]]) -> Iterator[None]:
        began: dict[str, float] = {}
        waiting = set(steps)

        def listen(entry: dg.EventLogEntry) -> None:
            event = entry.dagster_event
            if event is None or event.step_key is None:
                return
            if event.event_type == dg.DagsterEventType.STEP_START:
                began[event.step_key] = time.monotonic()
            elif event.is_step_success or event.is_step_failure or event.is_step_skipped:
                waiting.discard(event.step_key)
                stopped = _depending_on(event.step_key, steps) & waiting if event.is_step_failure else set()
                if event.is_step_failure:
                    self._note(event, stopped)
                state = "failed" if event.is_step_failure else "done" if event.is_step_success else "skipped"
                seconds = time.monotonic() - began.get(event.step_key, time.monotonic())
                self._show(Progress(event.step_key, state, len(waiting) + self._later, seconds))
                waiting.difference_update(stopped)
                self._skip(stopped, left=len(waiting) + self._later)

        self._instance.add_event_listener(run_id, listen)
        yield

    def _skip(self, steps: Iterable[str], left: int) -> None:
        """Show steps that will not begin; `left` others are still to come."""
        names = sorted(steps)
        for number, step in enumerate(names, start=1):
            self._show(Progress(step, "skipped", left + len(names) - number))

    def _note(self, failure: dg.DagsterEvent, stopped: set[str]) -> None:
        error = failure.step_failure_data.error
        while error.cause is not None:
            error = error.cause
        if error.cls_name in _REFUSED:
            return
        reason = error.message.partition(f"{error.cls_name}: ")[2].strip() or error.message.strip()
        self.outcome.broken.setdefault(reason, []).extend([failure.step_key, *sorted(stopped)])
        self._later = 0  # no run is begun after this one


def _steps(job: dg.JobDefinition) -> Mapping[str, set[str]]:
    """The steps of a job, each with those it waits for."""
    return create_execution_plan(job).get_all_step_deps()


def _depending_on(step: str, steps: Mapping[str, set[str]]) -> set[str]:
    """The steps that wait for a step, and those that wait for them."""
    direct = {name for name, needs in steps.items() if step in needs}
    return direct.union(*(_depending_on(name, steps) for name in direct))


def _range_tags(planned: Planned) -> dict[str, str]:
    if planned.first == planned.last:
        return {}
    return {ASSET_PARTITION_RANGE_START_TAG: planned.first, ASSET_PARTITION_RANGE_END_TAG: planned.last}


def _assets_of(defs: dg.Definitions, job: str) -> list[str]:
    keys = defs.resolve_job_def(job).asset_layer.executable_asset_keys
    return sorted(key.to_user_string() for key in keys)


def _missing(
    instance: dg.DagsterInstance, keys: list[str], partitions: dg.TimeWindowPartitionsDefinition, moment: datetime
) -> tuple[str, str] | None:
    """The range from the first partition that any of the assets lacks to the last one that has ended."""
    wanted = ended(partitions, moment)
    have = set.intersection(*(set(instance.get_materialized_partitions(dg.AssetKey(key))) for key in keys))
    first = next((key for key in wanted if key not in have), None)
    return (first, wanted[-1]) if first else None


def _lacking(instance: dg.DagsterInstance, keys: list[str], partition: str) -> list[str]:
    """The assets that lack a partition."""
    return [key for key in keys if partition not in instance.get_materialized_partitions(dg.AssetKey(key))]


def _awaits_promotion(model: type[Model], registry: ModelRegistry) -> bool:
    """Whether the newest version passed all gates and nothing was decided: a run was stopped before its end."""
    target = model.target()
    candidate = registry.candidate(target)
    if candidate is None or candidate.version is None or candidate.decision is not None:
        return False
    return all(verdict.passed for verdict in judge(target, candidate, registry))


def _with_champion(registry: ModelRegistry, instance: dg.DagsterInstance, planned: Planned) -> Planned:
    """The predictions for which some version may have been known at the end of the day, and what is made of them."""
    day = dg.PartitionKeyRange(planned.first, planned.last)
    end = window_of(PREDICTIONS.partitions_def, day).end
    predicted = [key for key in planned.assets if key in TARGET_OF and registry.serving_version(TARGET_OF[key], end)]
    return replace(planned, assets=(*predicted, *outdated_activation(instance, predicted, planned.last)))


def _with_bookings_touched(lake: Lake, source: FilesSource, planned: Planned) -> Planned:
    days = Window.of_days(date.fromisoformat(planned.first), date.fromisoformat(planned.last))
    oldest = oldest_booking_touched(lake, source, days)
    begin = GOLD_AND_FEATURES.partitions_def.get_first_partition_key()
    return replace(planned, first=max(begin, oldest.isoformat())) if oldest else planned


def oldest_booking_touched(lake: Lake, source: FilesSource, days: Window) -> date | None:
    """The day on which the oldest booking was made that changed, or was paid or refunded, in these days."""
    history = lake.read("fact_booking_history")
    changed = history.filter(days.contains(history.known_at)).select("created_at")
    paid = history.semi_join(source.read("payments", days), "booking_id").select("created_at")
    oldest = changed.union(paid).created_at.min().to_pyarrow().as_py()
    return oldest.date() if oldest else None
