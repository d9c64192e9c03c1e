"""What is wrong, since when, and what ended it: check evaluations and ended runs, as they stand in Dagster's event log.

An incident is one check of one asset (and partition), one step that failed, one run that died between its steps, or one
schedule or sensor that cannot tick. It stays open until the same check passes, the step succeeds, its partitions are
materialized by another way, or a tick ends well.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import dagster as dg
from dagster._core.scheduler.instigation import InstigatorTick, TickStatus
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
    WILL_RETRY_TAG,
)

from wanderbricks_assets.resources.events import first_cause

RANGE = "..."
_FAILED_CHECK = "DagsterAssetCheckFailedError"
State = Literal["failed", "recovered"]
TICKS_IN_A_ROW = 3  # that fail before it is told: one may fail for a moment, as when MLflow begins anew
_MOST_NUMBERS = 6  # of a check's metadata in one line
_AROUND = ("version", "cutoff", "baseline", "lower", "upper")  # what was checked, and what the reason says better


@dataclass(frozen=True)
class Incident:
    """`partitions` is one partition, a range ("first...last") or "" for the whole; `span` is what the run that reported
    it covered. `steps` must still succeed before a failed step or run counts as recovered. Times are seconds since
    1970. `measured` is the value against its bound; `event_id` the place of the first failure in the event log."""

    kind: Literal["check", "step", "run", "tick"]
    asset: str
    name: str
    partitions: str
    span: str
    severity: Literal["ERROR", "WARN"]
    owners: tuple[str, ...]
    measured: str
    reason: str
    run_id: str
    since: float
    event_id: int
    steps: tuple[str, ...] = ()
    last_failed_at: float = 0.0
    failures: int = 1
    closed_at: float | None = None
    message_id: str | None = None
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def key(self) -> tuple[str, str, str, str]:
        return self.kind, self.asset, self.name, self.partitions


class Definitions:
    """What the definitions know of an asset, check or step that an event names; nothing when it is defined no more."""

    def __init__(self, repository: dg.RepositoryDefinition):
        self._graph = repository.asset_graph
        self._assets: dict[str, list[dg.AssetKey]] = {}
        for key in self._graph.materializable_asset_keys:
            self._assets.setdefault(self._graph.get(key).assets_def.node_def.name, []).append(key)
        self._checks: dict[str, list[dg.AssetCheckKey]] = {}
        for check, definition in repository.asset_checks_defs_by_key.items():
            self._checks.setdefault(definition.node_def.name, []).append(check)

    def assets_of(self, step: str) -> list[dg.AssetKey]:
        return self._assets.get(step, [])

    def owners_of_step(self, step: str) -> tuple[str, ...]:
        return self.owners([*self.assets_of(step), *(check.asset_key for check in self._checks.get(step, []))])

    def owners(self, keys: Iterable[dg.AssetKey]) -> tuple[str, ...]:
        found = (owner for key in keys if self._graph.has(key) for owner in self._graph.get(key).owners)
        return tuple(dict.fromkeys(found))

    def upstream_of(self, step: str) -> set[str]:
        return {parent.to_user_string() for key in self.assets_of(step) for parent in self._graph.get(key).parent_keys}

    def is_partitioned(self, step: str) -> bool:
        """Whether a step's success holds for the run's partitions only; so it is taken of a step that is not known."""
        known: list[dg.AssetKey | dg.AssetCheckKey] = [*self.assets_of(step), *self._checks.get(step, [])]
        return not known or any(self._graph.get(key).partitions_def for key in known)

    def partition_keys(self, key: dg.AssetKey, partitions: str) -> set[str]:
        first, last = _ends(partitions)
        definition = self._graph.get(key).partitions_def
        return set(definition.get_partition_keys_in_range(dg.PartitionKeyRange(first, last)))


@dataclass
class Book:
    """The open incidents, and what a reading of the event log does to them: feed it the events in order.

    `news` is what people are to be told, in its order; `changed` everything that differs from what was stored.
    """

    instance: dg.DagsterInstance
    definitions: Definitions
    open: dict[tuple, Incident]
    news: list[tuple[State, Incident]] = field(default_factory=list)
    changed: dict[str, Incident] = field(default_factory=dict)

    def read(self, event_id: int, entry: dg.EventLogEntry) -> None:
        event = entry.get_dagster_event()
        if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            self._evaluated(event_id, entry, event.asset_check_evaluation_data)
        elif event.event_type in (dg.DagsterEventType.RUN_SUCCESS, dg.DagsterEventType.RUN_FAILURE):
            run = self.instance.get_run_by_id(entry.run_id)
            if run is None:  # deleted since: nothing is known of its steps
                return
            self._recover_by(run, entry.timestamp)
            if event.event_type == dg.DagsterEventType.RUN_FAILURE and run.tags.get(WILL_RETRY_TAG) != "true":
                self._failed(event_id, entry, run)

    def ticked(self, name: str, ticks: Sequence[InstigatorTick]) -> None:
        """ticks: the newest of a schedule or sensor that have ended, newest first, TICKS_IN_A_ROW of them if it has so
        many."""
        before = self.open.get(("tick", "", name, ""))
        failing = [tick for tick in ticks if tick.status == TickStatus.FAILURE]
        if before and ticks and ticks[0].status != TickStatus.FAILURE:
            self._close(before, ticks[0].timestamp)
        elif len(failing) == len(ticks) == TICKS_IN_A_ROW and not before:
            error = first_cause(failing[0].error) if failing[0].error else None
            self._open(
                Incident(
                    kind="tick",
                    asset="",
                    name=name,
                    partitions="",
                    span="",
                    severity="ERROR",
                    owners=(),
                    measured="",
                    reason=_first_line(error.message if error else ""),
                    run_id="",
                    since=failing[-1].timestamp,
                    event_id=0,
                    last_failed_at=failing[0].timestamp,
                )
            )

    def _evaluated(self, event_id: int, entry: dg.EventLogEntry, evaluation: dg.AssetCheckEvaluation) -> None:
        run = self.instance.get_run_by_id(entry.run_id) if entry.run_id else None
        asset, own = evaluation.asset_key.to_user_string(), evaluation.partition or ""
        span = own or (_span(run) if run else "")
        is_warning = evaluation.severity == dg.AssetCheckSeverity.WARN
        if is_warning:  # of how things stand: day after day it is one incident, which a later day can end
            own = ""
        of_check = [found for found in self.open.values() if found.key[:3] == ("check", asset, evaluation.check_name)]
        if evaluation.passed:
            for found in of_check:
                # A check that is told of whole speaks of all partitions that its run covered.
                failed_for = found.partitions or found.span
                is_later = is_warning and _ends(span)[1] >= _ends(failed_for)[1]
                if (
                    (found.partitions == own and not is_warning)
                    or is_later
                    or (span and failed_for and covers(span, failed_for))
                ):
                    self._close(found, entry.timestamp)
            return
        failed = Incident(
            kind="check",
            asset=asset,
            name=evaluation.check_name,
            partitions=own,
            span=span,
            severity=evaluation.severity.value,
            owners=self.definitions.owners([evaluation.asset_key]),
            measured=measured(evaluation.metadata),
            reason=_first_line(evaluation.description or ""),
            run_id=entry.run_id,
            since=entry.timestamp,
            event_id=event_id,
            last_failed_at=entry.timestamp,
        )
        if failed.key in self.open:
            self._again(failed)
        elif own:
            whole = next((found for found in of_check if not found.partitions and covers(found.span, own)), None)
            self._open(failed, instead_of=whole)
        elif not any(found.partitions and span and covers(span, found.partitions) for found in of_check):
            self._open(failed)  # otherwise the partitions of the run that failed have told of themselves

    def _failed(self, event_id: int, entry: dg.EventLogEntry, run: dg.DagsterRun) -> None:
        failures = list(self.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE))
        common: dict[str, Any] = {
            "severity": "ERROR",
            "span": _span(run),
            "measured": "",
            "run_id": run.run_id,
            "since": entry.timestamp,
            "event_id": event_id,
            "last_failed_at": entry.timestamp,
        }
        for failure in failures:
            event = failure.get_dagster_event()
            if self._is_told_by_a_check(event):
                continue
            step = event.step_key
            assets = ", ".join(key.to_user_string() for key in self.definitions.assets_of(step))
            self._note(
                Incident(
                    kind="step",
                    asset=assets,
                    name=step if assets else f"{run.job_name}: {step}",
                    partitions=_span(run) if self.definitions.is_partitioned(step) else "",
                    owners=self.definitions.owners_of_step(step),
                    reason=_first_line(_cause(event)),
                    steps=(step,),
                    **common,
                )
            )
        if not failures:
            self._note(self._died(run, entry, common))

    def _died(self, run: dg.DagsterRun, entry: dg.EventLogEntry, common: Mapping[str, Any]) -> Incident:
        """A run that failed although no step did: killed, or never begun."""
        plan = run.execution_plan_snapshot_id
        planned = self.instance.get_execution_plan_snapshot(plan).step_keys_to_execute if plan else []
        unfinished = tuple(step for step in planned if step not in self._succeeded(run))
        owners = (owner for step in unfinished for owner in self.definitions.owners_of_step(step))
        return Incident(
            kind="run",
            asset="",
            name=run.job_name,
            partitions=_span(run),
            owners=tuple(dict.fromkeys(owners)),
            reason=_first_line(entry.get_dagster_event().message or ""),
            steps=unfinished,
            **common,
        )

    def _note(self, failed: Incident) -> None:
        if failed.key in self.open:
            self._again(failed)
        else:
            self._open(failed)

    def _is_told_by_a_check(self, failure: dg.DagsterEvent) -> bool:
        """Of a blocking check that failed, and of a promotion that was refused for it, the check itself tells."""
        data = failure.step_failure_data
        if data.error and data.error.cls_name == _FAILED_CHECK:
            return True
        refused = data.user_failure_data and "decision" in data.user_failure_data.metadata
        upstream = self.definitions.upstream_of(failure.step_key)
        return bool(refused) and any(found.kind == "check" and found.asset in upstream for found in self.open.values())

    def _recover_by(self, run: dg.DagsterRun, at: float) -> None:
        waiting = [found for found in self.open.values() if found.kind in ("step", "run")]
        if not waiting:
            return
        succeeded, span = self._succeeded(run), _span(run)
        for found in waiting:
            if found.run_id == run.run_id:
                continue
            left = tuple(step for step in found.steps if not self._recovered(found, step, succeeded, span))
            same_job = found.name == run.job_name and covers(span, found.partitions) and run.is_success
            if (found.steps and not left) or (not found.steps and same_job):
                self._close(found, at)
            elif left != found.steps:
                self._replace(replace(found, steps=left))

    def _recovered(self, found: Incident, step: str, succeeded: set[str], span: str) -> bool:
        of_partitions = found.partitions if self.definitions.is_partitioned(step) else ""
        if step in succeeded and covers(span, of_partitions):
            return True
        assets = self.definitions.assets_of(step)
        return bool(assets) and all(self._is_materialized(key, of_partitions, found.event_id) for key in assets)

    def _is_materialized(self, key: dg.AssetKey, partitions: str, after: int) -> bool:
        if not partitions:
            since = dg.AssetRecordsFilter(key, after_storage_id=after)
            return bool(self.instance.fetch_materializations(since, limit=1).records)
        keys = self.definitions.partition_keys(key, partitions)
        newest = self.instance.event_log_storage.get_latest_storage_id_by_partition(
            key, dg.DagsterEventType.ASSET_MATERIALIZATION, keys
        )
        return all(newest.get(partition, -1) > after for partition in keys)

    def _succeeded(self, run: dg.DagsterRun) -> set[str]:
        events = self.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_SUCCESS)
        return {entry.step_key for entry in events}

    def forget_what_is_over(self) -> None:
        """Drop the news of what both failed and recovered in this reading."""
        began = {incident.id for state, incident in self.news if state == "failed"}
        over = {incident.id for state, incident in self.news if state == "recovered"} & began
        self.news = [(state, incident) for state, incident in self.news if incident.id not in over]

    def _open(self, incident: Incident, instead_of: Incident | None = None) -> None:
        """Open an incident; one that stands for a part of another was told of with it, if that was told of."""
        is_news = True
        if instead_of is not None:
            incident = replace(incident, since=instead_of.since, message_id=instead_of.message_id)
            is_news = ("failed", instead_of.id) in [(state, other.id) for state, other in self.news]
            self.news = [(state, other) for state, other in self.news if other.id != instead_of.id]
            self._replace(replace(instead_of, closed_at=incident.last_failed_at))
        self._replace(incident)
        if is_news:
            self.news.append(("failed", incident))

    def _again(self, failed: Incident) -> None:
        before = self.open[failed.key]
        kept = {name: getattr(before, name) for name in ("since", "id", "message_id")}
        self._replace(replace(failed, failures=before.failures + 1, **kept))

    def _close(self, incident: Incident, at: float) -> None:
        closed = replace(incident, closed_at=at)
        self._replace(closed)
        self.news.append(("recovered", closed))

    def _replace(self, incident: Incident) -> None:
        self.changed[incident.id] = incident
        if incident.closed_at is None:
            self.open[incident.key] = incident
        else:
            self.open.pop(incident.key, None)


def covers(span: str, partitions: str) -> bool:
    """Whether a partition or range holds another; keys of time partitions sort as text. Everything holds the whole."""
    if not partitions:
        return True
    (first, last), (begin, end) = _ends(span), _ends(partitions)
    return first <= begin and end <= last


def measured(metadata: Mapping[str, dg.MetadataValue]) -> str:
    """A check's value against its bound, when its metadata names them so; else its numbers and its target."""
    plain = {name: value.value for name, value in metadata.items() if isinstance(value.value, str | int | float)}
    if "value" in plain and "bound" in plain:
        return f"{_short(plain['value'])} against {_short(plain['bound'])}"
    numbers = [
        f"{name} {_short(value)}"
        for name, value in plain.items()
        if name not in _AROUND and (name == "target" or not isinstance(value, str))
    ]
    return ", ".join(numbers[:_MOST_NUMBERS])


def _short(value: str | float) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _span(run: dg.DagsterRun) -> str:
    """The partition or the range of partitions that a run covers; "" when it has none."""
    if ASSET_PARTITION_RANGE_START_TAG in run.tags:
        first, last = run.tags[ASSET_PARTITION_RANGE_START_TAG], run.tags[ASSET_PARTITION_RANGE_END_TAG]
        return first if first == last else f"{first}{RANGE}{last}"
    return run.tags.get(PARTITION_NAME_TAG, "")


def _ends(partitions: str) -> tuple[str, str]:
    first, _, last = partitions.partition(RANGE)
    return first, last or first


def _cause(failure: dg.DagsterEvent) -> str:
    data = failure.step_failure_data
    if data.user_failure_data and data.user_failure_data.description:
        return data.user_failure_data.description
    return first_cause(data.error).message if data.error else failure.message or ""


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]
