"""What a forecaster who knows the simulator's true probabilities would reach on the rows that a model was evaluated on.

Only the scoreboard and the benchmark read the truth, and only a simulated source has one.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from wanderbricks_assets.gold.as_known import bookings_as_known, cancelled
from wanderbricks_assets.lazy import np, pd
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.resources.source import FilesSource
from wanderbricks_assets.simulator import truth
from wanderbricks_assets.window import midnight

GATE_HORIZON = 30  # days: what the targets of revenue and demand look at


def floor(model: str, rows: pd.DataFrame, lake: Lake, source: FilesSource) -> float | None:
    """The floor of a model's metric on its evaluated `rows`; None where the source has no truth.

    For prices it is no floor but the true lift of the very recommendations that were judged.
    """
    folder = Path(source.folder)
    if not (folder / truth.TRUTH).is_dir():
        return None
    return float(_FLOORS[model](rows, folder, lake))


def _revenue(rows: pd.DataFrame, folder: Path, lake: Lake) -> float:
    """MAPE of the true expectation given the books of each origin, mean over origins."""
    rows = rows[rows.horizon_days <= GATE_HORIZON]
    errors = []
    for origin, of_origin in rows.groupby("origin"):
        day = pd.Timestamp(origin).date()
        books = _books(lake, day)
        expected = truth.expected_revenue(folder, day, books[~books.is_cancelled])
        expected["ds"] = pd.to_datetime(expected.ds)
        both = of_origin.assign(ds=pd.to_datetime(of_origin.ds)).merge(expected, on="ds")
        both = both[both.actual > 0]
        errors.append((both.expected_revenue / both.actual - 1).abs().mean())
    return np.mean(errors)


def _demand(rows: pd.DataFrame, folder: Path, lake: Lake) -> float:
    """RMSE of books + true rate of the bookings to come, times the share of them that check in within the horizon."""
    arrivals = truth.arrival_rate(folder)
    squares = []
    for origin, of_origin in rows.groupby("origin"):
        day = pd.Timestamp(origin).date()
        end = day + timedelta(days=GATE_HORIZON)
        books = _books(lake, day)
        check_in = pd.to_datetime(books.check_in)
        booked = books[(check_in >= pd.Timestamp(day)) & (check_in < pd.Timestamp(end))].groupby("property_id").size()
        coming = arrivals[arrivals.created_date.between(pd.Timestamp(day), pd.Timestamp(end) - pd.Timedelta(days=1))]
        within = coming.bookings.where(coming.check_in < pd.Timestamp(end), 0.0)
        share = within.groupby(coming.created_date).sum() / coming.groupby("created_date").bookings.sum()
        rate = truth.demand_rate(folder, day, end)
        expected = (rate.bookings * rate.date.map(share)).groupby(rate.property_id).sum()
        actual = of_origin.groupby("property_id").actual.sum()
        expected = expected.add(booked, fill_value=0).reindex(actual.index, fill_value=0)
        squares.append(((actual - expected) ** 2).to_numpy())
    return np.sqrt(np.concatenate(squares).mean())


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


def _customer_value(rows: pd.DataFrame, folder: Path, lake: Lake) -> float:
    """Decile error of the true expected values, known for the month that begins nearest to the test's cutoff."""
    from wanderbricks_assets.models.customer_evaluation import decile_mape

    cutoff = pd.Timestamp(rows.origin.iloc[0])
    month = (cutoff + pd.Timedelta(days=15)).replace(day=1).normalize()
    expected = truth.customer_value(folder, month.date())
    both = rows.merge(expected, on="user_id")
    return decile_mape(both.actual.to_numpy(), both.expected_revenue_12m.to_numpy())


def _books(lake: Lake, day) -> pd.DataFrame:
    """The bookings known when the day began."""
    books = bookings_as_known(lake.read("fact_booking_history"), midnight(day))
    return books.select(
        "booking_id",
        "property_id",
        "created_at",
        "total_amount",
        check_in="check_in_date",
        is_cancelled=cancelled(books),
    ).to_pandas()


_FLOORS: dict[str, Callable[[pd.DataFrame, Path, Lake], float]] = {
    "revenue_forecaster": _revenue,
    "demand_predictor": _demand,
    "conversion_predictor": _conversion,
    "pricing_optimizer": _pricing,
    "customer_ltv": _customer_value,
}
