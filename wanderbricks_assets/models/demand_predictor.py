"""How many bookings each property will get for each of the next 30 days."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from wanderbricks_assets.lazy import Columns, np, pd
from wanderbricks_assets.models.bootstrap import bootstrap_interval
from wanderbricks_assets.models.calendar import anchored
from wanderbricks_assets.models.count_boosters import COUNT_BOOSTERS, CountBooster, poisson_deviance
from wanderbricks_assets.models.demand_features import (
    CATEGORIES,
    CELL_KEY,
    HORIZON_DAYS,
    KNOWN,
    LAST_YEAR,
    Market,
    cells,
    first_check_in,
    read_market,
)
from wanderbricks_assets.models.frames import codes, sliced, stacked
from wanderbricks_assets.models.model import Calibration, CannotLearn, Evaluation, Model, Tables
from wanderbricks_assets.window import midnight

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRAINING_STEP = 15  # days between training origins: coprime to 7, so that horizons meet all weekdays
TRAINING_DAYS = 365
TRAINING_ZEROS = 60_000  # cells without a booking to come; those with one are all there
VALIDATION_DAYS = 60  # the origins of the last days choose the library,
COMPARED_EACH = 3  # with each third row: they differ little, and it takes as long as two trainings
EVALUATION_STEP = 28
EVALUATION_ORIGINS = 6
MIN_HISTORY_DAYS = 119
TOTAL_TOLERANCE, DECILE_TOLERANCE = 0.10, 0.20
PRICES = ["base_price", "price_to_usual"]  # a higher one never raises demand
FEATURES = [*(name for name in KNOWN if name != "usual_price"), "price_to_usual"]


class DemandPredictor(Model):
    """Bookings by property and check-in date for each of the next 30 days: those on the books, and those still to come,
    by a Poisson model (LightGBM or XGBoost, the better on later days) in which a higher price never raises demand."""

    name = "demand_predictor"
    reads = (
        "fact_booking_daily",
        "fact_booking_history",
        "dim_property",
        "dim_date",
        "property_features",
        "engagement_features",
    )
    years: ClassVar[Mapping[str, int]] = {
        "fact_booking_daily": 3,
        "fact_booking_history": 4,  # stays are booked ahead
        "property_features": 3,
        "engagement_features": 3,
    }
    flavours = ("lightgbm", "xgboost")
    is_row_wise = True

    def __init__(self, seed: int = 0, library: str | None = None):
        """library: the one to use; without it both are tried on the latest days of the training set."""
        super().__init__(seed)
        self.library = library
        self.deviance: dict[str, float] = {}

    limits = (
        "A listing that is new has no history of its own: its forecast is that of its kind and place.",
        "The response to price is that of a forecast, not of an experiment: for prices use the pricing optimizer.",
        "It was evaluated with the library that was better before the first evaluated origin; another may serve.",
    )

    @classmethod
    def training_set(cls, tables: Tables, cutoff: datetime) -> pd.DataFrame:
        """One row per origin of the last year, listed property and realized day, with about TRAINING_ZEROS of
        the cells that no booking came to."""
        origins = _training_origins(tables, cutoff.date(), cutoff.date())
        return training_cells(read_market(tables, cutoff, origins), origins)

    def fit(self, training: pd.DataFrame) -> Self:
        self.categories = {name: sorted(training[name].dropna().unique()) for name in CATEGORIES}
        rows = training.sort_values(["origin", "property_id", "ds"])
        if self.library is None:
            self.deviance = self._compare(rows)
            self.library = min(self.deviance, key=self.deviance.get, default=next(iter(COUNT_BOOSTERS)))
        self.booster = self._boost(self.library, rows)
        return self

    def _compare(self, rows: pd.DataFrame) -> dict[str, float]:
        """The Poisson deviance of each library on the latest origins, fitted on the days before them; none where one
        of the two has no booking to learn or to judge by."""
        begin = rows["origin"].max() - pd.Timedelta(VALIDATION_DAYS, "D")
        rows = rows[::COMPARED_EACH]
        before, after = rows[rows["ds"] < begin], rows[rows["origin"] >= begin]
        if not (_to_come(before).any() and _to_come(after).any()):
            return {}
        return {
            library: poisson_deviance(
                _to_come(after), self._boost(library, before).mean(self.matrix(after)), after.weight
            )
            for library in COUNT_BOOSTERS
        }

    def _boost(self, library: str, rows: pd.DataFrame) -> CountBooster:
        x = pd.DataFrame(self.matrix(rows), rows.index, FEATURES)
        return COUNT_BOOSTERS[library].fit(
            x, _to_come(rows), rows["weight"], categories=CATEGORIES, falling=PRICES, seed=self.seed
        )

    @classmethod
    def inputs(cls, tables: Tables, moment: datetime) -> pd.DataFrame:
        """One row per listed property and day. Another `base_price` in it asks what demand would be at that price."""
        rows = cells(read_market(tables, moment, [moment.date()]), moment.date())
        if rows.empty:
            raise CannotLearn(f"property_features has no row available at {moment}: no property is listed")
        return rows.drop(columns=["bookings", "weight"])

    def predict_columns(self, inputs: Columns) -> dict[str, np.ndarray]:
        to_come = self.booster.mean(self.matrix(inputs))
        return {
            "property_id": np.asarray(inputs["property_id"]),
            "ds": np.asarray(inputs["ds"]),
            "horizon_days": np.asarray(inputs["horizon_days"]).astype("int64"),
            "destination_id": np.asarray(inputs["destination_id"]),
            "country": np.asarray(inputs["country"]),
            "expected_bookings": np.asarray(inputs["on_the_books"]) + to_come,
        }

    @classmethod
    def evaluate(cls, tables: Tables, cutoff: datetime, seed: int = 0) -> Evaluation:
        """RMSE of bookings per listed property over the next 30 days, at anchored origins, fitted anew at each."""
        rows = forecasts(tables, cutoff, _evaluation_origins(tables, cutoff.date()), seed)
        month = per_property(rows, HORIZON_DAYS)
        squared = (month["predicted"] - month["actual"]) ** 2
        metric = bootstrap_interval(
            lambda weights: float(np.sqrt(np.average(squared, weights=weights))), month["property_id"].to_numpy(), seed
        )
        table = scores(rows).set_index(["method", "metric", "horizon"])["value"]
        naive = {method: table[method, "rmse", HORIZON_DAYS] for method in ("last_30_days", "last_year")}
        units = month["origin"].dt.strftime("%Y-%m-%d") + " property " + month["property_id"].astype(str)
        return Evaluation(
            metric=metric,
            baseline=min(naive.values()),
            calibration=_calibration(month),
            rows=month,
            losses=squared.set_axis(units),
            metrics={
                "rmse_7d": table[cls.name, "rmse", 7],
                "rmse_destination_day": rmse_destination_day(rows),
                "poisson_deviance": table[cls.name, "poisson_deviance", HORIZON_DAYS],
                **{f"{method}_rmse": value for method, value in naive.items()},
                "mean_bookings": float(month["actual"].mean()),
                "total_ratio": float(month["predicted"].sum() / month["actual"].sum()),
            },
            slices=sliced(
                month.assign(squared=squared),
                {"destination": "destination", "property_type": "property_type"},
                lambda part: np.sqrt(part["squared"].mean()),
                "greatest",
            ),
        )

    @classmethod
    def backtest(cls, tables: Tables, origins: list[date], seed: int = 0) -> pd.DataFrame:
        """The scores of this and of simpler methods at given origins: see models/backtest.py."""
        last = tables["fact_booking_daily"].check_in_date.max().to_pyarrow().as_py() or first_check_in(tables)
        return scores(forecasts(tables, midnight(last) + timedelta(days=1), origins, seed))

    @property
    def params(self) -> dict[str, object]:
        booster = COUNT_BOOSTERS[self.library]
        compared = {f"deviance_{library}": round(value, 5) for library, value in self.deviance.items()}
        return {
            "library": self.library,
            **compared,
            **booster.params,
            "rounds": booster.rounds,
            "training_step": TRAINING_STEP,
            "training_days": TRAINING_DAYS,
        }

    def save(self, folder: Path) -> None:
        self.booster.save(folder)
        state = {"seed": self.seed, "library": self.library, "deviance": self.deviance, "categories": self.categories}
        (folder / "predictor.json").write_text(json.dumps(state))

    @classmethod
    def load(cls, folder: Path) -> Self:
        state = json.loads((folder / "predictor.json").read_text())
        model = cls(state["seed"], state["library"])
        model.categories, model.deviance = state["categories"], state["deviance"]
        model.booster = COUNT_BOOSTERS[model.library].load(folder)
        return model

    @classmethod
    def figure(cls, evaluation: Evaluation) -> Figure:
        """Predicted against realized bookings, by decile of the prediction, and the error beside the baselines'."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8, 3.5), layout="constrained")
        left, right = figure.subplots(1, 2)
        deciles = _by_decile(evaluation.rows)
        left.plot(deciles["predicted"], deciles["actual"], marker="o", color="tab:blue")
        top = float(deciles.max().max())
        left.plot([0, top], [0, top], color="black", linewidth=0.8, linestyle="--")
        left.set(
            xlabel="mean predicted bookings in 30 days", ylabel="mean realized", title="by decile of the prediction"
        )
        values = {
            "model": evaluation.metric.value,
            "last 30 days": evaluation.metrics["last_30_days_rmse"],
            "last year": evaluation.metrics["last_year_rmse"],
        }
        right.barh(list(values), list(values.values()), color=["tab:blue", "lightgrey", "lightgrey"])
        right.axvline(cls.target().bound, color="tab:red", linewidth=1)
        right.set(title="RMSE of bookings in 30 days; target in red")
        return figure

    def matrix(self, rows: Columns) -> np.ndarray:
        """[rows, FEATURES] numbers for the trees; a category never seen in training is missing."""
        made = {name: codes(rows[name], known, np.nan) for name, known in self.categories.items()}
        # Made here, so that a row asked about with another price is compared by that price.
        made["price_to_usual"] = np.asarray(rows["base_price"]) / np.asarray(rows["usual_price"])
        return stacked({name: made.get(name, rows.get(name)) for name in FEATURES}, FEATURES)


def _to_come(rows: pd.DataFrame) -> pd.Series:
    """Bookings after the origin. One moved to another day leaves the books: a few more leave than come."""
    return (rows["bookings"] - rows["on_the_books"]).clip(lower=0)


def training_cells(market: Market, origins: list[date]) -> pd.DataFrame:
    """The realized cells of the origins: all to which a booking came, and about TRAINING_ZEROS of the others. Raises
    CannotLearn without a booking."""
    listed = market.listed["moment"].isin(pd.to_datetime(origins)).sum()
    share = min(1.0, TRAINING_ZEROS / max(int(listed) * HORIZON_DAYS, 1))
    rows = pd.concat([cells(market, origin, share) for origin in origins], ignore_index=True)
    rows = rows[rows["bookings"].notna()].reset_index(drop=True)
    if not _to_come(rows).any():
        raise CannotLearn(
            f"no listed property was booked within {HORIZON_DAYS} days of a stay after any of the {len(origins)} "
            "training origins: nothing is left to predict beside what is on the books"
        )
    return rows


def forecasts(tables: Tables, cutoff: datetime, origins: list[date], seed: int) -> pd.DataFrame:
    """What the model and the baselines said of each listed property and realized day, fitted anew at each origin.

    Columns: CELL_KEY, destination_id, destination, property_type, actual, predicted, last_30_days, last_year.
    """
    training_origins = _training_origins(tables, min(origins), cutoff.date())
    market = read_market(tables, cutoff, sorted({*training_origins, *origins}))
    training = training_cells(market, training_origins)
    parts = []
    library = None
    for origin in origins:
        at = market.index(origin)
        if not MIN_HISTORY_DAYS <= at < market.days:
            raise CannotLearn(
                f"origin {origin} has {at} days of known bookings before it and {market.days - at} after it; "
                f"{MIN_HISTORY_DAYS} and 1 are needed"
            )
        begun = pd.Timestamp(origin - timedelta(days=TRAINING_DAYS + HORIZON_DAYS))
        known = training[(training["ds"] < pd.Timestamp(origin)) & (training["origin"] >= begun)]
        rows = cells(market, origin)
        model = DemandPredictor(seed, library).fit(known)
        library = model.library  # chosen before the first origin
        rows = rows[[*CELL_KEY, "destination_id", "destination", "property_type"]].assign(
            actual=rows["bookings"],
            predicted=model.predict(rows)["expected_bookings"],
            **_naive(market, at, rows),
        )
        parts.append(rows[rows["actual"].notna()])
    return pd.concat(parts, ignore_index=True)


def _naive(market: Market, at: int, rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """The baselines of a cell: a thirtieth of the last 30 days, and the same weekday last year; NaN before the data."""
    property_ = np.searchsorted(market.ids, rows["property_id"])
    day = at + rows["horizon_days"].to_numpy("int64") - 1 - LAST_YEAR
    return {
        "last_30_days": market.check_ins[:, max(at - 30, 0) : at].sum(axis=1)[property_] / 30,
        "last_year": np.where(day >= 0, market.check_ins[property_, np.maximum(day, 0)], np.nan),
    }


def per_property(rows: pd.DataFrame, horizon: int) -> pd.DataFrame:
    """Sums over the first `horizon` days, per origin with all of them realized and property."""
    realized = rows.groupby("origin")["horizon_days"].transform("max") >= horizon
    span = rows[realized & (rows["horizon_days"] <= horizon)]
    key = ["origin", "property_id", "destination", "property_type"]
    sums = span.groupby(key, dropna=False)[["actual", "predicted", "last_30_days", "last_year"]]
    return sums.sum(min_count=horizon).reset_index()


def scores(rows: pd.DataFrame) -> pd.DataFrame:
    """method, horizon, metric (rmse and poisson_deviance of bookings per property over the horizon), value."""
    found = []
    for horizon in (7, HORIZON_DAYS):
        sums = per_property(rows, horizon)
        for method, column in METHODS.items():
            error = np.sqrt(((sums[column] - sums["actual"]) ** 2).mean())
            # A prediction of 0 counts as 0.01, or one booking would make a baseline almost infinitely wrong.
            deviance = poisson_deviance(sums["actual"], sums[column].clip(lower=0.01))
            found += [(method, horizon, "rmse", error), (method, horizon, "poisson_deviance", deviance)]
    return pd.DataFrame(found, columns=["method", "horizon", "metric", "value"])


METHODS = {DemandPredictor.name: "predicted", "last_30_days": "last_30_days", "last_year": "last_year"}


def rmse_destination_day(rows: pd.DataFrame) -> float:
    sums = rows.groupby(["origin", "destination_id", "ds"])[["actual", "predicted"]].sum()
    return float(np.sqrt(((sums["predicted"] - sums["actual"]) ** 2).mean()))


def _by_decile(month: pd.DataFrame) -> pd.DataFrame:
    decile = np.ceil(month["predicted"].rank(method="first", pct=True) * 10)
    return month.groupby(decile)[["predicted", "actual"]].mean()


def _calibration(month: pd.DataFrame) -> Calibration:
    """Whether predicted and realized means agree, in total and in each decile of the prediction.

    A decile may be off by a stated share, and by two standard errors of a Poisson mean of its size.
    """
    total = month["predicted"].sum() / month["actual"].sum() - 1
    deciles = _by_decile(month)
    noise = 2 * np.sqrt(deciles["predicted"] / (len(month) / 10))
    off = (deciles["predicted"] - deciles["actual"]).abs() > DECILE_TOLERANCE * deciles["predicted"] + noise
    holds = bool(abs(total) <= TOTAL_TOLERANCE and not off.any())
    return Calibration(
        holds,
        f"predicted bookings are {total:+.1%} off in total (tolerance {TOTAL_TOLERANCE:.0%}), and {int(off.sum())} of "
        f"{len(deciles)} deciles are off by more than {DECILE_TOLERANCE:.0%} and two standard errors",
    )


def _training_origins(tables: Tables, earliest_cutoff: date, cutoff: date) -> list[date]:
    """Anchored origins from a year before the earliest cutoff on, each with HORIZON_DAYS of history at least."""
    first = first_check_in(tables)
    if (earliest_cutoff - first).days < MIN_HISTORY_DAYS:
        known = max((earliest_cutoff - first).days, 0)
        raise CannotLearn(f"{known} days of bookings are known; the predictor needs {MIN_HISTORY_DAYS}")
    begin = max(first + timedelta(days=HORIZON_DAYS), earliest_cutoff - timedelta(days=TRAINING_DAYS + HORIZON_DAYS))
    return anchored(begin, cutoff - timedelta(days=1), TRAINING_STEP)


def _evaluation_origins(tables: Tables, cutoff: date) -> list[date]:
    """The last anchored origins that have 30 realized days after them and a year before them."""
    first = first_check_in(tables)
    origins = anchored(first + timedelta(days=LAST_YEAR), cutoff - timedelta(days=HORIZON_DAYS), EVALUATION_STEP)
    if len(origins) < EVALUATION_ORIGINS:
        raise CannotLearn(
            f"{(cutoff - first).days} days of bookings are known, which gives {len(origins)} origins with a year "
            f"before and 30 days after them; {EVALUATION_ORIGINS} are needed"
        )
    return origins[-EVALUATION_ORIGINS:]
