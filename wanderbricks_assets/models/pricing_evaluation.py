"""How much more the recommended prices would earn, judged by elasticities that had no part in choosing them."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from wanderbricks_assets.lazy import np, pd
from wanderbricks_assets.models.accepted_prices import at_accepted_prices, at_listed_prices
from wanderbricks_assets.models.calendar import FIRST_MONDAY, last_anchored
from wanderbricks_assets.models.elasticity import (
    SURE,
    VERY_SURE,
    Elasticities,
    growth,
    listing_rate,
    residuals,
    response,
)
from wanderbricks_assets.models.frames import fixed_share, sliced
from wanderbricks_assets.models.model import Calibration, CannotLearn, Evaluation, Interval, Tables
from wanderbricks_assets.models.one_thread import one_thread
from wanderbricks_assets.models.price_choice import arrivals_at, choose_prices, demand_at
from wanderbricks_assets.models.price_panel import (
    DAYS,
    bookings_of_nights,
    check,
    listed_weeks,
    nights_of,
    panel_at,
    weekly_panel,
)
from wanderbricks_assets.models.price_placebo import placebo
from wanderbricks_assets.window import midnight

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from wanderbricks_assets.models.pricing_optimizer import PricingOptimizer

ORIGINS = 3
BLOCK = timedelta(days=28)  # origins are whole blocks from FIRST_MONDAY, so that later evaluations share them
BINS = 5
DRAWS = 200  # of the judges' coefficients and scales


@one_thread
def evaluate(method: type[PricingOptimizer], tables: Tables, cutoff: date, seed: int) -> Evaluation:
    """Half of the listings choose the prices of the other half, whose own response judges them.

    The choosers know nothing from the first origin on: held out are the listings and the dates.
    """
    end = cutoff - timedelta(days=cutoff.weekday())
    origins = _origins(cutoff)
    history = tables["fact_booking_history"]
    weeks = listed_weeks(tables["property_features"], history, end)
    panel = weekly_panel(tables["property_features"], history, end)
    past = panel[panel.weeks_ago > 0].reset_index(drop=True)
    check(past[past.week < origins[0]])
    past = at_listed_prices(past, tables["price_decisions"], midnight(cutoff))
    to_sell = pd.concat([_nights_and_bookings(weeks, tables, origin) for origin in origins], ignore_index=True)
    half_of, half_to_sell = _half(past.property_id), _half(to_sell.property_id)
    judges, held_out, priced = [], [], []
    for half in (0, 1):
        mine = half_of == half
        model = method(seed).fit(_choosers(past[~mine & (past.week < origins[0])]))
        judged = residuals(past[mine], seed)
        judges.append(Elasticities.fit(response(judged)))
        held_out.append(judged.assign(elasticity=model.elasticities.of(judged)[0]))
        for origin in origins:
            model.rate = model.rates(past[mine & (past.week < origin)])
            nights = to_sell[(half_to_sell == half) & (to_sell.week == origin)]
            nights = nights.assign(**model.believe(nights))
            priced.append(nights.assign(**choose_prices(nights, model.rails)))
    rows = pd.concat(priced, ignore_index=True)
    judged = pd.concat(held_out, ignore_index=True)
    lift, steady, judge_elasticity, demand = _lift(rows, judges, seed)
    calibration, extra = _calibration(judged)
    pooled, error = _pooled(judges)
    stays = rows.recommended_price == rows.current_price
    moves = np.abs(np.log(rows.recommended_price / rows.current_price)[~stays])
    sold = rows.reason == "kept: already booked"
    change = (rows.recommended_price / rows.current_price - 1)[~sold]
    evaluated = _rows(rows, judge_elasticity, demand)
    return Evaluation(
        metric=lift,
        baseline=0.0,
        calibration=calibration,
        rows=evaluated,
        slices=slices(evaluated),
        losses=_losses(judged, origins),
        metrics={
            "elasticity_mean": pooled,
            "elasticity_lower": pooled - SURE * error,
            "elasticity_upper": pooled + SURE * error,
            "naive_elasticity": _naive(past),
            "lift_if_elasticity_is_constant": steady,
            "share_of_prices_moved": float((~stays).mean()),
            "share_of_prices_raised": float((rows.recommended_price > rows.current_price).mean()),
            "share_of_free_nights_lowered": float((change < 0).mean()),
            "share_of_free_nights_raised": float((change > 0).mean()),
            "mean_price_change_of_free_nights": float(change.mean()),
            "share_already_booked": float(sold.mean()),
            "share_declined": float((stays & ~sold).mean()),
            "mean_move": float(moves.mean()) if len(moves) else 0.0,
            "expected_over_actual_bookings": float(rows.expected.sum() / max(rows.came.sum(), 1)),
        }
        | extra,
    )


def _half(property_id: pd.Series) -> pd.Series:
    """0 or 1 for each listing, the same every week."""
    return (fixed_share(property_id) >= 0.5).astype(int)


def _choosers(past: pd.DataFrame) -> pd.DataFrame:
    """The weeks of the listings that choose prices for the others. Raises CannotLearn where they are too few."""
    try:
        check(past)
    except CannotLearn as reason:
        raise CannotLearn(f"half of the listings must judge the prices that the other half chose: {reason}") from reason
    return past.reset_index(drop=True)


def _nights_and_bookings(weeks: pd.DataFrame, tables: Tables, origin: pd.Timestamp) -> pd.DataFrame:
    """The nights to price at an origin, with the bookings that `came` for each afterwards."""
    history = tables["fact_booking_history"]
    came = bookings_of_nights(history, origin.date()).rename(columns={"bookings": "came"})
    nights = nights_of(panel_at(weeks, origin.date()), history, origin.date())
    nights = at_accepted_prices(nights, tables["price_decisions"], origin)
    return nights.merge(came, on=["property_id", "target_date"], how="left").fillna({"came": 0.0})


def _origins(cutoff: date) -> list[pd.Timestamp]:
    """The last anchored days whose 30 nights have passed before the cutoff."""
    last = last_anchored(cutoff - timedelta(days=DAYS), BLOCK)
    return [pd.Timestamp(last - k * BLOCK) for k in reversed(range(ORIGINS))]


def _lift(rows: pd.DataFrame, judges: list[Elasticities], seed: int) -> tuple[Interval, float, np.ndarray, np.ndarray]:
    """(revenue of recommended over current prices - 1, the same at constant elasticity, judged elasticity and demand).

    Judged elasticity and demand are [rows]. The interval is that of the judges' coefficients, scales and demand
    curve. What a listing's own elasticity is beside its traits is not known, so its revenue is the mean over what it
    may be.
    """
    half = _half(rows.property_id).to_numpy()
    judged = np.empty(len(rows))
    listing = rows.groupby(["property_id", "week"], sort=False).ngroup().to_numpy()  # one elasticity for its nights
    first = rows.drop_duplicates(["property_id", "week"])
    first = first.assign(current_price=first.listed_price)
    designs = [judge.design(first) for judge in judges]
    for k, judge in enumerate(judges):
        judged[half == k] = (designs[k] @ judge.mean)[listing[half == k]]
    moves = (rows.recommended_price != rows.current_price).to_numpy()  # the others earn the same
    worth = float((rows.current_price * rows.expected).sum())

    def demand_of(moved: pd.DataFrame, elasticity: np.ndarray, growing: float, spread: float) -> np.ndarray:
        ratio = (moved.recommended_price / moved.current_price).to_numpy()
        arrivals = arrivals_at(ratio, elasticity, growing, spread)
        return demand_at(arrivals, moved.expected.to_numpy(), moved.free_nights.to_numpy(float))

    demand = rows.expected.to_numpy().copy()
    steady, drawn = 0.0, np.zeros(DRAWS)
    for k, judge in enumerate(judges):
        mine, spread = (half == k) & moves, judge.scales["listing"]
        moved = rows[mine]
        now = float((moved.current_price * moved.expected).sum())
        demand[mine] = demand_of(moved, judged[mine], judge.growth, spread)
        steady += (moved.recommended_price @ demand_of(moved, judged[mine], 0.0, spread) - now) / worth
        for i, (coefficients, own) in enumerate(judge.draws(DRAWS, seed + k)):
            sold = demand_of(moved, (designs[k] @ coefficients)[listing[mine]], growth(coefficients), own)
            drawn[i] += (moved.recommended_price @ sold - now) / worth
    value = float(rows.recommended_price @ demand) / worth - 1
    lower, upper = np.quantile(drawn, [0.05, 0.95])
    return Interval(value, float(lower), float(upper)), float(steady), judged, demand


def _calibration(judged: pd.DataFrame) -> tuple[Calibration, dict[str, float]]:
    """Do listings that chose nothing respond as the chooser's elasticities say, and not before a price was set?

    By price residual, in five bins.
    """
    d, h, y = (judged[name].to_numpy() for name in ("price_residual", "expected_bookings", "bookings"))
    said = h * np.exp(judged.elasticity.to_numpy() * d)
    bins = np.digitize(d, np.quantile(d, np.linspace(0, 1, BINS + 1)[1:-1]))
    listing, _ = pd.factorize(judged.property_id)
    # The slope that is left over, clustered by listing; the score of elasticity.py with the chooser's elasticities in
    # it.
    left = np.bincount(listing, (y * np.exp(-judged.elasticity.to_numpy() * d) - h) * d)
    rest, error = left.sum() / (h @ d**2), np.sqrt(left @ left) / (h @ d**2)
    observed, predicted = np.bincount(bins, y), np.bincount(bins, said)
    before = placebo(judged)
    holds = abs(rest) < VERY_SURE * error and before.holds
    statement = (
        f"on held-out listings the elasticity differs from the predicted by {rest:+.2f} (standard error {error:.2f}); "
        "bookings over predicted, from the lowest to the highest relative price: "
        + ", ".join(f"{ratio:.2f}" for ratio in observed / predicted)
        + f"; {before}"
    )
    curve = {f"observed_response_bin_{k + 1}": float(v) for k, v in enumerate(observed / np.bincount(bins, h))}
    curve |= {f"predicted_response_bin_{k + 1}": float(v) for k, v in enumerate(predicted / np.bincount(bins, h))}
    extra = {"elasticity_left_over": float(rest), "placebo_lead": before.lead, "placebo_error": before.standard_error}
    return Calibration(bool(holds), statement), curve | extra


def _pooled(judges: list[Elasticities]) -> tuple[float, float]:
    """Elasticity of the whole and its standard error, from two halves that share no listing."""
    weight = np.array([1 / judge.standard_error**2 for judge in judges])
    return float(weight @ [judge.pooled for judge in judges] / weight.sum()), float(weight.sum() ** -0.5)


def _naive(past: pd.DataFrame) -> float:
    """What a slope of bookings on the listing's own price gives when nothing else is accounted for."""
    centred = past.log_price - past.groupby("property_id").log_price.transform("mean")
    rate = past.property_id.map(listing_rate(past))
    return response(past.assign(price_residual=centred, expected_bookings=rate)).pooled


def _losses(judged: pd.DataFrame, origins: list[pd.Timestamp]) -> pd.Series:
    """Poisson deviance of weekly bookings at the chooser's elasticity, by listing and block from the first origin."""
    rows = judged[judged.week >= origins[0]]
    mean = rows.expected_bookings * np.exp(rows.elasticity * rows.price_residual)
    from scipy.special import xlogy

    deviance = 2 * (xlogy(rows.bookings, rows.bookings / mean) - rows.bookings + mean)
    block = (rows.week - pd.Timestamp(FIRST_MONDAY)).dt.days // BLOCK.days
    begins = pd.Timestamp(FIRST_MONDAY) + pd.to_timedelta(block * BLOCK.days, unit="D")
    whole = begins + BLOCK <= judged.week.max() + timedelta(days=7)
    losses = deviance[whole].groupby([begins[whole], rows.property_id[whole]]).mean()
    return pd.Series(
        losses.to_numpy(), index=[f"{begin:%Y-%m-%d} property {listing}" for begin, listing in losses.index]
    )


def _rows(rows: pd.DataFrame, judge_elasticity: np.ndarray, demand: np.ndarray) -> pd.DataFrame:
    """`predicted`, `actual`: bookings of the night made from the origin on, at current prices. A lift has no actual."""
    return pd.DataFrame(
        {
            "origin": rows.week,
            "property_id": rows.property_id,
            "target_date": rows.target_date,
            "destination": rows.destination,
            "current_price": rows.current_price,
            "recommended_price": rows.recommended_price,
            "free_nights": rows.free_nights,
            "property_type": rows.property_type,
            "price_a_week_ago": rows.price_a_week_ago,
            "lowest_seen": rows.lowest_seen,
            "highest_seen": rows.highest_seen,
            "growth": rows.growth,
            "elasticity": rows.elasticity,
            "elasticity_lower": rows.elasticity - SURE * rows.elasticity_sd,
            "elasticity_upper": rows.elasticity + SURE * rows.elasticity_sd,
            "judge_elasticity": judge_elasticity,
            "judged_demand": demand,
            "predicted_revenue": rows.expected_revenue,
            "predicted_current_revenue": rows.current_expected_revenue,
            "reason": rows.reason,
            "predicted": rows.expected,
            "actual": rows.came,
        }
    )


def figure(evaluation: Evaluation) -> Figure:
    """Left: elasticities by destination with 90% intervals. Right: revenue of one night by price."""
    from matplotlib.figure import Figure

    rows = evaluation.rows.drop_duplicates(["origin", "property_id"])
    by_place = rows.groupby("destination")[["elasticity", "elasticity_lower", "elasticity_upper"]].mean()
    by_place = by_place.sort_values("elasticity")
    picture = Figure(figsize=(10, max(3.5, 0.17 * len(by_place))), layout="constrained")
    left, right = picture.subplots(1, 2)
    place = np.arange(len(by_place))
    left.hlines(place, by_place.elasticity_lower, by_place.elasticity_upper, color="tab:blue", alpha=0.5)
    left.plot(by_place.elasticity, place, "o", color="tab:blue", markersize=4)
    left.axvline(-1, color="grey", linestyle=":")
    left.axvline(evaluation.metrics["naive_elasticity"], color="tab:red", linestyle="--", label="naive slope")
    left.set_yticks(place, by_place.index, fontsize=7)
    left.set_title("Elasticity of a listing, by destination (90% interval)")
    left.legend(fontsize=7)

    moved = evaluation.rows[evaluation.rows.recommended_price != evaluation.rows.current_price]
    moved = moved if len(moved) else evaluation.rows
    night = moved.loc[(moved.predicted_revenue - moved.predicted_current_revenue).idxmax()]
    ratio = np.linspace(0.5, 2, 100)
    free = np.array(float(night.free_nights))
    for name, style in (("elasticity", "-"), ("elasticity_lower", ":"), ("elasticity_upper", ":")):
        arrivals = arrivals_at(ratio, night[name], night.growth, 0.0)
        revenue = ratio * night.current_price * demand_at(arrivals, np.array(night.predicted), free)
        right.plot(ratio * night.current_price, revenue, style, color="tab:blue")
    right.axvline(night.current_price, color="grey", linestyle=":", label="current price")
    right.axvline(night.recommended_price, color="tab:green", label="recommended")
    right.set_title(f"Listing {night.property_id}, night of {night.target_date:%Y-%m-%d}")
    right.set_xlabel("price of the night")
    right.set_ylabel("expected revenue")
    right.legend(fontsize=7)
    return picture


def slices(rows: pd.DataFrame) -> pd.DataFrame:
    """SLICE_COLUMNS, worst first: the claimed lift by destination and by property type, of an evaluation's rows."""
    rows = rows.assign(
        current=rows.current_price * rows.predicted,
        recommended=rows.recommended_price * rows.judged_demand,
    )

    def lift(part: pd.DataFrame) -> float:
        current = part["current"].sum()
        return part["recommended"].sum() / current - 1 if current > 0 else np.nan

    return sliced(rows, {"destination": "destination", "property type": "property_type"}, lift, "least")
