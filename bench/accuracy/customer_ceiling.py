# ruff: noqa: T201 (prints its result)
"""How well anybody could rank the customers of the simulated marketplace by what can be seen of them.

    python -m bench.accuracy.customer_ceiling HOME ...

The observer is XGBoost fitted to the true expected values of the evaluated customers themselves, on the model's own
features, each fifth of them by the others: close to the best that can be made of these features, with labels that no
marketplace has. The truth also knows who has left for ever, and what each customer likes.
"""

import argparse
from datetime import datetime
from pathlib import Path

import numpy as np
import xgboost as xgb

from bench.accuracy.homes import opened
from wanderbricks_assets.floors import expected_customer_value
from wanderbricks_assets.models.customer_evaluation import gini
from wanderbricks_assets.models.customer_features import customers
from wanderbricks_assets.models.customer_ltv import CustomerLtv
from wanderbricks_assets.resources.tables import tables_until

FOLDS = 5
PARAMS = {"objective": "reg:tweedie", "max_depth": 5, "eta": 0.05, "subsample": 0.7, "min_child_weight": 20}


def ceiling(home: Path) -> dict[str, float]:
    """Normalized Gini of the model, the observer and the truth on the evaluated customers."""
    lake, source, cutoff = opened(home)
    tables = tables_until(CustomerLtv.reads, lake, source, cutoff)
    evaluation = CustomerLtv.evaluate(tables, cutoff)
    origin: datetime = evaluation.rows["origin"].iloc[0].to_pydatetime()
    truth = expected_customer_value(Path(source.folder), origin)
    rows = evaluation.rows[["user_id", "actual", "predicted"]].merge(truth, on="user_id")
    features = customers(tables, origin).set_index("user_id").loc[rows["user_id"]].reset_index()
    learner = CustomerLtv()
    learner.countries = sorted(features["country"].dropna().unique())
    x, expected = learner.matrix(features), rows["expected_revenue_12m"].to_numpy()
    fold, seen = np.random.default_rng(0).integers(FOLDS, size=len(rows)), np.empty(len(rows))
    for k in range(FOLDS):
        observer = xgb.train(PARAMS, xgb.DMatrix(x[fold != k], expected[fold != k]), 300)
        seen[fold == k] = observer.predict(xgb.DMatrix(x[fold == k]))
    actual = rows["actual"].to_numpy()
    scores = {"model": rows["predicted"].to_numpy(), "observer": seen, "truth": expected}
    return {name: gini(actual, score) / gini(actual, actual) for name, score in scores.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path, nargs="+")
    for place in parser.parse_args().home:
        found = ceiling(place)
        print(place, *(f"{name} {value:.4f}" for name, value in found.items()))
        print(f"  the model has {found['model'] / found['observer']:.1%} of the observer's Gini")
