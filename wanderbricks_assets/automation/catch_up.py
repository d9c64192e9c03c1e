"""Materialize everything that is missing up to a moment, in as few runs as Dagster allows: one per rhythm."""

import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import dagster as dg
from dagster._core.execution.api import create_execution_plan

from wanderbricks_assets.automation.jobs import NEED_THE_REGISTRY
from wanderbricks_assets.automation.plans import Planned, Planner, checks_of, range_tags
from wanderbricks_assets.models.all import MODELS
from wanderbricks_assets.models.lifecycle import champion_key
from wanderbricks_assets.models.registry import RegistryAway
from wanderbricks_assets.resources.events import first_cause, reason

# A gate that a version missed, and the promotion that says so: results, not faults. Data that break their contract are.
_REFUSED = ("DagsterAssetCheckFailedError", "Failure")
_JUDGING = {step for model in MODELS.values() for step in (f"{model.name}_gates", champion_key(model))}


@dataclass
class Outcome:
    """What a catch-up did: runs and assets materialized; why steps failed, each reason with the names of the steps it
    stopped; and the jobs that were not begun for it."""

    runs: int = 0
    materialized: list[str] = field(default_factory=list)
    broken: dict[str, list[str]] = field(default_factory=dict)
    not_begun: list[str] = field(default_factory=list)


State = Literal["done", "failed", "skipped"]


@dataclass(frozen=True)
class Progress:
    """One step has ended, or will not begin: a gate before it failed, or no version serves that it could use."""

    step: str
    state: State
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
    # Before anything is read, so that what comes while it runs is known to have come later.
    defs.resources["journal"].observe(defs.resources["source"])
    planner = Planner.of(defs, instance)
    plans, away = planner.tables(moment), None
    try:
        defs.resources["registry"].require()
        plans += planner.models(moment)
    except RegistryAway as error:
        away = str(error)
    runs = _Runs(defs, instance, show, plans, tags or {})
    for planned in plans:
        if not runs.outcome.broken:
            runs.execute(planned)
        elif planned.job not in runs.outcome.not_begun:  # it would be computed, and trained, on what is not there
            runs.outcome.not_begun.append(planned.job)
    if away:
        runs.outcome.broken[away] = [job.name for job in NEED_THE_REGISTRY]
    return runs.outcome


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
                tags={**self._tags, **range_tags(planned)},
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
        checks = checks_of(planned, self._defs.resolve_asset_graph())
        job = self._defs.resolve_job_def(planned.job)
        return job.get_subset(asset_selection=keys, asset_check_selection=checks)

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
                state: State = "failed" if event.is_step_failure else "done" if event.is_step_success else "skipped"
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
        error = first_cause(failure.step_failure_data.error)
        if error.cls_name in _REFUSED and failure.step_key in _JUDGING:
            return
        self.outcome.broken.setdefault(reason(error), []).extend([failure.step_key, *sorted(stopped)])
        self._later = 0  # no run is begun after this one


def _steps(job: dg.JobDefinition) -> Mapping[str, set[str]]:
    """The steps of a job, each with those it waits for."""
    return create_execution_plan(job).get_all_step_deps()


def _depending_on(step: str, steps: Mapping[str, set[str]]) -> set[str]:
    """The steps that wait for a step, and those that wait for them."""
    direct = {name for name, needs in steps.items() if step in needs}
    return direct.union(*(_depending_on(name, steps) for name in direct))
