"""What comes to the source late is answered by the partitions that it touches, and by no others."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Self

import dagster as dg

from wanderbricks_assets.automation.asking import Asking
from wanderbricks_assets.automation.jobs import ENGAGEMENT, GOLD_AND_FEATURES, PREDICTIONS
from wanderbricks_assets.automation.journal import Observation, SourceJournal
from wanderbricks_assets.automation.late_data import LateData
from wanderbricks_assets.automation.plans import Planned, Planner
from wanderbricks_assets.automation.schedules import naive_now
from wanderbricks_assets.models.registry import ModelRegistry
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.resources.source import FilesSource

LATE = "wanderbricks/late"  # tag of a run: the observation that found the late data, and the run's place in its plan
_ATTEMPTS = 3


@dataclass(frozen=True)
class _Cursor:
    """The observation that has been answered, and what is still to be run for it, in stages.

    Runs are asked for only from a stored cursor: a daemon that is killed asks for the same again, under the same keys.
    """

    seen: str | None = None
    stages: list[list[Planned]] = field(default_factory=list)

    @classmethod
    def of(cls, text: str | None) -> Self:
        if text is None:
            return cls()
        saved = json.loads(text)
        stages = [[Planned(**run | {"assets": tuple(run["assets"])}) for run in stage] for stage in saved["stages"]]
        return cls(saved["seen"], stages)

    def __str__(self) -> str:
        runs = [[asdict(run) for run in stage] for stage in self.stages]
        for run in (run for stage in runs for run in stage):
            del run["settle"]
        return json.dumps({"seen": self.seen, "stages": runs})


@dg.sensor(
    jobs=[GOLD_AND_FEATURES, ENGAGEMENT, PREDICTIONS],
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Observes the marketplace's tables and asks for the partitions that late data touches.",
)
def source_sensor(
    context: dg.SensorEvaluationContext,
    lake: Lake,
    source: FilesSource,
    registry: ModelRegistry,
    journal: SourceJournal,
) -> dg.SensorResult:
    planner = Planner(context.repository_def, context.instance, lake, source, registry)
    cursor = _Cursor.of(context.cursor)
    names = journal.names()
    if cursor.stages:
        return _next_runs(cursor, Asking(planner, naive_now()))
    if not names or cursor.seen not in (None, *names):  # nothing to compare with: nobody looked before
        first = names[0] if names else journal.observe(source).name
        return dg.SensorResult(skip_reason="From here on the source is watched.", cursor=str(_Cursor(first)))
    seen = cursor.seen or names[0]
    journal.forget(*(name for name in names if name < seen))
    # Observations of others come first: what was materialized after them has read what they saw.
    following = next((name for name in names if name > seen), None)
    newer = journal.read(following) if following else journal.observe(source)
    if newer.name == seen:
        return dg.SensorResult(skip_reason=f"Nothing has changed since observation {seen}.", cursor=str(_Cursor(seen)))
    changed = newer.changes_since(journal.read(seen))
    stages = LateData(planner, changed, newer.at, naive_now()).stages()
    runs = sum(map(len, stages))
    came = ", ".join(sorted(changed)) or "no rows"
    return dg.SensorResult(
        skip_reason=f"Changed: {came}. "
        + (f"{runs} runs follow, in {len(stages)} stages." if runs else "Nothing that was materialized is touched."),
        cursor=str(_Cursor(newer.name, stages)),
        asset_events=_observations(newer, changed),
    )


def _next_runs(cursor: _Cursor, asking: Asking) -> dg.SensorResult:
    """The runs of the first stage that is not done."""
    number = len(cursor.stages)  # counts down, and so differs for each stage of an observation
    requests, reasons = [], []
    for place, planned in enumerate(cursor.stages[0]):
        found = _asked(asking, planned, f"{cursor.seen}/{number}/{place}")
        if isinstance(found, dg.RunRequest):
            requests.append(found)
        elif found is not None:
            reasons.append(found)
    if not requests and not reasons:
        cursor = replace(cursor, stages=cursor.stages[1:])
        reasons = [f"A stage of late data is done, {len(cursor.stages)} are left."]
    if requests:
        return dg.SensorResult(run_requests=requests, cursor=str(cursor))
    return dg.SensorResult(skip_reason=" ".join(reasons), cursor=str(cursor))


def _asked(asking: Asking, planned: Planned, late: str) -> dg.RunRequest | str | None:
    """The request for a run, the sentence why it waits, or None when it is done or has failed too often."""
    runs = asking.planner.instance.get_runs(dg.RunsFilter(tags={LATE: late}))
    if not all(run.is_finished for run in runs):
        return f"Run {runs[0].run_id[:8]} is under way."
    if len(runs) >= _ATTEMPTS or any(run.is_success for run in runs):
        return None
    found = asking.request(planned)
    if isinstance(found, dg.SkipReason):
        return found.skip_message
    return found.with_replaced_attrs(run_key=f"{late}/{len(runs)}", tags={**found.tags, LATE: late})


def _observations(newer: Observation, changed: Iterable[str]) -> list[dg.AssetObservation]:
    return [dg.AssetObservation(table, metadata=newer.summary(table)) for table in sorted(changed)]
