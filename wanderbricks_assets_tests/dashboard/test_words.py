from datetime import date

import pytest

from wanderbricks_assets.dashboard.words import METRICS, day, metric, number, percent
from wanderbricks_assets.targets import TARGETS

MINUS = "\N{MINUS SIGN}"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (7.25, "7.25"), (0.5, "0.5"), (999.4, "999"), (999.6, "1k"), (1000, "1k"), (41_240, "41.2k"),
        (999_900, "1M"), (2_332_000, "2.33M"), (1.5e9, "1.5bn"), (-41_100, f"{MINUS}41.1k"), (100, "100"),
    ],
)  # fmt: skip
def test_a_number_has_three_digits_that_matter(value, text):
    assert number(value) == text


def test_what_is_not_known_is_a_dash():
    assert {number(None), number(float("nan")), percent(float("inf")), metric("rmse", None)} == {"\N{EN DASH}"}


def test_a_change_has_a_sign_and_none_where_nothing_changed():
    assert number(12, sign=True) == "+12"
    assert percent(0.0004, sign=True, digits=1) == "0.0%"
    assert percent(-0.0123, sign=True, digits=1) == f"{MINUS}1.2%"
    assert percent(0.41, sign=True) == "+41%"


def test_errors_and_lifts_are_told_in_percent_and_other_metrics_as_numbers():
    assert metric("decile_mape", 0.0481) == "4.8%"
    assert metric("rmse", 0.9174) == "0.917"


def test_every_metric_of_the_mission_has_a_name_for_people():
    assert {target.metric for target in TARGETS.values()} <= set(METRICS)


def test_a_day_is_written_out():
    assert day(date(2026, 3, 4)) == "4 Mar 2026"
