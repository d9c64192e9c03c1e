"""The revenue of the next 90 days: what is on the books, what will be picked up, and the season."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from wanderbricks_assets.lazy import Columns, np, pd
from wanderbricks_assets.models.calendar import FIRST_MONDAY
from wanderbricks_assets.models.frames import stacked
from wanderbricks_assets.models.model import CannotLearn, Evaluation, Model, Tables
from wanderbricks_assets.models.revenue_evaluation import (
    BANDS,
    COVERAGE,
    MIN_HISTORY_DAYS,
    band,
    evaluation_origins,
    fitted_at,
    forecasts,
    measured,
    origins_and_forecasts,
    scores,
    weekly_forecasts,
)
from wanderbricks_assets.models.revenue_features import (
    FEATURES,
    HORIZON_DAYS,
    LEVEL_DAYS,
    PICKUP_DAYS,
    PROPHET,
    ROW_KEY,
    Books,
    feature_rows,
    read_books,
)
from wanderbricks_assets.window import midnight

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRAINING_STEP = 10  # days between training origins: coprime to 7, so that every horizon meets every weekday
FOLDS = 4  # the latest with revenue: with more history the model errs less, and older folds gave intervals too wide
FOLD_DAYS = 28
MIN_FOLD_HISTORY = 56  # days with rows before a fold
ROUNDS = 40
# Chosen on simulated marketplaces of a third of the size and on the resort's origins before June 2016.
BOOSTER = {
    "objective": "reg:squarederror",  # of log(revenue / pick-up forecast): a relative error, as the metric's
    "max_depth": 5,
    "max_bin": 32,
    "eta": 0.15,
    "num_parallel_tree": 4,  # a mean of four trees per round: with one, the seed alone moves the error by half a point
    "subsample": 0.5,
    "colsample_bytree": 0.5,
    "min_child_weight": 20,
    "reg_lambda": 50,  # rows of one origin err together, so there is less to learn than rows suggest
    "tree_method": "hist",
    "nthread": 1,  # the trees are small, and two threads that share a busy core wait for each other
}


class RevenueForecaster(Model):
    """Revenue of the marketplace by check-in date for each of the next 90 days, with an 80% interval: XGBoost corrects
    what is on the books and lately picked up by Prophet's season, the pace, and the pick-up of a year earlier."""

    name = "revenue_forecaster"
    reads = ("fact_booking_daily", "fact_booking_history", "dim_date")
    years: ClassVar[Mapping[str, int]] = {"fact_booking_daily": 3, "fact_booking_history": 4}  # stays are booked ahead
    flavours = ("xgboost", "prophet")
    limits = (
        "It forecasts the marketplace as a whole, not a destination or a listing.",
        "A shock that neither the books nor the last weeks show (a closed border, a lost channel) it cannot foresee.",
        "With less than a year of history there is no yearly season, and the naive baseline is the last four weeks.",
    )

    @classmethod
    def training_set(cls, tables: Tables, cutoff: datetime) -> pd.DataFrame:
        """One row per origin (every 10 days) and realized day of its horizon: ROW_KEY, SCALE, FEATURES, revenue."""
        return training_rows(read_books(tables, cutoff))

    def fit(self, training: pd.DataFrame) -> Self:
        return self._fit_with(training, {})

    def _fit_with(self, training: pd.DataFrame, boosters: dict[pd.Timestamp, object]) -> Self:
        """Fit, and keep in `boosters` those fitted on the rows before a day, for another fit on the same history."""
        end = training["ds"].max() + pd.Timedelta(1, "D")
        self.booster = self._booster_until(end, training, boosters)
        self.spread = self._conformal_spread(training, boosters)
        return self

    @classmethod
    def inputs(cls, tables: Tables, moment: datetime) -> pd.DataFrame:
        books = read_books(tables, moment)
        return feature_rows(books, [books.days]).drop(columns="revenue")

    def predict_columns(self, inputs: Columns) -> dict[str, np.ndarray]:
        given_open = self._expected(self.booster, inputs)
        is_open = np.asarray(inputs["open_probability"], "float64")
        yhat = is_open * given_open
        spread = self.spread[band(inputs["horizon_days"])] / np.sqrt(given_open)
        lower, upper = (given_open * np.exp(spread * quantile) for quantile in _interval(is_open))
        interval = {"yhat": yhat, "yhat_lower": np.minimum(lower, yhat), "yhat_upper": np.maximum(upper, yhat)}
        days = {"ds": np.asarray(inputs["ds"]), "horizon_days": np.asarray(inputs["horizon_days"]).astype("int64")}
        return days | interval | self._parts(inputs, yhat)

    def explain(self, inputs: pd.DataFrame) -> pd.DataFrame:
        """ds, and the parts that `yhat` is the sum of: trend, season, holiday, on_the_books, pick_up.

        on_the_books: what is booked. trend, season, holiday: the parts of Prophet's forecast of the day, each times
        the share of a day's revenue that lately came after this horizon: what a day like this usually still brings.
        pick_up: the rest, by which the forecast exceeds (or, below 0, falls short of) that, as bookings come faster or
        slower, or are cancelled.
        """
        yhat = inputs["open_probability"].to_numpy("float64") * self._expected(self.booster, inputs)
        parts = self._parts(inputs, yhat)
        return pd.DataFrame({"ds": inputs["ds"].to_numpy()} | parts)

    def _parts(self, inputs: Columns, yhat: np.ndarray) -> dict[str, np.ndarray]:
        usual = np.nan_to_num(stacked(inputs, PROPHET) * np.asarray(inputs["to_come"])[:, None])
        booked = np.asarray(inputs["on_the_books"])
        rest = {"on_the_books": booked, "pick_up": yhat - booked - usual.sum(axis=1)}
        return dict(zip(PROPHET, usual.T, strict=True)) | rest

    @classmethod
    def evaluate(cls, tables: Tables, cutoff: datetime, seed: int = 0) -> Evaluation:
        """Mean over anchored origins of the daily MAPE of the next 30 days, fitted anew on what was known at each."""
        books = read_books(tables, cutoff)
        models = cls._fitted_at(books, evaluation_origins(books), seed)
        return measured(forecasts(books, models), weekly_forecasts(books, models))

    @classmethod
    def backtest(cls, tables: Tables, origins: list[date], seed: int = 0) -> pd.DataFrame:
        """The scores of this and of simpler methods at given origins: see models/backtest.py."""
        last = tables["fact_booking_daily"].check_in_date.max().to_pyarrow().as_py()
        if last is None:
            raise CannotLearn("fact_booking_daily is empty: there is nothing to backtest on")
        books = read_books(tables, midnight(last) + timedelta(days=1))
        models = cls._fitted_at(books, sorted(books.index(origin) for origin in origins), seed)
        return scores(forecasts(books, models))

    @classmethod
    def _fitted_at(cls, books: Books, origins: list[int], seed: int) -> dict[int, RevenueForecaster]:
        boosters: dict[pd.Timestamp, object] = {}
        return fitted_at(books, training_rows(books), origins, lambda known: cls(seed)._fit_with(known, boosters))

    @property
    def params(self) -> dict[str, object]:
        bands = {
            f"spread_to_day_{last}": round(float(spread), 4) for last, spread in zip(BANDS, self.spread, strict=True)
        }
        return {**BOOSTER, "rounds": ROUNDS, "pickup_days": PICKUP_DAYS, "training_step": TRAINING_STEP, **bands}

    def save(self, folder: Path) -> None:
        self.booster.save_model(folder / "booster.ubj")
        state = {"seed": self.seed, "spread": self.spread.tolist()}
        (folder / "forecaster.json").write_text(json.dumps(state))

    @classmethod
    def load(cls, folder: Path) -> Self:
        import xgboost

        state = json.loads((folder / "forecaster.json").read_text())
        model = cls(state["seed"])
        model.booster = xgboost.Booster({"nthread": BOOSTER["nthread"]}, model_file=folder / "booster.ubj")
        model.spread = np.array(state["spread"])
        return model

    @classmethod
    def figure(cls, evaluation: Evaluation) -> Figure:
        """Realized revenue, and the 30-day forecast of every origin with its interval."""
        return origins_and_forecasts(evaluation)

    def _booster_until(self, end: pd.Timestamp, training: pd.DataFrame, boosters: dict[pd.Timestamp, object]):
        if end not in boosters:
            boosters[end] = self._boost(training[training["ds"] < end])
        return boosters[end]

    def _boost(self, rows: pd.DataFrame):
        import xgboost

        # With a short history last year is known for few rows only: too few to learn what it says.
        features = [name for name in FEATURES if rows[name].notna().mean() >= 0.5]
        rows = rows[rows["revenue"] > 0].sort_values(ROW_KEY)
        label = np.log(rows["revenue"] / rows["pickup_forecast"])
        data = xgboost.DMatrix(rows[features], label, nthread=1)
        return xgboost.train({**BOOSTER, "seed": self.seed}, data, ROUNDS)

    def _expected(self, booster, rows: Columns) -> np.ndarray:
        """[rows] the revenue of days that have any."""
        correction = booster.inplace_predict(stacked(rows, booster.feature_names), validate_features=False)
        return np.asarray(rows["pickup_forecast"]) * np.exp(correction.astype(float))

    def _conformal_spread(self, training: pd.DataFrame, boosters: dict[pd.Timestamp, object]) -> np.ndarray:
        """[bands] the quantile of |log(revenue / forecast)| x sqrt(forecast) that covers 80% of past days, each
        forecast by a model that had not seen it (split conformal, Lei et al. 2018, with folds that only look back).

        The root makes quiet and busy days alike: a sum of twice as many bookings has a relative error smaller by it.
        """
        first, end = training["ds"].min(), training["ds"].max() + pd.Timedelta(1, "D")
        # Folds have fixed dates, so that the model of one is the model that was evaluated or served then.
        begin = end - pd.Timedelta((end - pd.Timestamp(FIRST_MONDAY)).days % FOLD_DAYS or FOLD_DAYS, "D")
        errors: list[list[pd.Series]] = [[] for _ in BANDS]
        folds = 0
        for start in pd.date_range(begin, first + pd.Timedelta(MIN_FOLD_HISTORY, "D"), freq=f"-{FOLD_DAYS}D"):
            if folds >= FOLDS and all(errors):
                break
            in_fold = (training["origin"] >= start) & (training["origin"] < start + pd.Timedelta(FOLD_DAYS, "D"))
            unseen = training[in_fold & (training["revenue"] > 0)]
            if unseen.empty:
                continue
            folds += 1
            forecast = self._expected(self._booster_until(start, training, boosters), unseen)
            error = np.abs(np.log(unseen["revenue"] / forecast)) * np.sqrt(forecast)
            for number, found in error.groupby(band(unseen["horizon_days"])):
                errors[number].append(found)
        if not all(errors):
            raise CannotLearn(f"too few days with revenue are known at {end:%Y-%m-%d} for an interval")
        # Further ahead is never surer, whatever a thin sample says.
        return np.maximum.accumulate([_covering_quantile(pd.concat(found)) for found in errors])


def predict_revenue(
    model: RevenueForecaster, tables: Tables, moment: datetime, start_date: date, end_date: date
) -> pd.DataFrame:
    """The forecast of a range of days, from what was known at `moment`: ds, yhat, yhat_lower, yhat_upper.

    Raises ValueError when the range is not within the 90 days that begin at the moment.
    """
    first, last = moment.date(), moment.date() + timedelta(days=HORIZON_DAYS - 1)
    if not first <= start_date <= end_date <= last:
        raise ValueError(f"from {start_date} to {end_date}: a forecast made at {moment} covers {first} to {last}")
    forecast = model.predict(model.inputs(tables, moment))
    asked = forecast["ds"].between(pd.Timestamp(start_date), pd.Timestamp(end_date))
    return forecast.loc[asked, ["ds", "yhat", "yhat_lower", "yhat_upper"]].reset_index(drop=True)


def training_rows(books: Books) -> pd.DataFrame:
    """Rows of all origins that are a multiple of TRAINING_STEP days from FIRST_MONDAY, realized days only."""
    if books.days < MIN_HISTORY_DAYS:
        raise CannotLearn(f"{books.days} days of revenue are known; the forecaster needs at least {MIN_HISTORY_DAYS}")
    rows = feature_rows(books, books.anchored(LEVEL_DAYS, books.days - 1, TRAINING_STEP))
    rows = rows[rows["revenue"].notna()].reset_index(drop=True)
    if not (rows["revenue"] > 0).any():
        raise CannotLearn(f"no day of {books.days} days has revenue above 0")
    return rows


def _covering_quantile(errors: pd.Series) -> float:
    """The bound that covers COVERAGE of new errors, with conformal prediction's finite-sample correction."""
    return float(np.quantile(errors, min(np.ceil((len(errors) + 1) * COVERAGE) / len(errors), 1.0), method="higher"))


def _interval(is_open: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[rows] where the ends of the COVERAGE interval lie among days with revenue, in multiples of their spread; -inf
    is no revenue.

    A day is closed, or open and its log revenue about normal. Where closed is probable enough to be in the interval,
    that begins at 0 and has all that it leaves out above it.
    """
    from scipy.special import ndtri

    tail = (1 - COVERAGE) / 2
    closed = 1 - is_open
    top = np.where(closed > tail, COVERAGE, 1 - tail)
    with np.errstate(divide="ignore"):
        lower, upper = (ndtri(np.clip((share - closed) / is_open, 0, 1)) / ndtri(1 - tail) for share in (tail, top))
    return lower, upper
