"""What a version must show before it may serve. Checks display these verdicts; promotion obeys them."""

from __future__ import annotations

from dataclasses import dataclass

from wanderbricks_assets.lazy import np
from wanderbricks_assets.models.model import Scores
from wanderbricks_assets.targets import Target

MEETS_TARGET = "meets_target"
BEATS_BASELINE = "beats_naive_baseline"
NO_WORSE = "no_worse_than_champion"
CALIBRATED = "is_calibrated"
GATES = {
    MEETS_TARGET: "The cautious end of the metric's 90% interval keeps the target of the mission.",
    BEATS_BASELINE: "The metric is better than that of the naive baseline on the same rows.",
    NO_WORSE: "On the units that both evaluated, the loss is not significantly greater than the champion's.",
    CALIBRATED: "The model's own statements of uncertainty hold.",
}
_RESAMPLES = 2000


@dataclass(frozen=True)
class Verdict:
    """One gate: whether it is passed, and the sentence that says why."""

    gate: str
    passed: bool
    reason: str


@dataclass(frozen=True)
class Comparison:
    """By how much the challenger's mean loss differs from the champion's on the units that both evaluated, with its 90%
    interval by the bootstrap over units."""

    difference: float
    lower: float
    upper: float
    units: int

    @property
    def is_worse(self) -> bool:
        return self.lower > 0

    @property
    def is_better(self) -> bool:
        return self.upper < 0

    def __str__(self) -> str:
        how = "worse" if self.is_worse else "better" if self.is_better else "not worse"
        return (
            f"mean loss differs by {self.difference:.4g} [{self.lower:.4g}, {self.upper:.4g}] from the champion's "
            f"on {self.units} common units: {how}"
        )


def compare(champion: Scores, challenger: Scores) -> Comparison | None:
    """None without at least two common units."""
    paired = challenger.losses.to_frame("challenger").join(champion.losses.rename("champion"), how="inner")
    if len(paired) < 2:
        return None
    difference = (paired["challenger"] - paired["champion"]).to_numpy()
    draws = np.random.default_rng(0).integers(len(difference), size=(_RESAMPLES, len(difference)))
    lower, upper = np.quantile(difference[draws].mean(axis=1), [0.05, 0.95])
    return Comparison(float(difference.mean()), float(lower), float(upper), len(paired))


def verdicts(target: Target, scores: Scores, champion: Scores | None) -> list[Verdict]:
    """All gates of an evaluated version; `champion` holds the scores of the version now serving, if another."""
    metric, cautious = scores.metric, scores.metric.cautious(target)
    meets = bool(np.isfinite(cautious)) and target.keeps(cautious)
    beats = bool(np.isfinite(scores.baseline)) and target.better(metric.value, scores.baseline)
    return [
        Verdict(
            MEETS_TARGET,
            meets,
            f"{target.metric} {metric.value:.4g} [{metric.lower:.4g}, {metric.upper:.4g}], "
            f"target {target.sign} {target.bound:g}: {'kept' if meets else 'missed'} at {cautious:.4g}",
        ),
        Verdict(BEATS_BASELINE, beats, f"{target.metric} {metric.value:.4g} against {scores.baseline:.4g}"),
        _against(champion, scores, target),
        Verdict(CALIBRATED, bool(scores.calibration.holds), scores.calibration.statement),
    ]


def refusal(reason: str) -> list[Verdict]:
    """All gates of a model that could not be trained: none is passed."""
    return [Verdict(gate, False, reason) for gate in GATES]


def _against(champion: Scores | None, challenger: Scores, target: Target) -> Verdict:
    if champion is None:
        return Verdict(NO_WORSE, True, "no other version serves yet")
    comparison = compare(champion, challenger)
    if comparison is None:
        # Without common units only the intervals can be compared: a clear loss shows as a gap between them.
        best, worst = sorted((challenger.metric, champion.metric), key=lambda metric: metric.value)
        is_gap = best.upper < worst.lower
        passed = not is_gap or target.better(challenger.metric.value, champion.metric.value)
        return Verdict(NO_WORSE, passed, f"no common units; the intervals {'do not ' * is_gap}overlap")
    return Verdict(NO_WORSE, not comparison.is_worse, str(comparison))
