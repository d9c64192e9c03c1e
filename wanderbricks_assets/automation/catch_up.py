"""Materialize everything that is missing up to a moment, in as few runs as Dagster allows: one per rhythm."""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import partial

import dagster as dg
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

from wanderbricks_assets.automation.jobs import ENGAGEMENT, GOLD_AND_FEATURES, PREDICTIONS, TRAINING
from wanderbricks_assets.models.all import MODELS
from wanderbricks_assets.models.lifecycle import champion_key, judge
from wanderbricks_assets.models.model import Model
from wanderbricks_assets.partitions import DAILY, HOURLY, WEEKLY
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.window import Window

_BLOCKED = "DagsterAssetCheckFailedError"


@dataclass(frozen=True)
class Planned:
    """One run: a job, the assets of it to materialize, and the range of partitions.

    `widen` moves the first partition back when it is the run's turn, by what the runs before it have found out.
    """

    job: str
    assets: tuple[str, ...]
    first: str
    last: str
    widen: Callable[[str, str], str] = lambda first, last: first


@dataclass
class Outcome:
    """What a catch-up did: runs and assets materialized, and the steps that could not run, with their errors."""

    runs: int = 0
    materialized: list[str] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Progress:
    """One step has ended."""

    step: str
    number: int
    of: int
    seconds: float
    ok: bool


def catch_up(
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    moment: datetime,
    show: Callable[[Progress], None],
    tags: Mapping[str, str] | None = None,
) -> Outcome:
    """Bring every asset to what it should be at a moment (naive UTC), and report each step as it ends.

    `tags` are put on the runs.
    A failed gate breaks nothing: the model's champion stays, and everything else goes on.
    """
    outcome = Outcome()
    plans = list(_plans(defs, instance, moment))
    runs = _Runs(defs, instance, outcome, show, plans, tags or {})
    for planned in plans:
        if outcome.broken:  # what comes after would be computed, and trained, on what is not there
            break
        runs.execute(replace(planned, first=planned.widen(planned.first, planned.last)))
    return outcome


def _plans(defs: dg.Definitions, instance: dg.DagsterInstance, moment: datetime) -> Iterator[Planned]:
    daily, dimensions, detail = [], [], "fact_booking_detail"
    for key in _assets_of(defs, GOLD_AND_FEATURES.name):
        partitioned = defs.get_assets_def(key).partitions_def is not None
        (daily if partitioned else dimensions).append(key)
    missing = _missing(instance, daily, DAILY, moment)
    if missing:
        first, last = missing
        at_once = daily if first == DAILY.get_first_partition_key() else [key for key in daily if key != detail]
        yield Planned(GOLD_AND_FEATURES.name, (*dimensions, *at_once), first, last)
        if detail not in at_once:
            yield Planned(
                GOLD_AND_FEATURES.name,
                (detail,),
                first,
                last,
                widen=partial(_oldest_booking_changed, defs.resources["lake"]),
            )
    hourly = _assets_of(defs, ENGAGEMENT.name)
    if missing := _missing(instance, hourly, HOURLY, moment):
        yield Planned(ENGAGEMENT.name, tuple(hourly), *missing)
    training = _assets_of(defs, TRAINING.name)
    models = [key for key in training if defs.get_assets_def(key).partitions_def is not None]
    # The newest model is enough to serve from; earlier weeks are there for whoever wants to backfill them.
    if week := _newest_missing(instance, models, WEEKLY, moment):
        yield Planned(TRAINING.name, tuple(training), week, week)
    elif waiting := [champion_key(model) for model in MODELS.values() if _awaits_promotion(defs, model)]:
        weeks = _ended(WEEKLY, moment)
        yield Planned(TRAINING.name, tuple(waiting), weeks[-1], weeks[-1])
    predictions = _assets_of(defs, PREDICTIONS.name)
    if day := _newest_missing(instance, predictions, DAILY, moment):
        yield Planned(PREDICTIONS.name, tuple(predictions), day, day)


class _Runs:
    """Executes planned runs in this process, counting steps over all of them."""

    def __init__(
        self,
        defs: dg.Definitions,
        instance: dg.DagsterInstance,
        outcome: Outcome,
        show: Callable[[Progress], None],
        plans: list[Planned],
        tags: Mapping[str, str],
    ):
        self._defs, self._instance, self._outcome, self._show, self._tags = defs, instance, outcome, show, tags
        assets = [asset for planned in plans for asset in planned.assets]
        checks = [check for check in defs.asset_checks or [] if _checked(check) & set(assets)]
        self._done, self._steps = 0, len(assets) + len(checks)

    def execute(self, planned: Planned) -> None:
        run_id = str(uuid.uuid4())
        with self._listening(run_id):
            result = self._defs.resolve_job_def(planned.job).execute_in_process(
                instance=self._instance,
                asset_selection=[dg.AssetKey(key) for key in planned.assets],
                partition_key=planned.first if planned.first == planned.last else None,
                tags={**self._tags, **_range_tags(planned)},
                run_id=run_id,
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                raise_on_error=False,
            )
        self._outcome.runs += 1
        for event in result.get_asset_materialization_events():
            name = event.asset_key.to_user_string()
            if name not in self._outcome.materialized:
                self._outcome.materialized.append(name)
        for event in result.all_events:
            if event.is_step_failure:
                error = event.step_failure_data.error
                while error.cause is not None:
                    error = error.cause
                if error.cls_name != _BLOCKED:
                    self._outcome.broken[event.step_key] = error.message.strip()

    @contextmanager
    def _listening(self, run_id: str) -> Iterator[None]:
        began: dict[str, float] = {}

        def listen(entry: dg.EventLogEntry) -> None:
            event = entry.dagster_event
            if event is None or event.step_key is None:
                return
            if event.event_type == dg.DagsterEventType.STEP_START:
                began[event.step_key] = time.monotonic()
            elif event.is_step_success or event.is_step_failure:
                self._done += 1
                seconds = time.monotonic() - began.get(event.step_key, time.monotonic())
                self._show(Progress(event.step_key, self._done, self._steps, seconds, event.is_step_success))

        self._instance.add_event_listener(run_id, listen)
        yield


def _checked(checks: dg.AssetChecksDefinition) -> set[str]:
    return {key.asset_key.to_user_string() for key in checks.check_keys}


def _range_tags(planned: Planned) -> dict[str, str]:
    if planned.first == planned.last:
        return {}
    return {ASSET_PARTITION_RANGE_START_TAG: planned.first, ASSET_PARTITION_RANGE_END_TAG: planned.last}


def _assets_of(defs: dg.Definitions, job: str) -> list[str]:
    keys = defs.resolve_job_def(job).asset_layer.executable_asset_keys
    return sorted(key.to_user_string() for key in keys)


def _ended(partitions: dg.TimeWindowPartitionsDefinition, moment: datetime) -> list[str]:
    """The partitions that have ended by the moment."""
    return list(partitions.get_partition_keys(current_time=moment.replace(tzinfo=UTC)))


def _missing(
    instance: dg.DagsterInstance, keys: list[str], partitions: dg.TimeWindowPartitionsDefinition, moment: datetime
) -> tuple[str, str] | None:
    """The range from the first partition that any of the assets lacks to the last one that has ended."""
    wanted = _ended(partitions, moment)
    have = set.intersection(*(set(instance.get_materialized_partitions(dg.AssetKey(key))) for key in keys))
    first = next((key for key in wanted if key not in have), None)
    return (first, wanted[-1]) if first else None


def _newest_missing(
    instance: dg.DagsterInstance, keys: list[str], partitions: dg.TimeWindowPartitionsDefinition, moment: datetime
) -> str | None:
    """The newest partition that has ended, if any of the assets lacks it."""
    ended = _ended(partitions, moment)
    if ended and any(ended[-1] not in instance.get_materialized_partitions(dg.AssetKey(key)) for key in keys):
        return ended[-1]
    return None


def _awaits_promotion(defs: dg.Definitions, model: type[Model]) -> bool:
    """Whether the newest version has passed all gates and yet does not serve: a run was stopped before its end."""
    registry, target = defs.resources["registry"], model.target()
    candidate = registry.candidate(target)
    if candidate is None or candidate.version is None or candidate.version == registry.serving_version(target):
        return False
    return all(verdict.passed for verdict in judge(target, candidate, registry))


def _oldest_booking_changed(lake: Lake, first: str, last: str) -> str:
    """The day on which the oldest booking was made that changed in these days."""
    changes = lake.read("fact_booking_history", Window.of_days(date.fromisoformat(first), date.fromisoformat(last)))
    oldest = changes.created_at.min().to_pyarrow().as_py()
    return max(DAILY.get_first_partition_key(), oldest.date().isoformat()) if oldest else first
