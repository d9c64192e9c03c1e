"""The two kinds of binary classifier that compete for conversion: what they need to fit, explain, save and load."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from wanderbricks_assets.lazy import np
from wanderbricks_assets.models.frames import standardized
from wanderbricks_assets.models.one_thread import one_thread


class Classifier(Protocol):
    """A fitted classifier. x is [rows, columns] of float64 with NaN where a value is missing."""

    kind: str

    @classmethod
    def fit(cls, x: np.ndarray, y: np.ndarray, seed: int) -> Self: ...

    def logit(self, x: np.ndarray) -> np.ndarray:
        """[rows] log odds of a 1."""
        ...

    def contributions(self, x: np.ndarray) -> np.ndarray:
        """[rows, columns + 1] what each column adds to the log odds; the last is the base. A row sums to its logit."""
        ...

    def save(self, folder: Path) -> None: ...

    @classmethod
    def load(cls, folder: Path) -> Self: ...


@dataclass(frozen=True)
class Logistic:
    """Logistic regression on standardized columns; a missing value counts as the mean. Applied with numpy alone."""

    kind = "logistic_regression"
    mean: np.ndarray
    scale: np.ndarray
    coefficient: np.ndarray
    intercept: float

    @classmethod
    @one_thread
    def fit(cls, x: np.ndarray, y: np.ndarray, seed: int) -> Self:
        from sklearn.linear_model import LogisticRegression

        known = ~np.isnan(x)
        count = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, x, 0.0).sum(axis=0) / count
        scale = np.sqrt((np.where(known, x - mean, 0.0) ** 2).sum(axis=0) / count)
        scale = np.where(scale > 0, scale, 1.0)
        z = np.where(known, (x - mean) / scale, 0.0)
        fitted = LogisticRegression(C=0.1, solver="newton-cholesky").fit(z, y)
        return cls(mean, scale, fitted.coef_[0], float(fitted.intercept_[0]))

    def logit(self, x: np.ndarray) -> np.ndarray:
        # Not a product of matrices, whose sums depend on the threads that share them.
        return np.einsum("ij,j->i", standardized(x, self.mean, self.scale), self.coefficient) + self.intercept

    def contributions(self, x: np.ndarray) -> np.ndarray:
        parts = standardized(x, self.mean, self.scale) * self.coefficient
        return np.column_stack([parts, np.full(len(x), self.intercept)])

    def save(self, folder: Path) -> None:
        arrays = {name: getattr(self, name).tolist() for name in ("mean", "scale", "coefficient")}
        (folder / "logistic.json").write_text(json.dumps(arrays | {"intercept": self.intercept}))

    @classmethod
    def load(cls, folder: Path) -> Self:
        saved = json.loads((folder / "logistic.json").read_text())
        mean, scale, coefficient = (np.array(saved[name]) for name in ("mean", "scale", "coefficient"))
        return cls(mean, scale, coefficient, saved["intercept"])


class Trees:
    """Gradient boosted trees."""

    kind = "xgboost"
    # Shallow and slow: few rows are positive, and rows of a user repeat each other.
    params = {  # noqa: RUF012
        "objective": "binary:logistic",
        "max_depth": 3,
        "eta": 0.2,
        "min_child_weight": 5.0,
        "lambda": 5.0,
        "subsample": 0.7,
        "colsample_bytree": 0.7,
        "max_bin": 64,
        "nthread": 1,
    }
    rounds = 60

    def __init__(self, booster):
        self.booster = booster

    @classmethod
    def fit(cls, x: np.ndarray, y: np.ndarray, seed: int) -> Self:
        import xgboost as xgb

        # The rate of the data as the base, from the data alone (XGBoost's own guess is the same to a few digits).
        params = cls.params | {"seed": seed, "base_score": float(y.mean())}
        return cls(xgb.train(params, xgb.DMatrix(x, y, nthread=1), cls.rounds))

    def logit(self, x: np.ndarray) -> np.ndarray:
        return self.booster.inplace_predict(x, predict_type="margin", validate_features=False).astype(float)

    def contributions(self, x: np.ndarray) -> np.ndarray:
        import xgboost as xgb

        return self.booster.predict(xgb.DMatrix(x, nthread=1), pred_contribs=True).astype(float)

    def save(self, folder: Path) -> None:
        self.booster.save_model(folder / "trees.ubj")

    @classmethod
    def load(cls, folder: Path) -> Self:
        import xgboost as xgb

        return cls(xgb.Booster({"nthread": cls.params["nthread"]}, model_file=folder / "trees.ubj"))


CLASSIFIERS: dict[str, type[Classifier]] = {kind.kind: kind for kind in (Logistic, Trees)}


@dataclass(frozen=True)
class Calibrated:
    """A classifier, its log odds brought to the level and spread of later views (Platt 1999).

    They become slope * logit + intercept: the order of the scores stays, and so do the shares of the contributions.
    """

    classifier: Classifier
    slope: float
    intercept: float

    @classmethod
    @one_thread
    def on(cls, classifier: Classifier, x: np.ndarray, y: np.ndarray) -> Self:
        from sklearn.linear_model import LogisticRegression

        platt = LogisticRegression(C=np.inf, solver="newton-cholesky").fit(classifier.logit(x)[:, None], y)
        return cls(classifier, float(platt.coef_[0, 0]), float(platt.intercept_[0]))

    def logit(self, x: np.ndarray) -> np.ndarray:
        return self.slope * self.classifier.logit(x) + self.intercept


def sigmoid(logit: np.ndarray) -> np.ndarray:
    from scipy.special import expit

    return expit(logit)


def log_loss(actual: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """[rows] the negative log likelihood of each row; never infinite."""
    probability = np.clip(probability, 1e-9, 1 - 1e-9)
    return -np.where(actual == 1, np.log(probability), np.log1p(-probability))
