"""What a version must show before it may serve. Checks display these verdicts; promotion obeys them."""

from __future__ import annotations

from dataclasses import dataclass

from wanderbricks_assets.lazy import np
from wanderbricks_assets.models.bootstrap import mean_interval
from wanderbricks_assets.models.model import Interval, Scores
from wanderbricks_assets.targets import Target

MEETS_TARGET = "meets_target"
BEATS_BASELINE = "beats_naive_baseline"
NO_WORSE = "no_worse_than_champion"
CALIBRATED = "is_calibrated"
GATES = {
    MEETS_TARGET: "The cautious end of the metric's 90% interval keeps the target of the mission.",
    BEATS_BASELINE: "The cautious end of the metric's interval is better than the naive baseline on the same rows.",
    NO_WORSE: "On the units that both evaluated, the mean loss is not greater than the champion's, surely or by 5%.",
    CALIBRATED: "The model's own statements of uncertainty hold.",
}
_MARGIN = 0.05  # of the champion's mean loss: few units may hide that much in their interval
_FEWEST_UNITS = 6


@dataclass(frozen=True)
class Verdict:
    """One gate: whether it is passed, and the sentence that says why."""

    gate: str
    passed: bool
    reason: str


@dataclass(frozen=True)
class Comparison:
    """By how much the challenger's mean loss differs from the champion's on the units that both evaluated, with its 90%
    interval, and the champion's mean loss on them."""

    difference: Interval
    champion: float
    units: int

    @property
    def is_same(self) -> bool:
        """Whether both gave the same loss everywhere, as one method fitted to the same history does."""
        return self.difference == Interval(0.0, 0.0, 0.0)

    @property
    def is_worse(self) -> bool:
        """Surely, or by more than the margin. A loss that is not a number is never good enough."""
        is_known = np.isfinite([self.difference.value, self.difference.lower]).all()
        return not is_known or self.difference.lower > 0 or self.difference.value > _MARGIN * abs(self.champion)

    @property
    def is_better(self) -> bool:
        return self.difference.upper < 0

    def __str__(self) -> str:
        if self.is_same:
            return f"the same losses on {self.units} common units, as of one method"
        how = "worse" if self.is_worse else "better" if self.is_better else "not worse"
        difference = self.difference
        return (
            f"mean loss differs by {difference.value:.4g} [{difference.lower:.4g}, {difference.upper:.4g}] from the "
            f"champion's {self.champion:.4g} on {self.units} common units: {how}"
        )


def compare(champion: Scores, challenger: Scores) -> Comparison | None:
    """None with fewer than _FEWEST_UNITS common units."""
    paired = challenger.losses.to_frame("challenger").join(champion.losses.rename("champion"), how="inner")
    if len(paired) < _FEWEST_UNITS:
        return None
    difference = mean_interval(paired["challenger"] - paired["champion"])
    return Comparison(difference, float(paired["champion"].mean()), len(paired))


def verdicts(target: Target, scores: Scores, champion: Scores | None) -> list[Verdict]:
    """All gates of an evaluated version; `champion` holds the scores of the version now serving, if another."""
    metric, cautious = scores.metric, scores.metric.cautious(target)
    meets = bool(np.isfinite(cautious)) and target.keeps(cautious)
    beats = bool(np.isfinite([cautious, scores.baseline]).all()) and target.better(cautious, scores.baseline)
    return [
        Verdict(
            MEETS_TARGET,
            meets,
            f"{target.metric} {metric.value:.4g} [{metric.lower:.4g}, {metric.upper:.4g}], "
            f"target {target.sign} {target.bound:g}: {'kept' if meets else 'missed'} at {cautious:.4g}",
        ),
        Verdict(
            BEATS_BASELINE, beats, f"{target.metric} {cautious:.4g} at its cautious end, {scores.baseline:.4g} naively"
        ),
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
        low, high = sorted((challenger.metric, champion.metric), key=lambda metric: metric.value)
        is_gap = not low.upper >= high.lower
        passed = not is_gap or target.better(challenger.metric.value, champion.metric.value)
        few = f"fewer than {_FEWEST_UNITS} common units"
        return Verdict(NO_WORSE, passed, f"{few}; the intervals {'do not ' * is_gap}overlap")
    return Verdict(NO_WORSE, not comparison.is_worse, str(comparison))
