"""How good the revenue forecast was at past origins, beside simpler methods: scores, coverage, slices, the picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import TYPE_CHECKING

from wanderbricks_assets.lazy import np, pd
from wanderbricks_assets.models.backtest import COLUMNS
from wanderbricks_assets.models.bootstrap import mean_interval
from wanderbricks_assets.models.frames import sliced
from wanderbricks_assets.models.model import Calibration, CannotLearn, Evaluation, Interval
from wanderbricks_assets.models.revenue_features import HORIZON_DAYS, LAST_YEAR, ROW_KEY, Books, feature_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from wanderbricks_assets.models.revenue_forecaster import RevenueForecaster

HORIZONS = (30, 60, 90)
BANDS = (7, 30, 60, 90)  # last horizon of each band of the interval
COVERAGE = 0.8
COVERAGE_TOLERANCE = 0.03  # per band
GREATEST_NOISE = 0.05  # that is tolerated beside it: few origins must not excuse anything
FALSE_ALARMS = 0.05  # of a model whose intervals are right, noise being no greater
EVALUATION_STEP = 28
EVALUATION_ORIGINS = 10
MIN_ORIGINS = 6
MIN_HISTORY_DAYS = 224
METHODS = {
    "revenue_forecaster": "predicted",
    "seasonal_naive": "seasonal_naive",
    "prophet": "prophet",
    "pickup": "pickup",
}


def evaluation_origins(books: Books) -> list[int]:
    """The last EVALUATION_ORIGINS anchored origins that have 30 realized days after them and a year before them.

    Where history is too short for MIN_ORIGINS of those, MIN_HISTORY_DAYS before them are enough, and where that is too
    short too, they are half as far apart.
    """
    last = books.days - HORIZONS[0]
    for first, overlap in ((LAST_YEAR, 1), (MIN_HISTORY_DAYS, 1), (MIN_HISTORY_DAYS, 2)):
        origins = books.anchored(first, last, EVALUATION_STEP // overlap)
        if len(origins) >= MIN_ORIGINS:
            return origins[-EVALUATION_ORIGINS:][len(origins) % overlap :]
    needed = MIN_HISTORY_DAYS + MIN_ORIGINS * EVALUATION_STEP // 2 + HORIZONS[0]
    raise CannotLearn(
        f"{books.days} days of revenue are known, which gives {len(origins)} origins with {MIN_HISTORY_DAYS} days "
        f"before and {HORIZONS[0]} days after them; {MIN_ORIGINS} are needed, which {needed} days give"
    )


def fitted_at(
    books: Books, training: pd.DataFrame, origins: list[int], fit: Callable[[pd.DataFrame], RevenueForecaster]
) -> dict[int, RevenueForecaster]:
    """By origin, the model fitted on those of the training rows that were realized before it."""
    models = {}
    for origin in origins:
        if not MIN_HISTORY_DAYS <= origin < books.days:
            raise CannotLearn(
                f"origin {books.day(origin)} has {origin} days of known revenue before it and {books.days - origin} "
                f"after it; {MIN_HISTORY_DAYS} and 1 are needed"
            )
        models[origin] = fit(training[training["ds"] < pd.Timestamp(books.day(origin))])
    return models


def forecasts(books: Books, models: dict[int, RevenueForecaster]) -> pd.DataFrame:
    """What the model and simpler methods said at each origin, each fitted only on the days before it.

    Columns: origin, ds, horizon_days, actual, predicted, lower, upper, seasonal_naive, prophet, pickup, on_the_books,
    stated_coverage (of the interval: more than COVERAGE where the day is closed with a greater probability),
    is_year_known (whether the seasonal naive is last year's day).
    """
    parts = []
    for origin, model in models.items():
        rows = _forecast(books, model, [origin])
        day = origin + rows["horizon_days"].to_numpy("int64") - 1
        rows = rows.assign(
            seasonal_naive=_seasonal_naive(books, origin, day),
            is_year_known=day >= LAST_YEAR,
            # Fitted at this very origin.
            prophet=np.maximum(books.prophet(origin)[:HORIZON_DAYS].sum(axis=1), 0.0),
            pickup=rows["pickup_forecast"] * rows["open_probability"],
        )
        parts.append(rows[rows["actual"].notna()].drop(columns=["pickup_forecast", "open_probability"]))
    return pd.concat(parts, ignore_index=True)


def weekly_forecasts(books: Books, models: dict[int, RevenueForecaster]) -> pd.DataFrame:
    """What the model of each origin said then and every week until the next one: the column fitted_at is the origin.

    The first week of ten forecasts is 70 days, of which a rightly stated share of 80% comes out between 71% and 89%.
    """
    parts = []
    for origin, until in pairwise([*models, max(models) + EVALUATION_STEP]):
        rows = _forecast(books, models[origin], list(range(origin, min(until, books.days), 7)))
        parts.append(rows[rows["actual"].notna()].assign(fitted_at=origin))
    return pd.concat(parts, ignore_index=True)


def _forecast(books: Books, model: RevenueForecaster, origins: list[int]) -> pd.DataFrame:
    rows = feature_rows(books, origins)
    predicted = model.predict(rows)
    return rows[[*ROW_KEY, "on_the_books", "pickup_forecast", "open_probability"]].assign(
        actual=rows["revenue"],
        predicted=predicted["yhat"],
        lower=predicted["yhat_lower"],
        upper=predicted["yhat_upper"],
        stated_coverage=np.maximum(1 - rows["open_probability"], COVERAGE),
    )


def _seasonal_naive(books: Books, origin: int, day: np.ndarray) -> np.ndarray:
    """The revenue of the same weekday a year earlier; before the data, its mean over the last four weeks."""
    recent = books.revenue[origin - 28 : origin].reshape(4, 7).mean(axis=0)
    return np.where(day >= LAST_YEAR, books.revenue[np.maximum(day - LAST_YEAR, 0)], recent[(day - origin) % 7])


def measured(rows: pd.DataFrame, weekly: pd.DataFrame) -> Evaluation:
    """The mean over origins of the daily MAPE of the next 30 days, and whether the intervals of `weekly` are right."""
    month = rows[(rows["horizon_days"] <= HORIZONS[0]) & (rows["actual"] > 0)]
    errors = _daily_mape(month, "predicted")
    # Origins closer than a month see the same days, so they count once.
    apart = np.diff(np.unique(rows["origin"])).min() / np.timedelta64(1, "D")
    blocks = errors.groupby(np.arange(len(errors)) // max(int(EVALUATION_STEP / apart), 1)).mean()
    table = scores(rows).set_index(["method", "metric", "horizon"])["value"]
    ours, *others = METHODS
    metrics = {f"mape_{days}": table[ours, "mape", days] for days in HORIZONS[1:]}
    metrics |= {f"total_error_{days}": table[ours, "total_error", days] for days in HORIZONS}
    for method in others:
        metrics[f"{method}_mape"] = table[method, "mape", HORIZONS[0]]
        metrics |= {f"{method}_mape_{days}": table[method, "mape", days] for days in HORIZONS[1:]}
    calibration, covered = coverage(weekly)
    return Evaluation(
        metric=mean_interval(blocks),
        baseline=metrics["seasonal_naive_mape"],
        calibration=calibration,
        rows=rows,
        losses=errors.set_axis([f"origin {origin:%Y-%m-%d}" for origin in errors.index]),
        metrics={
            **metrics,
            **covered,
            "origins": float(len(errors)),
            "baseline_from_last_four_weeks": float(1 - month["is_year_known"].mean()),
        },
        slices=slices(rows),
    )


def scores(rows: pd.DataFrame) -> pd.DataFrame:
    """method, horizon, metric, value, lower, upper: the means over the origins whose whole horizon is realized, with
    their 90% intervals.

    mape: of the days with revenue. total_error: |forecast of the total / total - 1|, all days included.
    Origins closer to each other than the horizon share days, so that interval is then too narrow.
    """
    found = []
    for horizon in HORIZONS:
        realized = rows.groupby("origin")["horizon_days"].transform("max") >= horizon
        span = rows[realized & (rows["horizon_days"] <= horizon)]
        totals = span.groupby("origin")[["actual", *METHODS.values()]].sum(min_count=horizon)
        totals = totals[totals["actual"] > 0]
        for method, column in METHODS.items():
            errors = {
                "mape": _daily_mape(span[span["actual"] > 0], column),
                "total_error": (totals[column] / totals["actual"] - 1).abs(),
            }
            for metric, by_origin in errors.items():
                mean = mean_interval(by_origin) if len(by_origin) else Interval(np.nan, np.nan, np.nan)
                found.append((method, horizon, metric, mean.value, mean.lower, mean.upper))
    return pd.DataFrame(found, columns=COLUMNS)


def slices(rows: pd.DataFrame) -> pd.DataFrame:
    """SLICE_COLUMNS, worst first: the mape of the days with revenue by band of the horizon, weekday and month."""
    rows = rows[rows["actual"] > 0]
    bands = np.array([f"{first + 1} to {last} days" for first, last in pairwise((0, *BANDS))])
    rows = rows.assign(
        horizon=bands[band(rows["horizon_days"])],
        weekday=rows["ds"].dt.day_name(),
        month=rows["ds"].dt.month_name(),
        error=(rows["predicted"] / rows["actual"] - 1).abs(),
    )
    kinds = {name: name for name in ("horizon", "weekday", "month")}
    return sliced(rows, kinds, lambda part: part["error"].mean(), "greatest")


def _daily_mape(rows: pd.DataFrame, column: str) -> pd.Series:
    """[origins] the mean absolute percentage error of each origin's days."""
    return (rows[column] / rows["actual"] - 1).abs().groupby(rows["origin"]).mean()


def coverage(rows: pd.DataFrame) -> tuple[Calibration, dict[str, float]]:
    """Whether the intervals cover as much as they state, days without revenue included, and the shares covered.

    That is 80% of the days of each band of the horizon, within COVERAGE_TOLERANCE and the noise of their mean, of at
    most GREATEST_NOISE: Student's t over the fits, as days of one err together, at FALSE_ALARMS for all bands
    (Bonferroni).
    """
    from scipy.stats import t

    covered = rows["actual"].between(rows["lower"], rows["upper"])
    by_band = pd.DataFrame({"covered": covered, "excess": covered - rows["stated_coverage"]})
    by_band = by_band.groupby([band(rows["horizon_days"]), rows["fitted_at"]]).mean().groupby(level=0)
    share, excess, fits = by_band["covered"].mean(), by_band["excess"].mean(), by_band.size()
    noise = t.ppf(1 - FALSE_ALARMS / 2 / len(BANDS), fits - 1) * by_band["excess"].std(ddof=1) / np.sqrt(fits)
    # NaN noise, of one fit, holds nothing; nor does a band without days.
    holds = excess.abs() <= COVERAGE_TOLERANCE + noise.clip(upper=GREATEST_NOISE)
    share, holds = share.reindex(range(len(BANDS))), holds.reindex(range(len(BANDS)), fill_value=False)
    told = ", ".join(
        f"{share[number]:.0%} to day {last}{' (too far off)' * (not holds[number])}"
        for number, last in enumerate(BANDS)
    )
    stated = rows["stated_coverage"].mean()
    closed = f" (with days that are surely closed {stated:.1%})" if stated > COVERAGE else ""
    statement = (
        f"the 80% interval{closed} covered {covered.mean():.1%} of the days of the weekly forecasts of "
        f"{rows['fitted_at'].nunique()} fits: {told}; tolerated are {COVERAGE_TOLERANCE:.0%} and the noise, this up to "
        f"{GREATEST_NOISE:.0%}"
    )
    shares = {f"coverage_80_to_day_{last}": float(share[number]) for number, last in enumerate(BANDS)}
    return Calibration(bool(holds.all()), statement), {"coverage_80": float(covered.mean()), **shares}


def origins_and_forecasts(evaluation: Evaluation) -> Figure:
    """Realized revenue, and the 30-day forecast of every origin with its interval."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.5), layout="constrained")
    axes = figure.add_subplot()
    rows = evaluation.rows
    realized = rows.drop_duplicates("ds").sort_values("ds")
    axes.plot(realized.ds, realized.actual, color="black", linewidth=0.8, label="realized")
    for number, (_, month) in enumerate(rows[rows.horizon_days <= 30].groupby("origin")):
        label = "forecast at the origin" if number == 0 else None
        axes.plot(month.ds, month.predicted, color="tab:blue", linewidth=1, label=label)
        axes.fill_between(month.ds, month.lower, month.upper, color="tab:blue", alpha=0.2, linewidth=0)
    axes.set_ylim(0)
    axes.set_ylabel("revenue by check-in date")
    axes.set_title(f"daily MAPE {evaluation.metric.value:.1%}, seasonal naive {evaluation.baseline:.1%}")
    axes.legend(frameon=False)
    return figure


def band(horizon: Iterable[int]) -> np.ndarray:
    """[rows] the index in BANDS of each horizon."""
    return np.searchsorted(BANDS, np.asarray(horizon))
