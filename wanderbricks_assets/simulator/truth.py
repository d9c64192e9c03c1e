"""What the real world would hide, read from `<out>/_truth`. Only the scoreboard, the benchmark and tests may know it.

| table | one row is | columns |
|---|---|---|
| conversion_probability | a page view | view_id; probability that this user books that property in the shopping episode of the view (at most three days, so within the 7 days of the label) |
| cancellation_probability | a booking | booking_id; probability, when made, of being cancelled before arrival |
| demand_rate | property x day of creation | property_id; date; bookings: expected number created that day, over who comes, what they look at and what they choose, given the market at the day's start |
| arrival_rate | day of creation x check-in | created_date; check_in; bookings, revenue, kept_revenue (not cancelled): expected of the shopping that begins that day |
| price_response | property x month | property_id; date (first of the month, or first simulated day); base_price; elasticity at that price; multiplier: expected demand at each of RATIOS times the price, relative to demand at the price |
| customer_value | user x first of month | user_id; as_of; expected_revenue_12m: bookings created in the 12 months from as_of on, without those that will be cancelled, given all hidden traits and whether the user is still there; is_churned: has left for ever |

Expectations come from a panel (see `panel`). A view's probability leaves out that another guest of the same day may take the nights
first (about 1% of bookings). Money is in the marketplace's one currency. The profile "sample" has no truth.
"""  # noqa: E501

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from wanderbricks_assets.simulator.browsing import still_deciding
from wanderbricks_assets.simulator.files import TRUTH
from wanderbricks_assets.simulator.lifecycle import cancelled_by, days_to_arrival
from wanderbricks_assets.simulator.panel import RATIOS

HORIZON = 90


def _read(out: Path, table: str, filters: list | None = None) -> pd.DataFrame:
    folder = Path(out) / TRUTH / table
    if not folder.exists():
        raise ValueError(f"{folder} does not exist: was {out} filled by the simulator with the marketplace profile?")
    files = sorted(folder.rglob("[!.]*.parquet"))
    if filters:
        return pq.read_table(files, filters=filters, partitioning=None).to_pandas(date_as_object=False)
    return pq.read_table(files, partitioning=None).to_pandas(date_as_object=False)


def conversion_probability(out: Path) -> pd.DataFrame:
    """view_id, probability."""
    return _read(out, "conversion_probability")


def cancellation_probability(out: Path) -> pd.DataFrame:
    """booking_id, probability."""
    return _read(out, "cancellation_probability")


def demand_rate(out: Path, begin: date | None = None, end: date | None = None) -> pd.DataFrame:
    """property_id, date, bookings (expected); from `begin` up to and without `end`."""
    filters = [("date", ">=", begin)] if begin else []
    filters += [("date", "<", end)] if end else []
    return _read(out, "demand_rate", filters)


def arrival_rate(out: Path) -> pd.DataFrame:
    """created_date, check_in, bookings, revenue, kept_revenue (expected)."""
    return _read(out, "arrival_rate")


def customer_value(out: Path, as_of: date | None = None) -> pd.DataFrame:
    """user_id, as_of, expected_revenue_12m, is_churned."""
    return _read(out, "customer_value", [("as_of", "=", as_of)] if as_of else None)


def price_response(out: Path) -> pd.DataFrame:
    """property_id, date, base_price, elasticity, multiplier (an array over RATIOS)."""
    return _read(out, "price_response")


def elasticity(out: Path, on: date | None = None) -> pd.DataFrame:
    """property_id, elasticity: own-price elasticity of expected bookings at the listed price, latest or as of `on`."""
    rows = price_response(out)
    if on is not None:
        rows = rows[rows["date"] <= pd.Timestamp(on)]
    rows = rows.sort_values("date", kind="stable").drop_duplicates("property_id", keep="last")
    return rows[["property_id", "elasticity"]].sort_values("property_id").reset_index(drop=True)


def demand_multiplier(out: Path, property_id: np.ndarray, on: np.ndarray, ratio: np.ndarray) -> np.ndarray:
    """Expected bookings of a property at `ratio` times its listed price, relative to those at the listed price.

    property_id, on (dates), ratio (0.5 to 2): arrays of one length. Answers are those of the month of the date, or of
    the nearest month that knows the property; between the ratios stored, log demand is linear in the ratio, as it
    about is in the model.

    Raises ValueError for a ratio outside 0.5 to 2 or an unknown property.
    """
    ratio = np.asarray(ratio, dtype=float)
    if ((ratio < RATIOS[0]) | (ratio > RATIOS[-1])).any():
        raise ValueError(f"ratio must be between {RATIOS[0]} and {RATIOS[-1]}, found {ratio.min()} to {ratio.max()}")
    rows = price_response(out)
    rows["row"] = np.arange(len(rows))
    asked = pd.DataFrame(
        {"property_id": np.asarray(property_id, dtype="int64"), "date": pd.to_datetime(np.asarray(on))}
    )
    asked["date"] = asked["date"].astype(rows["date"].dtype)
    asked["position"] = np.arange(len(asked))
    asked = asked.sort_values("date", kind="stable")
    columns = rows[["property_id", "date", "row"]].sort_values("date", kind="stable")
    found = pd.merge_asof(asked, columns, on="date", by="property_id")
    first = pd.merge_asof(asked, columns, on="date", by="property_id", direction="forward")
    row = found["row"].fillna(first["row"])
    if row.isna().any():
        unknown = sorted(set(asked["property_id"][row.isna().to_numpy()]))[:5]
        raise ValueError(f"no price response is known for properties {unknown}")
    curve = np.log(np.maximum(np.stack(rows["multiplier"].to_numpy()), 1e-12))
    curve = curve[row.to_numpy(dtype=int)][np.argsort(found["position"].to_numpy())]
    low = np.clip(np.searchsorted(RATIOS, ratio, side="right") - 1, 0, len(RATIOS) - 2)
    share = (ratio - RATIOS[low]) / (RATIOS[low + 1] - RATIOS[low])
    at = np.arange(len(ratio))
    return np.exp(curve[at, low] * (1 - share) + curve[at, low + 1] * share)


def survival(lead: np.ndarray, age: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Probability that a booking not cancelled at `age` is not cancelled at arrival.

    lead, age: days from booking to arrival and to now; probability: of being cancelled, as when it was made.
    """
    return (1 - probability) / (1 - probability * cancelled_by(age, lead))


def expected_revenue(out: Path, origin: date, on_the_books: pd.DataFrame) -> pd.DataFrame:
    """Revenue by check-in date that a forecaster expects who knows the true rates and the books at the start of day
    `origin`.

    on_the_books: booking_id, check_in, total_amount, created_at of bookings made before `origin` and not cancelled
    then.
    Returns ds (90 days from `origin` on, as far as the simulation got), expected_revenue.
    """
    now = np.datetime64(origin, "s").astype(np.int64)
    books = on_the_books.merge(cancellation_probability(out), on="booking_id", how="left")
    created = books["created_at"].to_numpy().astype("datetime64[s]").astype(np.int64)
    check_in = books["check_in"].to_numpy().astype("datetime64[D]").astype(np.int64)
    lead = days_to_arrival(created, check_in)
    age = (now - created) / 86_400
    probability = books["probability"].fillna(books["probability"].mean()).to_numpy()
    kept = books["total_amount"].to_numpy() * survival(lead, age, probability)
    begin = np.datetime64(origin, "D").astype(np.int64)

    rates = _read(out, "arrival_rate", [("created_date", ">=", origin - timedelta(days=3))])
    shopped = rates["created_date"].to_numpy().astype("datetime64[D]").astype(np.int64)
    arrives = rates["check_in"].to_numpy().astype("datetime64[D]").astype(np.int64)
    # Of the shopping begun before the origin, some is decided after it; it began on average in the middle of its day.
    undecided = still_deciding(arrives - shopped, np.maximum(begin - shopped - 0.5, 0.0))
    new = rates["kept_revenue"].to_numpy() * np.where(shopped >= begin, 1.0, undecided)
    days = int(np.clip(shopped.max() + 1 - begin, 0, HORIZON)) if len(shopped) else 0
    total = np.zeros(days)
    for when, amount in ((check_in, kept), (arrives, new)):
        inside = (when >= begin) & (when < begin + days)
        total += np.bincount(when[inside] - begin, amount[inside], days)
    return pd.DataFrame({"ds": pd.date_range(origin, periods=days), "expected_revenue": total})
