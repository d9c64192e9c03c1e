"""The two libraries that compete for demand: gradient boosted trees for counts, with the same questions to both."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Protocol, Self

from wanderbricks_assets.lazy import np, pd


class CountBooster(Protocol):
    """Fitted trees for the mean of a count. x: [rows, columns], categories as codes, NaN where missing; to predict, an
    array of the same columns in float64."""

    library: str
    params: dict[str, object]
    rounds: int

    @classmethod
    def fit(
        cls,
        x: pd.DataFrame,
        count: pd.Series,
        weight: pd.Series,
        *,
        categories: Collection[str],
        falling: Collection[str],
        seed: int,
    ) -> Self:
        """Fit; the mean never rises with a column that is `falling`."""
        ...

    def mean(self, x: np.ndarray) -> np.ndarray: ...

    def save(self, folder: Path) -> None: ...

    @classmethod
    def load(cls, folder: Path) -> Self: ...


class LightGBM:
    library = "lightgbm"
    rounds = 50
    params = {  # noqa: RUF012
        "objective": "poisson",
        "learning_rate": 0.4,  # with less, listings that nobody books do not reach their low means in so few rounds
        "num_leaves": 7,
        "min_data_in_leaf": 200,
        "lambda_l2": 10,
        "cat_smooth": 50,
        "feature_fraction": 0.7,
        "bin_construct_sample_cnt": 20_000,
        "num_threads": 1,  # two threads that share a busy core wait for each other
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }

    def __init__(self, booster):
        self.booster = booster

    @classmethod
    def fit(cls, x, count, weight, *, categories, falling, seed) -> Self:
        import lightgbm

        constraints = [-1 if name in falling else 0 for name in x.columns]
        data = lightgbm.Dataset(x, count, weight=weight, categorical_feature=list(categories))
        return cls(lightgbm.train({**cls.params, "seed": seed, "monotone_constraints": constraints}, data, cls.rounds))

    def mean(self, x: np.ndarray) -> np.ndarray:
        return self.booster.predict(x, num_threads=1)

    def save(self, folder: Path) -> None:
        self.booster.save_model(folder / "booster.txt")

    @classmethod
    def load(cls, folder: Path) -> Self:
        import lightgbm

        return cls(lightgbm.Booster(model_file=folder / "booster.txt"))


class XGBoost:
    library = "xgboost"
    rounds = 50
    params = {  # noqa: RUF012
        "objective": "count:poisson",
        "eta": 0.4,
        "max_depth": 3,
        "min_child_weight": 1,
        "lambda": 1,
        "colsample_bytree": 0.7,
        "max_bin": 64,
        "tree_method": "hist",
        "nthread": 1,
    }

    def __init__(self, booster):
        self.booster = booster

    @classmethod
    def fit(cls, x, count, weight, *, categories, falling, seed) -> Self:
        import xgboost

        constraints = tuple(-1 if name in falling else 0 for name in x.columns)
        data = xgboost.QuantileDMatrix(
            x, count, weight=weight, feature_types=_types(x, categories), max_bin=cls.params["max_bin"], nthread=1
        )
        mean = float(np.average(count, weights=weight))
        params = {**cls.params, "seed": seed, "monotone_constraints": constraints, "base_score": mean}
        return cls(xgboost.train(params, data, cls.rounds))

    def mean(self, x: np.ndarray) -> np.ndarray:
        return self.booster.inplace_predict(x, validate_features=False).astype(float)

    def save(self, folder: Path) -> None:
        self.booster.save_model(folder / "booster.ubj")

    @classmethod
    def load(cls, folder: Path) -> Self:
        import xgboost

        return cls(xgboost.Booster({"nthread": 1}, model_file=folder / "booster.ubj"))


COUNT_BOOSTERS: dict[str, type[CountBooster]] = {kind.library: kind for kind in (LightGBM, XGBoost)}


def _types(x: pd.DataFrame, categories: Collection[str]) -> list[str]:
    return ["c" if name in categories else "q" for name in x.columns]


def poisson_deviance(actual: pd.Series, predicted: pd.Series, weight: pd.Series | None = None) -> float:
    """Mean of 2 (y log(y / mu) - y + mu). A prediction of 0 counts as 1e-6, or it could be infinitely wrong."""
    from scipy.special import xlogy

    mean = np.maximum(predicted, 1e-6)
    return float(np.average(2 * (xlogy(actual, actual / mean) - actual + mean), weights=weight))
