"""How good past predictions were, once what they spoke of has happened. Everything here knows nothing after `moment`.

`tables` hold the predictions and what happened, cut at the moment (resources.tables.tables_until). Bookings count as
they were known at the moment. Each function gives one figure: a value with its 90% interval, or the reason for none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from wanderbricks_assets.gold.as_known import bookings_as_known, bookings_made, cancelled
from wanderbricks_assets.gold.decisions import RECOMMENDATION, standing
from wanderbricks_assets.gold.exact import exact_sum
from wanderbricks_assets.lazy import Table, ibis, np, pd
from wanderbricks_assets.models.bootstrap import bootstrap_draws, bootstrap_interval
from wanderbricks_assets.models.conversion_evaluation import FEWEST_IN_SLICE, weighted_auc
from wanderbricks_assets.models.conversion_features import LABEL_SPAN, is_converted
from wanderbricks_assets.models.customer_evaluation import decile_mape
from wanderbricks_assets.models.customer_features import spend
from wanderbricks_assets.models.model import Interval, Tables
from wanderbricks_assets.window import add_days, midnight

STAY_DAYS = 30  # the horizon of the target
BLOCK_DAYS = 7  # neighbouring days err together, so whole weeks are drawn
CUSTOMER_DAYS = 90  # customers buy twice a year: the share of a year that tells something and is not too late
YEAR_DAYS = 365
PRICE_LEAD_DAYS = 14  # how long before the night the recommendation that is looked at was made
ADOPTION_DAYS = 3  # in which a host must have followed it
SAME_PRICE, MOVED = 0.01, 0.02  # shares of a price: as good as followed; what the optimizer calls a move
FEWEST_LISTINGS = 10  # a bootstrap over fewer is not worth its name
_SAMPLES = 200


@dataclass(frozen=True)
class Realized:
    """One figure: the value with its interval and the number of units behind it, or the reason why there is none."""

    metric: str
    units: int
    interval: Interval | None = None
    reason: str | None = None


def revenue_mape(tables: Tables, moment: datetime) -> Realized:
    """MAPE of the days of the last 30 with revenue, over the forecasts made 1 to 30 days ahead; each horizon weighs the
    same, as in training, also while long ones are still few. The interval draws blocks of seven days (the circular
    block bootstrap of Politis and Romano 1992)."""
    first = (moment - timedelta(days=STAY_DAYS)).date()
    said = tables["revenue_forecast"].filter(
        (ibis._.ds >= first) & (ibis._.ds < moment.date()) & (ibis._.horizon_days <= STAY_DAYS)
    )
    daily = tables["fact_booking_daily"].filter(ibis._.check_in_date >= first)
    actual = daily.group_by(ds=daily.check_in_date).agg(actual=exact_sum(daily.total_booking_value))
    pairs = said.left_join(actual, "ds").select("ds", "horizon_days", "yhat", actual=actual.actual.fill_null(0.0))
    pairs = pairs.order_by("ds", "horizon_days").to_pandas()
    forecast = pairs["ds"].nunique()
    if forecast < STAY_DAYS:
        return Realized(
            "realized_mape", forecast, reason=f"{forecast} of the last {STAY_DAYS} stay days were forecast; all must be"
        )
    pairs = pairs[pairs["actual"] > 0]
    if pairs.empty:
        return Realized("realized_mape", 0, reason=f"none of the last {STAY_DAYS} days had revenue")
    error = (pairs["yhat"] / pairs["actual"] - 1).abs().to_numpy(float)
    share = 1 / pairs.groupby("horizon_days")["ds"].transform("size").to_numpy(float)
    day = (pd.to_datetime(pairs["ds"]) - pd.Timestamp(first)).dt.days.to_numpy()

    def mape(times: np.ndarray) -> float:
        weight = times[day] * share
        return float((weight * error).sum() / weight.sum())

    rng = np.random.default_rng(0)
    blocks = rng.integers(0, STAY_DAYS, (_SAMPLES, -(-STAY_DAYS // BLOCK_DAYS), 1)) + np.arange(BLOCK_DAYS)
    draws = [mape(np.bincount(drawn.ravel() % STAY_DAYS, minlength=STAY_DAYS).astype(float)) for drawn in blocks]
    lower, upper = np.nanquantile(draws, [0.05, 0.95])
    value = mape(np.ones(STAY_DAYS))
    return Realized("realized_mape", int(pairs["ds"].nunique()), Interval(value, float(lower), float(upper)))


def demand_rmse(tables: Tables, moment: datetime, days: int, metric: str) -> Realized:
    """RMSE of bookings per property over the forecast whose first `days` days have just ended, zeros included."""
    first = (moment - timedelta(days=days)).date()
    made_on = first - timedelta(days=1)
    forecast = tables["demand_forecast"]
    said = forecast.filter((forecast.prediction_date == made_on) & (forecast.horizon_days <= days))
    said = said.group_by("property_id").agg(predicted=said.expected_bookings.sum())
    daily = tables["fact_booking_daily"].filter(ibis._.check_in_date >= first)
    actual = daily.group_by("property_id").agg(actual=daily.booking_count.sum())
    rows = said.left_join(actual, "property_id").select("property_id", "predicted", actual=actual.actual.fill_null(0))
    rows = rows.order_by("property_id").to_pandas()
    if rows.empty:
        return Realized(metric, 0, reason=_no_forecast(forecast, moment, days, f"was made on {made_on}"))
    squared = ((rows["predicted"] - rows["actual"]) ** 2).to_numpy(float)
    interval = bootstrap_interval(
        lambda weight: float(np.sqrt(np.average(squared, weights=weight))), rows["property_id"].to_numpy(), seed=0
    )
    return Realized(metric, len(rows), interval)


def conversion_auc(tables: Tables, moment: datetime) -> Realized:
    """AUC-ROC of a week of scores whose seven days are over, of the pairs whose last view was on the scored day.

    A pair that booked before the day was out has no score, which makes the task harder than at training, where every
    view counts.
    """
    last = (moment - LABEL_SPAN - timedelta(days=1)).date()
    first = last - timedelta(days=6)
    scores = tables["conversion_scores"]
    said = scores.filter((scores.prediction_date >= first) & (scores.prediction_date <= last))
    views = tables["page_views"]
    views = views.filter((views.timestamp >= midnight(first)) & (views.timestamp < moment - LABEL_SPAN))
    seen = views.group_by("user_id", "property_id", prediction_date=views.timestamp.date())
    seen = seen.agg(viewed_at=views.timestamp.max())
    pairs = said.inner_join(seen, ["user_id", "property_id", "prediction_date"])
    pairs = pairs.select("user_id", "property_id", "viewed_at", "made_at", score="conversion_probability")
    rows = pairs.order_by("viewed_at", "user_id", "property_id").to_pandas()
    if rows.empty:
        reason = _no_forecast(scores, moment, LABEL_SPAN.days, f"of {first} to {last} met a view of its day")
        return Realized("realized_auc_roc", 0, reason=reason)
    made = bookings_made(tables["fact_booking_history"], moment)
    made = made.filter(made.created_at >= midnight(first)).semi_join(said, ["user_id", "property_id"])
    booked = made.select("user_id", "property_id", booked_at="created_at").order_by("booked_at").to_pandas()
    converted = is_converted(rows, booked)
    count = int(converted.sum())
    if min(count, len(rows) - count) < FEWEST_IN_SLICE:
        reason = f"{count} of {len(rows)} scored views converted; {FEWEST_IN_SLICE} that did and did not are needed"
        return Realized("realized_auc_roc", len(rows), reason=reason)
    auc = weighted_auc(converted, rows["score"].to_numpy())
    return Realized("realized_auc_roc", len(rows), bootstrap_interval(auc, rows["user_id"].to_numpy(), seed=0))


def pricing_lift(tables: Tables, moment: datetime) -> Realized:
    """By how much revenue per expected revenue is higher on nights whose recommended price was adopted.

    Nights of the last 30 days whose recommendation, made 14 days before, was to move. Adopted: within three days the
    host accepted it, and did not take that back, or the listed price moved to within 1% of it. Revenue of a night: the
    nightly rate of bookings made since those three days and not cancelled; expected: that at the current price, as the
    model said. The ratio of the two sums of adopted nights over that of the others, less one. This compares hosts who
    chose to follow with those who did not: it is no experiment, and whatever else differs between them is in it.
    """
    lead, wait = timedelta(days=PRICE_LEAD_DAYS), timedelta(days=ADOPTION_DAYS)
    first = moment - timedelta(days=STAY_DAYS)
    said = tables["price_recommendations"]
    said = said.filter((said.target_date >= first.date()) & (said.target_date < moment.date()))
    # The prediction_date is the last day before the prediction was made.
    said = said.filter(said.target_date == add_days(said.prediction_date, PRICE_LEAD_DAYS + 1))
    moves = said.filter((said.recommended_price / said.current_price - 1).abs() > MOVED)
    nights = moves.select(*RECOMMENDATION, "made_at", "recommended_price", expected="current_expected_revenue")
    nights = nights.to_pandas()
    if nights.empty:
        reason = _no_forecast(
            tables["price_recommendations"], moment, PRICE_LEAD_DAYS, f"made {PRICE_LEAD_DAYS} days ahead was to move"
        )
        return Realized("realized_revenue_lift", 0, reason=reason)
    updates = tables["property_updates"]
    updates = updates.filter(updates.updated_at >= first - lead).to_pandas()
    followed = nights.reset_index().merge(updates, on="property_id")
    since = followed["updated_at"] - followed["made_at"]
    is_same = (followed["base_price"] / followed["recommended_price"] - 1).abs() <= SAME_PRICE
    followed = followed.loc[is_same & (since >= timedelta(0)) & (since < wait), "index"]
    decided = standing(tables["price_decisions"])
    decided = decided.filter(decided.decision == "accept").select(*RECOMMENDATION, "decided_at").to_pandas()
    accepted = nights.reset_index().merge(decided, on=list(RECOMMENDATION))
    accepted = accepted.loc[accepted["decided_at"] - accepted["made_at"] < wait, "index"]
    nights["adopted"] = nights.index.isin([*followed, *accepted])
    listings = nights.groupby("adopted")["property_id"].nunique().reindex([False, True], fill_value=0)
    if not listings[True]:
        return Realized("realized_revenue_lift", 0, reason="no recommendation was accepted yet")
    units = int(nights["adopted"].sum())
    if listings.min() < FEWEST_LISTINGS:
        return Realized(
            "realized_revenue_lift",
            units,
            reason=f"recommendations of {listings[True]} listings were accepted and of {listings[False]} not; "
            f"{FEWEST_LISTINGS} of each are needed",
        )
    sold = _rates_of_nights(tables["fact_booking_history"], moment, first)
    bought = nights.merge(sold, on=["property_id", "target_date"], how="left")
    counts = bought["created_at"] >= bought["made_at"] + wait
    revenue = bought["rate"].where(counts, 0.0).groupby([bought["property_id"], bought["target_date"]]).sum()
    nights = nights.join(revenue.rename("revenue"), on=["property_id", "target_date"])
    is_adopted = nights["adopted"].to_numpy(float)
    got, expected = nights["revenue"].to_numpy(float), nights["expected"].to_numpy(float)

    def lift(weight: np.ndarray) -> float:
        with_, without = weight * is_adopted, weight * (1 - is_adopted)
        rates = [(part * got).sum() / (part * expected).sum() for part in (with_, without)]
        return float(rates[0] / rates[1] - 1)

    with np.errstate(divide="ignore", invalid="ignore"):
        value = lift(np.ones(len(nights)))
        draws = bootstrap_draws(lift, nights["property_id"].to_numpy(), seed=0)
    if not np.isfinite(value) or not np.isfinite(draws).all():
        return Realized("realized_revenue_lift", units, reason="too few of these nights were sold to compare them")
    lower, upper = np.quantile(draws, [0.05, 0.95])
    return Realized("realized_revenue_lift", units, Interval(value, float(lower), float(upper)))


def customer_mape(tables: Tables, moment: datetime) -> Realized:
    """Decile MAPE of what customers have spent since their value was predicted 90 days ago, against the share of the
    predicted 12 months that is due by now: the share that those who were customers a year earlier spent in the same 90
    days of their 12 months.

    Absolute errors of samples are too large on average, so the interval is the basic one (twice the value less the
    quantiles: Davison and Hinkley 1997, section 5.2), which takes that off.
    """
    metric = "realized_decile_mape"
    made_at = moment - timedelta(days=CUSTOMER_DAYS)
    values = tables["customer_value"]
    said = values.filter(values.prediction_date == (made_at - timedelta(days=1)).date())
    said = said.select("user_id", "predicted_ltv_12m").order_by("user_id").to_pandas()
    if said.empty:
        made_on = (made_at - timedelta(days=1)).date()
        return Realized(metric, 0, reason=_no_forecast(values, moment, CUSTOMER_DAYS, f"was made on {made_on}"))
    year = timedelta(days=YEAR_DAYS)
    history = tables["fact_booking_history"]
    cohort = bookings_made(history, made_at - year).select("user_id").distinct().order_by("user_id")
    cohort = cohort.to_pandas()["user_id"]
    whole = spend(tables, made_at - year, made_at, cohort).sum()
    part = spend(tables, made_at - year, moment - year, cohort).sum()
    if not part or not whole:
        return Realized(
            metric, len(said), reason=f"nobody who was a customer at {made_at - year:%Y-%m-%d} spent in the year after"
        )
    actual = spend(tables, made_at, moment, said["user_id"])
    predicted = said["predicted_ltv_12m"].to_numpy(float) * part / whole
    order = np.argsort(predicted, kind="stable")
    error = partial(decile_mape, actual[order], predicted[order])
    value = error()
    draws = bootstrap_draws(error, said["user_id"].to_numpy()[order], seed=0)
    if not np.isfinite(value) or not np.isfinite(draws).all():
        return Realized(metric, len(said), reason="a tenth of the customers has spent nothing yet")
    low, high = np.quantile(draws, [0.05, 0.95])
    return Realized(metric, len(said), Interval(value, max(float(2 * value - high), 0.0), float(2 * value - low)))


FIGURES: dict[str, tuple[Callable[[Tables, datetime], Realized], ...]] = {
    "revenue_forecaster": (revenue_mape,),
    "demand_predictor": (
        partial(demand_rmse, days=STAY_DAYS, metric="realized_rmse"),
        partial(demand_rmse, days=7, metric="realized_rmse_7d"),
    ),
    "conversion_predictor": (conversion_auc,),
    "pricing_optimizer": (pricing_lift,),
    "customer_ltv": (customer_mape,),
}
"""The figures of each model; the first is measured against the model's bound."""
READS = {
    "revenue_forecaster": ("revenue_forecast", "fact_booking_daily"),
    "demand_predictor": ("demand_forecast", "fact_booking_daily"),
    "conversion_predictor": ("conversion_scores", "page_views", "fact_booking_history"),
    "pricing_optimizer": ("price_recommendations", "price_decisions", "property_updates", "fact_booking_history"),
    "customer_ltv": ("customer_value", "fact_booking_history"),
}
YEARS = {"page_views": 1}  # of two weeks; whose files are many


def _no_forecast(predictions: Table, moment: datetime, days: int, else_: str) -> str:
    """Why there is nothing to compare: predictions are too young, or there was none that could be."""
    oldest = predictions.made_at.min().to_pyarrow().as_py()
    if oldest is None:
        return "nothing has been predicted yet"
    age = (moment - oldest).days
    if age < days:
        return f"not enough predictions yet: {age} of {days} days have passed since the first"
    return f"no prediction {else_}"


def _rates_of_nights(history: Table, moment: datetime, since: datetime) -> pd.DataFrame:
    """property_id, target_date, created_at, rate: one row per night sold, as known at the moment, from `since` on."""
    known = bookings_as_known(history, moment)
    known = known.filter(~cancelled(known) & (known.nights_booked > 0) & (known.check_out_date > since.date()))
    nights = known.mutate(night=ibis.range(0, known.nights_booked).unnest())
    return nights.select(
        "property_id",
        "created_at",
        target_date=add_days(nights.check_in_date, nights.night),
        rate=nights.total_amount / nights.nights_booked,
    ).to_pandas()
