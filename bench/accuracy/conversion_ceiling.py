# ruff: noqa: T201 (prints its result)
"""How well any observer of the simulated marketplace could tell which views become bookings, beside the model.

    python -m bench.accuracy.conversion_ceiling --home HOME --source SOURCE [--as-of 2026-11-16]
    python -m bench.accuracy.conversion_ceiling --simulate

The first fits XGBoost to the true probabilities of five times as many views, on the model's own features: close to
what anybody could make of these features, with labels that no real marketplace has. Its expectation is also what the
model's stated intervals are held against. The second simulates anew, keeps what each visitor hides, and takes the
secrets away one after the other. Nothing here is used for fitting a model.
"""

from __future__ import annotations

import argparse
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import xgboost as xgb
from sklearn.metrics import roc_auc_score

from wanderbricks_assets.models.conversion_features import (
    LABEL_SPAN,
    LOOK_BACK,
    believed_views,
    is_converted,
    view_features,
)
from wanderbricks_assets.models.conversion_predictor import TEST_USERS, TRAINING_SPAN, ConversionPredictor
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.resources.source import FilesSource
from wanderbricks_assets.resources.tables import tables_until
from wanderbricks_assets.simulator import calibration, event_tables, market, simulate, truth

SHARE = 0.5  # of the users, none of them tested, whose true probabilities the observer learns from


def observed(home: Path, source: Path, as_of: datetime) -> None:
    """Print the AUC of the model, the observer and the truth on the evaluated views, and the interval's coverage."""
    lake = Lake(folder=str(home / "lake"))
    tables = tables_until(ConversionPredictor.reads, lake, FilesSource(folder=str(source)), as_of)
    probability = truth.conversion_probability(source)
    rows = ConversionPredictor.evaluate(tables, as_of).rows.merge(probability, on="view_id")
    start, end = rows["viewed_at"].min().normalize().to_pydatetime(), rows["viewed_at"].max().to_pydatetime()
    end += timedelta(seconds=1)

    def features(begin: datetime, until: datetime, low: float, high: float) -> pd.DataFrame:
        views = believed_views(tables["page_views"], begin - LOOK_BACK, until, low, high)
        return view_features(views, tables, begin, until).merge(probability, on="view_id")

    learned = start - LABEL_SPAN
    training, test = features(learned - TRAINING_SPAN, learned, 0, SHARE), features(start, end, 1 - TEST_USERS, 1)
    model = ConversionPredictor().learn_columns(training)
    params = {"objective": "binary:logistic", "max_depth": 6, "eta": 0.06, "subsample": 0.7, "colsample_bytree": 0.5}
    data = xgb.DMatrix(model.matrix(training), training["probability"])
    observer = xgb.train(params | {"min_child_weight": 30, "nthread": 2}, data, 300)
    test["expected"] = observer.predict(xgb.DMatrix(model.matrix(test)))
    rows = rows.merge(test[["view_id", "expected"]], on="view_id")
    print(f"{len(rows):,} evaluated views, observer fitted to the truth of {len(training):,}")
    for name in ("predicted", "logistic_regression", "xgboost", "expected", "probability"):
        print(f"AUC of {name:20} {roc_auc_score(rows['actual'], rows[name]):.4f}")
    for name in ("expected", "probability"):
        inside = (rows["lower"] <= rows[name]) & (rows[name] <= rows["upper"])
        print(f"{name:12} inside the stated 90% interval: {inside.mean():.1%} of views")


def hidden(scale: float, seed: int) -> None:
    """Print the AUC of those who know everything the simulator drew but some secrets of the visitor."""
    kept = {"dreams", "utility", "total", "came_from", "base"}
    browse, table = market.browse, event_tables.conversion_probability

    def browse_and_tell(rng, e, sets):
        views, clicks, decided = browse(rng, e, sets)
        order = np.argsort(e["user"])
        episode = order[np.searchsorted(e["user"][order], views["user"])]  # a user has one at most on a day
        is_it = (sets.prop[episode] == views["prop"][:, None]) & sets.valid[episode]
        views["utility"] = np.where(is_it, sets.utility[episode], -np.inf).max(axis=1)
        views["total"] = np.exp(sets.utility).sum(axis=1)[episode]
        views["dreams"], views["came_from"] = e["dreams"][episode], e["referrer"][episode]
        views["base"] = e["base"][episode] - calibration.DEVICE_EFFECT[e["device"][episode]]
        return views, clicks, decided

    def told(views):
        columns = {name: views.pop(name) for name in ("probability", *kept) if name in views}
        return market.Columns(view=views["id"], time=views["time"], **columns) if len(views) else market.Columns()

    def with_secrets(rows):
        return pa.table({**{name: rows[name] for name in ("probability", *kept)}, "view_id": rows["view"]})

    market.browse, market._conversion = browse_and_tell, told
    event_tables.TRUTH_OF_EVENTS[table.__name__] = with_secrets
    with tempfile.TemporaryDirectory() as folder:
        simulate(
            Path(folder),
            datetime.fromisoformat("2026-11-22"),
            start=datetime.fromisoformat("2026-03-01"),
            scale=scale,
            seed=seed,
        )
        read = {name: _read(Path(folder), name) for name in ("page_views", "bookings", f"_truth/{table.__name__}")}
    views = read["page_views"].drop_duplicates("view_id").merge(read[f"_truth/{table.__name__}"], on="view_id")
    # The first two months fill the marketplace; the last days have no whole label.
    views = views[(views["timestamp"] >= "2026-05-01") & (views["timestamp"] < "2026-11-14")].sort_values("timestamp")
    booked = read["bookings"].rename(columns={"created_at": "booked_at"}).sort_values("booked_at")
    actual = is_converted(views.rename(columns={"timestamp": "viewed_at"}), booked)

    def auc(name: str, utility: pd.Series, total: pd.Series, dreams: np.ndarray) -> None:
        """Of the mean over whether the visitor dreams; utility and total are of one who does not."""
        effect = np.exp(calibration.DREAMER)
        weight = np.exp(utility)
        score = (1 - dreams) * weight / (1 + total) + dreams * weight * effect / (1 + total * effect)
        print(f"AUC of who knows {name:55} {roc_auc_score(actual, score):.4f}")

    awake = views["utility"] - calibration.DREAMER * views["dreams"]
    total = views["total"] * np.exp(-calibration.DREAMER * views["dreams"])
    share, came_from = calibration.DREAMER_SHARE, views["came_from"].to_numpy()
    dreaming = share * calibration.REFERRER_DREAMER[came_from]
    dreaming = dreaming / (dreaming + (1 - share) * calibration.REFERRER_PLANNER[came_from])
    print(f"{len(views):,} views, {actual.mean():.1%} booked")
    auc("everything", awake, total, views["dreams"].to_numpy(float))
    auc("all but whether the visitor only dreams", awake, total, dreaming)
    # Intent, how soon and in which season the stay is: replaced by what device and referrer say.
    secret = views["base"] - calibration.DREAMER * views["dreams"] - calibration.REFERRER_EFFECT[came_from]
    secret -= calibration.ATTRACTION
    auc("of the visitor only budget, taste, party and all offers", awake - secret, total * np.exp(-secret), dreaming)


def _read(out: Path, table: str) -> pd.DataFrame:
    return pq.read_table(sorted((out / table).rglob("[!.]*.parquet")), partitioning=None).to_pandas()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--source", type=Path)
    parser.add_argument("--as-of", type=datetime.fromisoformat, default=datetime.fromisoformat("2026-11-16"))
    parser.add_argument("--simulate", action="store_true")
    parser.add_argument("--scale", type=float, default=0.6)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.simulate:
        hidden(arguments.scale, arguments.seed)
    else:
        observed(arguments.home, arguments.source, arguments.as_of)
