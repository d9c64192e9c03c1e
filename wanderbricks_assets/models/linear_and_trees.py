"""A linear model that carries on beyond what it saw, and trees that correct it where there is much to see."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from wanderbricks_assets.lazy import np
from wanderbricks_assets.models.frames import standardized

if TYPE_CHECKING:
    from xgboost import Booster


@dataclass(frozen=True)
class LinearAndTrees:
    """A generalized linear model of the first columns; its linear predictor is where the boosting of all columns begins
    (a classical model nested in a flexible one: Wuethrich and Merz 2019, ASTIN Bulletin 49).

    objective: "binary:logistic" for a probability, "reg:gamma" for a positive value with a heavy tail (log link).
    """

    objective: str
    mean: np.ndarray
    scale: np.ndarray
    coefficient: np.ndarray
    intercept: float
    booster: Booster

    # Shallow and few: the linear part has said most of it.
    params = {  # noqa: RUF012
        "max_depth": 3,
        "eta": 0.05,
        "min_child_weight": 20.0,
        "lambda": 5.0,
        "subsample": 0.8,
        "colsample_bytree": 0.7,
        "nthread": 1,
    }
    rounds = 120

    @classmethod
    def fit(cls, x: np.ndarray, y: np.ndarray, linear: int, objective: str, seed: int) -> Self:
        """x: [rows, columns] with NaN where missing, of which the first `linear` are for the linear part."""
        import xgboost as xgb
        from sklearn.linear_model import GammaRegressor, LogisticRegression

        first = x[:, :linear]
        mean, scale = np.nanmean(first, axis=0), np.nanstd(first, axis=0)
        scale = np.where(scale > 0, scale, 1.0)
        kind = LogisticRegression() if objective == "binary:logistic" else GammaRegressor(alpha=1e-3, max_iter=500)
        fitted = kind.fit(standardized(first, mean, scale), y)
        coefficient, intercept = np.ravel(fitted.coef_), float(np.ravel(fitted.intercept_)[0])
        begin = standardized(first, mean, scale) @ coefficient + intercept
        data = xgb.DMatrix(x, y, base_margin=begin, nthread=1)
        booster = xgb.train(cls.params | {"objective": objective, "seed": seed}, data, cls.rounds)
        return cls(objective, mean, scale, coefficient, intercept, booster)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """[rows] probability, or expected value."""
        first = x[:, : len(self.mean)]
        begin = standardized(first, self.mean, self.scale) @ self.coefficient + self.intercept
        return self.booster.inplace_predict(x, base_margin=begin, validate_features=False).astype(float)

    def save(self, folder: Path) -> None:
        arrays = {name: getattr(self, name).tolist() for name in ("mean", "scale", "coefficient")}
        linear = {"objective": self.objective, **arrays, "intercept": self.intercept}
        (folder / "linear.json").write_text(json.dumps(linear, indent=2))
        self.booster.save_model(folder / "trees.ubj")

    @classmethod
    def load(cls, folder: Path) -> Self:
        import xgboost as xgb

        linear: dict[str, Any] = json.loads((folder / "linear.json").read_text())
        linear |= {name: np.array(linear[name]) for name in ("mean", "scale", "coefficient")}
        booster = xgb.Booster({"nthread": cls.params["nthread"]}, model_file=folder / "trees.ubj")
        return cls(**linear, booster=booster)
