import pandas as pd
import pytest

from wanderbricks_assets.models.gates import (
    BEATS_BASELINE,
    CALIBRATED,
    MEETS_TARGET,
    NO_WORSE,
    compare,
    refusal,
    verdicts,
)
from wanderbricks_assets.models.model import Calibration, Interval, Scores
from wanderbricks_assets.targets import TARGETS

MAPE, AUC = TARGETS["revenue_forecaster"], TARGETS["conversion_predictor"]


def scores(value, lower, upper, baseline=0.5, losses=(), holds=True) -> Scores:
    named = pd.Series(dict(losses), dtype="float64")
    return Scores(
        metric=Interval(value, lower, upper),
        baseline=baseline,
        calibration=Calibration(holds, "80% covered"),
        losses=named,
    )


def passed(target, subject, champion=None) -> dict[str, bool]:
    return {verdict.gate: verdict.passed for verdict in verdicts(target, subject, champion)}


def test_a_lucky_point_does_not_pass_when_the_upper_end_misses_the_target():
    assert not passed(MAPE, scores(0.12, 0.10, 0.16))[MEETS_TARGET]
    assert passed(MAPE, scores(0.12, 0.10, 0.149))[MEETS_TARGET]


def test_of_a_metric_that_must_be_high_the_lower_end_counts():
    assert not passed(AUC, scores(0.78, 0.74, 0.80))[MEETS_TARGET]
    assert passed(AUC, scores(0.78, 0.751, 0.80))[MEETS_TARGET]


def test_a_metric_that_could_not_be_computed_passes_nothing():
    nothing = passed(MAPE, scores(float("nan"), float("nan"), float("nan"), baseline=float("nan")))
    assert not nothing[MEETS_TARGET]
    assert not nothing[BEATS_BASELINE]


def test_a_model_no_better_than_its_naive_baseline_fails():
    assert not passed(MAPE, scores(0.12, 0.11, 0.13, baseline=0.12))[BEATS_BASELINE]
    assert passed(AUC, scores(0.8, 0.79, 0.81, baseline=0.6))[BEATS_BASELINE]


def test_statements_of_uncertainty_that_do_not_hold_fail():
    assert not passed(MAPE, scores(0.1, 0.09, 0.11, holds=False))[CALIBRATED]


def test_a_challenger_worse_on_the_same_units_is_refused_and_a_tie_is_not():
    units = [f"origin {number}" for number in range(12)]
    champion = scores(0.1, 0.09, 0.11, losses=((unit, 1.0) for unit in units))
    worse = scores(0.1, 0.09, 0.11, losses=((unit, 1.2 + 0.01 * i) for i, unit in enumerate(units)))
    tie = scores(0.1, 0.09, 0.11, losses=((unit, 1 + (-1) ** i * 0.1) for i, unit in enumerate(units)))
    assert not compare(champion, tie).is_same
    assert compare(champion, champion).is_same
    assert not passed(MAPE, worse, champion)[NO_WORSE]
    assert passed(MAPE, tie, champion)[NO_WORSE]


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_is_never_good_enough(loss):
    units = [f"origin {number}" for number in range(10)]
    champion = scores(0.1, 0.09, 0.11, losses=((unit, loss if loss > 1 else 1.0) for unit in units))
    lost = scores(0.1, 0.09, 0.11, losses=((unit, loss if i == 0 else 1.0) for i, unit in enumerate(units)))
    assert not passed(MAPE, lost, champion)[NO_WORSE]


def test_a_mean_loss_more_than_a_twentieth_greater_is_refused_even_where_few_units_leave_doubt():
    units = [f"origin {number}" for number in range(10)]
    champion = scores(0.1, 0.09, 0.11, losses=((unit, 1.0) for unit in units))
    doubtful = scores(0.1, 0.09, 0.11, losses=((unit, 2.4 if i == 0 else 1.0) for i, unit in enumerate(units)))
    assert compare(champion, doubtful).difference.lower < 0
    assert not passed(MAPE, doubtful, champion)[NO_WORSE]


def test_two_common_units_are_too_few_to_compare():
    champion = scores(0.10, 0.09, 0.11, losses={"a": 1.0, "b": 1.0}.items())
    other = scores(0.14, 0.13, 0.15, losses={"a": 1.0, "b": 1.0}.items())
    assert compare(champion, other) is None
    assert not passed(MAPE, other, champion)[NO_WORSE]


def test_a_lucky_point_does_not_beat_the_baseline():
    assert not passed(MAPE, scores(0.12, 0.10, 0.14, baseline=0.13))[BEATS_BASELINE]


def test_without_common_units_only_clearly_separate_intervals_refuse():
    champion = scores(0.10, 0.09, 0.11)
    assert passed(MAPE, scores(0.11, 0.10, 0.12), champion)[NO_WORSE]
    assert not passed(MAPE, scores(0.14, 0.13, 0.145), champion)[NO_WORSE]
    assert passed(MAPE, scores(0.05, 0.04, 0.06), champion)[NO_WORSE]


def test_a_model_that_could_not_be_trained_fails_every_gate_with_the_reason():
    assert {verdict.reason for verdict in refusal("no views")} == {"no views"}
    assert not any(verdict.passed for verdict in refusal("no views"))


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.model)
def test_a_target_is_a_strict_bound(target):
    assert not target.keeps(target.bound)
