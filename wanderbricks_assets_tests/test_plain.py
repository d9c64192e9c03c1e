"""Numbers that JSON cannot say are null, wherever they stand."""

import json

import numpy as np
import pandas as pd

from wanderbricks_assets.backtesting import BacktestResult
from wanderbricks_assets.plain import plain
from wanderbricks_assets.scoreboard import Row


def test_a_number_that_is_not_finite_is_null_and_everything_else_stays():
    given = {"a": [1, 1.5, float("nan"), "x"], "b": {"c": float("-inf")}, "d": None, "e": np.float64("nan"), "f": True}
    assert plain(given) == {"a": [1, 1.5, None, "x"], "b": {"c": None}, "d": None, "e": None, "f": True}


def test_a_backtest_without_a_value_is_valid_json():
    rows = pd.DataFrame({"method": ["prophet"], "horizon": [30], "metric": ["mape"], "value": [float("nan")]})
    text = json.dumps(BacktestResult("revenue_forecaster", [], rows).as_json(), allow_nan=False)
    assert json.loads(text)["rows"] == [{"method": "prophet", "horizon": 30, "metric": "mape", "value": None}]


def test_a_row_of_the_scoreboard_without_an_interval_is_valid_json():
    row = Row(
        model="revenue_forecaster", metric="mape", target=0.15, value=0.1, lower=float("nan"), upper=float("inf"),
        baseline=0.4, floor=None, passed=False, stage=None, version=None, as_of="2024-01-08", reason="no interval",
    )  # fmt: skip
    told = json.loads(json.dumps(row.as_json(), allow_nan=False))
    assert (told["value"], told["lower"], told["upper"], told["passed"]) == (0.1, None, None, False)
