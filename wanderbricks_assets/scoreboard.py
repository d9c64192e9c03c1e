"""How good each model is, in one row: its metric against target, naive baseline and, in simulation, the floor."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import ClassVar

import dagster as dg

from wanderbricks_assets.floors import MEANING, floor
from wanderbricks_assets.models.lifecycle import judge
from wanderbricks_assets.models.registry import ModelRegistry
from wanderbricks_assets.models.versions import Candidate
from wanderbricks_assets.partitions import WEEKLY, ended, window_of
from wanderbricks_assets.plain import plain
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.resources.source import FilesSource
from wanderbricks_assets.targets import TARGETS, Target


@dataclass(frozen=True)
class Row:
    """One model. Values, bounds and percentage errors are fractions; `reason` says why it did not pass.

    The value is that of the newest training; `version` and `stage` are of what serves, which may be an older one.
    """

    model: str
    metric: str
    target: float
    value: float | None
    lower: float | None
    upper: float | None
    baseline: float | None
    floor: float | None
    passed: bool
    stage: str | None
    version: str | None
    as_of: str | None
    reason: str | None

    HEADINGS: ClassVar[tuple[str, ...]] = (
        "model", "metric", "target", "value", "90% interval", "naive", "floor", "passed", "champion", "as of",
    )  # fmt: skip

    def as_json(self) -> dict[str, object]:
        """Plain JSON: a number that is not finite is null."""
        return plain(asdict(self))

    def cells(self) -> list[str]:
        interval = f"{self.lower:.4g} to {self.upper:.4g}" if self.value is not None else ""
        champion = f"{self.stage} v{self.version}" if self.version else "none"
        numbers = [f"{value:.4g}" if value is not None else "" for value in (self.value, self.baseline, self.floor)]
        target = TARGETS[self.model]
        return [
            self.model,
            self.metric,
            f"{target.sign} {target.bound:g}",
            numbers[0],
            interval,
            *numbers[1:],
            "yes" if self.passed else "NO",
            champion,
            self.as_of or "",
        ]


def scoreboard_rows(
    registry: ModelRegistry,
    lake: Lake,
    source: FilesSource | None,
    floors: bool = True,
    moment: datetime | None = None,
) -> list[Row]:
    """One row per model of the mission, trained or not, as it stands or as it stood at a moment.

    Floors are left out unless asked for: they read the truth, which lies beside the source.
    """
    return [_row(target, registry, lake, source, floors, moment) for target in TARGETS.values()]


def _row(
    target: Target, registry: ModelRegistry, lake: Lake, source: FilesSource, floors: bool, moment: datetime | None
) -> Row:
    candidate = registry.candidate(target) if moment is None else _candidate_at(moment, target, registry)
    failed = [verdict for verdict in judge(target, candidate, registry) if not verdict.passed]
    serving = registry.serving_version(target, moment)
    scores = registry.scores(candidate.run_id) if candidate and candidate.version else None
    return Row(
        model=target.model,
        metric=target.metric,
        target=target.bound,
        value=scores.metric.value if scores else None,
        lower=scores.metric.lower if scores else None,
        upper=scores.metric.upper if scores else None,
        baseline=scores.baseline if scores else None,
        floor=_floor(target, candidate.run_id, registry, lake, source) if scores and floors else None,
        passed=not failed,
        stage=target.stage if serving else None,
        version=serving,
        as_of=candidate.cutoff.date().isoformat() if candidate else None,
        reason="; ".join(dict.fromkeys(verdict.reason for verdict in failed)) or None,
    )


def _floor(target: Target, run_id: str, registry: ModelRegistry, lake: Lake, source: FilesSource) -> float | None:
    """Measured once, and then on record."""
    value = registry.floor(run_id)
    if value is None:
        value = floor(target.model, registry.evaluated_rows(run_id), lake, source)
        if value is not None:
            registry.record_floor(run_id, value, MEANING[target.model])
    return value


def _candidate_at(moment: datetime, target: Target, registry: ModelRegistry) -> Candidate | None:
    """The training of the newest week that had ended."""
    weeks = ended(WEEKLY, moment)
    if not weeks:
        return None
    return registry.candidate(target, window_of(WEEKLY, dg.PartitionKeyRange(weeks[-1], weeks[-1])).end)
