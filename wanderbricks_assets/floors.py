"""What a forecaster who knows the simulator's true probabilities would reach on the rows that a model was evaluated on.

Only the scoreboard and the benchmark read the truth, and only a simulated source has one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from wanderbricks_assets.gold.as_known import cancelled, versions
from wanderbricks_assets.lazy import np, pd
from wanderbricks_assets.models.frames import frame
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.resources.source import FilesSource
from wanderbricks_assets.simulator import truth

SAMPLES = 300
GATE_HORIZON = 30  # days: what the targets of revenue and demand look at
MEANING = {
    "revenue_forecaster": "error of the best forecast that knows the true rates and the books",
    "demand_predictor": "error of the books and what the true rates bring",
    "conversion_predictor": "AUC-ROC of the true probabilities, which know what visitors hide",
    "pricing_optimizer": "true lift of these recommendations, each listing moved alone",
    "customer_ltv": "error of the true expected values on the same customers; chance may put a model below it",
}


def floor(model: str, rows: pd.DataFrame, lake: Lake, source: FilesSource) -> float | None:
    """The floor of a model's metric on its evaluated `rows`; None where the source has no truth, or no floor of the
    model is known.

    For prices it is no floor but the true lift of the very recommendations that were judged.
    """
    folder = Path(source.folder)
    if model not in _FLOORS or not (folder / truth.TRUTH).is_dir():
        return None
    return float(_FLOORS[model](rows, folder, lake))


def _revenue(rows: pd.DataFrame, folder: Path, lake: Lake) -> float:
    """MAPE, mean over origins, of the forecast that is best for it: the median of what the true rates and the books of
    the origin let come, each outcome y weighted by 1 / y (Gneiting 2011, Journal of the American Statistical
    Association 106, section 3.1)."""
    rows = rows[rows.horizon_days <= GATE_HORIZON]
    states = _states(lake)
    errors = []
    for origin, of_origin in rows.groupby("origin"):
        books = _on_the_books(states, origin)
        draws = truth.revenue_draws(folder, origin.date(), books[~books.is_cancelled], SAMPLES, GATE_HORIZON)
        best = pd.Series(best_for_percentages(draws), pd.date_range(origin, periods=draws.shape[1]), name="best")
        both = of_origin.assign(ds=pd.to_datetime(of_origin.ds)).join(best, on="ds", how="inner")
        both = both[both.actual > 0]
        errors.append((both.best / both.actual - 1).abs().mean())
    return np.mean(errors)


def best_for_percentages(draws: np.ndarray) -> np.ndarray:
    """[days] the forecast of least expected absolute percentage error; draws is [samples, days]."""
    draws = np.sort(draws, axis=0)
    weight = np.divide(1.0, draws, out=np.zeros_like(draws), where=draws > 0).cumsum(axis=0)
    return np.take_along_axis(draws, (weight < weight[-1] / 2).sum(axis=0)[None], axis=0)[0]


def _demand(rows: pd.DataFrame, folder: Path, lake: Lake) -> float:
    """RMSE of the books and what the true rates let come to the nights that are free."""
    states = _states(lake)
    since, until = (_day_after(states[name]) for name in ("known_at", "known_until"))
    held = states.assign(since=since, until=until)[~states.is_cancelled]
    places = frame(lake.read("dim_property").select("property_id", "destination_id").distinct(), "property_id")
    squares = []
    for origin, of_origin in rows.groupby("origin"):
        end = origin + pd.Timedelta(days=GATE_HORIZON)
        books = _on_the_books(states, origin)
        booked = books[books.check_in < end].groupby("property_id").size()
        listings = of_origin[["property_id"]].merge(places, on="property_id").drop_duplicates("property_id")
        near = held[(held.check_out > origin) & (held.known_at < end)]
        coming = truth.expected_check_ins(folder, origin.date(), GATE_HORIZON, listings, near)
        expected = booked.reindex(listings.property_id, fill_value=0).to_numpy() + coming
        actual = of_origin.set_index("property_id").actual.reindex(listings.property_id).to_numpy()
        squares.append((actual - expected) ** 2)
    return np.sqrt(np.concatenate(squares).mean())


def _day_after(moments: pd.Series) -> np.ndarray:
    """The first midnight at which what happened is known, in days since 1970; a moment that never comes is far off."""
    return np.where(moments.isna(), 2**31, (moments - pd.Timestamp(0)).dt.days.fillna(0) + 1).astype("int64")


def _conversion(rows: pd.DataFrame, folder: Path, lake: Lake) -> float:
    from sklearn.metrics import roc_auc_score

    both = rows.merge(truth.conversion_probability(folder), on="view_id")
    return roc_auc_score(both.actual, both.probability)


def _pricing(rows: pd.DataFrame, folder: Path, lake: Lake) -> float:
    """True lift: arrivals at the recommended price by the simulator's own choice model, of the bookings expected now.

    As in the claim, one listing moves at a time, a night is sold once, and arrivals are those the model expects.
    """
    from wanderbricks_assets.models.price_choice import demand_at

    ratio = (rows.recommended_price / rows.current_price).to_numpy()
    arrivals = truth.demand_multiplier(folder, rows.property_id.to_numpy(), rows.origin.to_numpy(), ratio)
    demand = demand_at(arrivals, rows.predicted.to_numpy(), rows.free_nights.to_numpy(float))
    return (rows.recommended_price * demand).sum() / (rows.current_price * rows.predicted).sum() - 1


def lifts_together(rows: pd.DataFrame, folder: Path) -> tuple[float, float]:
    """True lift of the last origin's recommendations: (each listing moved alone, all moved at once).

    By the simulator's own choice, as of the day on which it ended. There a listing has one price, so it moves by the
    mean of its nights' moves, weighted with the bookings expected of them; otherwise as `_pricing`. Both are of these
    same moves and visitors, so that their difference is what moving together takes.
    """
    from wanderbricks_assets.models.price_choice import demand_at

    last = rows[(rows.origin == rows.origin.max()) & (rows.free_nights > 0)]
    worth = last.current_price * last.predicted
    sums = pd.DataFrame({"now": worth, "then": last.recommended_price * last.predicted}).groupby(last.property_id).sum()
    ratio = sums.then / sums.now
    alone, together = truth.multipliers_together(folder, ratio.index.to_numpy(), ratio.to_numpy())

    def lift(arrivals: np.ndarray) -> float:
        of_night = last.property_id.map(pd.Series(arrivals, ratio.index).fillna(1.0)).to_numpy()
        demand = demand_at(of_night, last.predicted.to_numpy(), last.free_nights.to_numpy(float))
        return float((last.property_id.map(ratio) * last.current_price * demand).sum() / worth.sum() - 1)

    return lift(alone), lift(together)


def _customer_value(rows: pd.DataFrame, folder: Path, lake: Lake) -> float:
    """Decile error of the true expected values, between those known for the months that begin around the origin."""
    from wanderbricks_assets.models.customer_evaluation import decile_mape

    both = rows.merge(expected_customer_value(folder, rows.origin.iloc[0]), on="user_id")
    return decile_mape(both.actual.to_numpy(), both.expected_revenue_12m.to_numpy())


def expected_customer_value(folder: Path, origin) -> pd.DataFrame:
    """user_id, expected_revenue_12m from the origin on: linear in time between two firsts of a month; users who are new
    at the later one have its value."""
    begin = pd.Timestamp(origin).replace(day=1).normalize()
    end = begin + pd.DateOffset(months=1)
    share = (pd.Timestamp(origin) - begin) / (end - begin)
    known = [
        truth.customer_value(folder, month.date()).set_index("user_id").expected_revenue_12m for month in (begin, end)
    ]
    value = (known[0] * (1 - share) + known[1] * share).reindex(known[1].index).fillna(known[1])
    return value.reset_index()


def _states(lake: Lake) -> pd.DataFrame:
    """Every state of every booking, and from when until when it was the known one."""
    history = versions(lake.read("fact_booking_history"))
    states = history.select(
        "booking_id",
        "property_id",
        "created_at",
        "total_amount",
        "known_at",
        "known_until",
        check_in="check_in_date",
        check_out="check_out_date",
        is_cancelled=cancelled(history),
    )
    return frame(states, "booking_id", "known_at")


def _on_the_books(states: pd.DataFrame, origin: pd.Timestamp) -> pd.DataFrame:
    """The states known when the day of the origin began, of stays that begin on it or later."""
    known = (states.known_at < origin) & (states.known_until.isna() | (states.known_until >= origin))
    return states[known & (states.check_in >= origin)]


_FLOORS: dict[str, Callable[[pd.DataFrame, Path, Lake], float]] = {
    "revenue_forecaster": _revenue,
    "demand_predictor": _demand,
    "conversion_predictor": _conversion,
    "pricing_optimizer": _pricing,
    "customer_ltv": _customer_value,
}
