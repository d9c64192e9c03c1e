"""A strong method that anybody can have, per task: what a model must beat to be worth its code."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Self

import lightgbm
import numpy as np
import pandas as pd

from wanderbricks_assets.models.conversion_features import LABEL
from wanderbricks_assets.models.conversion_predictor import CLASSIFIERS, ConversionPredictor
from wanderbricks_assets.models.demand_features import CATEGORIES
from wanderbricks_assets.models.demand_predictor import FEATURES, DemandPredictor
from wanderbricks_assets.models.model import Evaluation, Tables
from wanderbricks_assets.models.revenue_evaluation import HORIZONS
from wanderbricks_assets.models.revenue_features import LAST_YEAR, read_books

QUIET = {"verbosity": -1, "n_jobs": 1, "random_state": 0}


class PlainLightGbm(ConversionPredictor):
    """LightGBM as it comes, on the same rows and columns, split alike by the evaluation that it inherits."""

    def fit(self, training: pd.DataFrame) -> Self:
        self.learn_columns(training)
        self.candidates = dict.fromkeys(CLASSIFIERS, self)  # the evaluation compares these too
        self.booster = lightgbm.LGBMClassifier(**QUIET).fit(self.matrix(training), training[LABEL])
        return self

    def logit(self, x: np.ndarray) -> np.ndarray:
        return self.booster.predict_proba(x, raw_score=True)

    def probability(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        probability = self.booster.predict_proba(x)[:, 1]
        return probability, probability, probability


def _revenue(tables: Tables, cutoff: datetime, evaluation: Evaluation) -> float:
    """MAPE over 30 days from revenue alone: seasons of week and year by MSTL, the rest by AutoETS (statsforecast)."""
    from statsforecast.models import MSTL, AutoETS

    books, rows, errors = read_books(tables, cutoff), evaluation.rows, []
    month = rows[(rows["horizon_days"] <= HORIZONS[0]) & (rows["actual"] > 0)]
    for origin, days in month.groupby("origin"):
        past = books.revenue[: books.index(pd.Timestamp(origin).date())]
        seasons = [7, LAST_YEAR] if len(past) >= 2 * LAST_YEAR else [7]
        model = MSTL(seasons, trend_forecaster=AutoETS(model="ZZN"))
        forecast = np.maximum(model.forecast(past, h=HORIZONS[0])["mean"], 0.0)
        expected = forecast[days["horizon_days"].to_numpy("int64") - 1]
        errors.append(np.abs(expected / days["actual"].to_numpy() - 1).mean())
    return float(np.mean(errors))


def _conversion(tables: Tables, cutoff: datetime, evaluation: Evaluation) -> float:
    return PlainLightGbm.evaluate(tables, cutoff).metric.value


def _demand(tables: Tables, cutoff: datetime, evaluation: Evaluation) -> float:
    """RMSE of LightGBM as it comes on the bookings of a cell, at the evaluated origins and properties."""
    squares = []
    for origin, rows in evaluation.rows.groupby("origin"):
        moment = pd.Timestamp(origin).to_pydatetime()
        training, asked = DemandPredictor.training_set(tables, moment), DemandPredictor.inputs(tables, moment)
        learner = DemandPredictor()  # for its columns only
        learner.categories = {name: sorted(training[name].dropna().unique()) for name in CATEGORIES}
        plain = lightgbm.LGBMRegressor(**QUIET)
        plain.fit(_numbers(learner, training), training["bookings"], sample_weight=training["weight"])
        expected = pd.Series(plain.predict(_numbers(learner, asked))).groupby(asked["property_id"].to_numpy()).sum()
        squares.append((rows["actual"] - rows["property_id"].map(expected).fillna(0.0)) ** 2)
    return float(np.sqrt(pd.concat(squares).mean()))


def _numbers(learner: DemandPredictor, rows: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(learner.matrix(rows), columns=FEATURES)


RIVALS: dict[str, tuple[str, Callable[[Tables, datetime, Evaluation], float]]] = {
    "revenue_forecaster": ("AutoETS", _revenue),
    "demand_predictor": ("LightGBM", _demand),
    "conversion_predictor": ("LightGBM", _conversion),
    "pricing_optimizer": ("keep prices", lambda tables, cutoff, evaluation: 0.0),
    "customer_ltv": ("BG/NBD", lambda tables, cutoff, evaluation: evaluation.metrics["decile_mape_bg_nbd"]),
}
