"""What a version must show before it may serve. Checks display these verdicts; promotion obeys them."""

from __future__ import annotations

from dataclasses import dataclass

from wanderbricks_assets.lazy import np
from wanderbricks_assets.models.model import Evaluation
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


def verdicts(target: Target, evaluation: Evaluation, champion: Evaluation | None) -> list[Verdict]:
    """All gates of an evaluated version; `champion` is the evaluation of the version now serving, if another."""
    metric, cautious = evaluation.metric, evaluation.metric.cautious(target)
    meets = bool(np.isfinite(cautious)) and target.keeps(cautious)
    beats = bool(np.isfinite(evaluation.baseline)) and target.better(metric.value, evaluation.baseline)
    return [
        Verdict(
            MEETS_TARGET,
            meets,
            f"{target.metric} {metric.value:.4g} [{metric.lower:.4g}, {metric.upper:.4g}], "
            f"target {target.sign} {target.bound:g}: {'kept' if meets else 'missed'} at {cautious:.4g}",
        ),
        Verdict(BEATS_BASELINE, beats, f"{target.metric} {metric.value:.4g} against {evaluation.baseline:.4g}"),
        _against(champion, evaluation, target),
        Verdict(CALIBRATED, bool(evaluation.calibration.holds), evaluation.calibration.statement),
    ]


def refusal(reason: str) -> list[Verdict]:
    """All gates of a model that could not be trained: none is passed."""
    return [Verdict(gate, False, reason) for gate in GATES]


def _against(champion: Evaluation | None, challenger: Evaluation, target: Target) -> Verdict:
    if champion is None:
        return Verdict(NO_WORSE, True, "no other version serves yet")
    paired = challenger.losses.to_frame("challenger").join(champion.losses.rename("champion"), how="inner")
    if len(paired) < 2:
        # Without common units only the intervals can be compared: a clear loss shows as a gap between them.
        best, worst = sorted((challenger.metric, champion.metric), key=lambda metric: metric.value)
        is_gap = best.upper < worst.lower
        passed = not is_gap or target.better(challenger.metric.value, champion.metric.value)
        return Verdict(NO_WORSE, passed, f"{len(paired)} common units; the intervals {'do not ' * is_gap}overlap")
    difference = (paired["challenger"] - paired["champion"]).to_numpy()
    draws = np.random.default_rng(0).integers(len(difference), size=(_RESAMPLES, len(difference)))
    lower, upper = np.quantile(difference[draws].mean(axis=1), [0.05, 0.95])
    passed = bool(lower <= 0)
    return Verdict(
        NO_WORSE,
        passed,
        f"mean loss differs by {difference.mean():.4g} [{lower:.4g}, {upper:.4g}] from the champion's "
        f"on {len(paired)} common units: {'not worse' if passed else 'worse'}",
    )
