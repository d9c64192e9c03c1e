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

from wanderbricks_assets.simulator import calibration
from wanderbricks_assets.simulator.browsing import LONGEST_EPISODE, still_deciding
from wanderbricks_assets.simulator.choice import offers
from wanderbricks_assets.simulator.files import TRUTH, load_market, read_state
from wanderbricks_assets.simulator.geography import geography
from wanderbricks_assets.simulator.lifecycle import cancelled_by, days_to_arrival
from wanderbricks_assets.simulator.market import registration_rate, shopping_rate
from wanderbricks_assets.simulator.panel import RATIOS, Panel, draw_panel
from wanderbricks_assets.simulator.season import Calendar, day_number, lead_time_shares
from wanderbricks_assets.simulator.world import Columns

HORIZON = 90
LONGEST_STAY = calibration.LONGEST_STAY
_RATES, _DAYS = ["bookings", "revenue", "kept_revenue"], ("created_date", "check_in")
_LEAD_BANDS = np.array([1, 2, 3, 4, 6, 8, 11, 14, 20, 27, 41, 62, 90, 120, 150])  # last lead of each, in days
LONGEST_WISH = 150  # days ahead; 6% of bookings are made earlier


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


def multipliers_together(
    out: Path, property_id: np.ndarray, ratio: np.ndarray, times: int = 64
) -> tuple[np.ndarray, np.ndarray]:
    """Expected bookings of properties at `ratio` times their listed prices, relative to those at the listed prices:
    ([properties] where each alone moved, [properties] where all of them did at once).

    As of the day on which the simulation ended; properties that are not named keep their prices. Both are of one panel
    of visitors, `times` as many as a day's. NaN for a property that nobody in the panel could have.
    """
    market = load_market(out, read_state(out)["market"])
    span = 2 * calibration.LONGEST_LEAD + LONGEST_STAY
    calendar = Calendar(geography(), market.day - span, 2 * span)
    factor, leads = calendar.leads(market.day)
    rates = shopping_rate(market, factor), registration_rate(market, factor)
    move = np.ones(len(market.properties))
    move[np.asarray(property_id) - 1] = ratio

    def drawn(prices: np.ndarray) -> Panel:
        listed = Columns(market.properties | {"price": prices, "price_before": prices})
        offer = offers(listed, market.nights, market.day, len(geography().destination))
        # The same dice for both: who comes, and what is shown to them, do not depend on prices.
        return draw_panel(market.random(7), market, calendar, offer, *rates, leads, times)

    def demand(panel: Panel, moves: float | np.ndarray) -> np.ndarray:
        return np.bincount(panel.prop, panel.weight[panel.row] * panel.bookings(moves), len(move))

    listed, moved = drawn(market.properties["price"]), drawn(market.properties["price"] * move)
    with np.errstate(invalid="ignore"):
        now = demand(listed, 1.0)
        alone, together = demand(listed, move[listed.prop]) / now, demand(moved, 1.0) / now
    asked = np.asarray(property_id) - 1
    return alone[asked], together[asked]


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
    days, books, new = _known_and_to_come(out, origin, on_the_books)
    total = np.zeros(days)
    for rows, amount in ((books, books["total_amount"] * books["kept"]), (new, new["kept_revenue"])):
        total += np.bincount(rows["day"], amount, days)
    return pd.DataFrame({"ds": pd.date_range(origin, periods=days), "expected_revenue": total})


def revenue_draws(
    out: Path, origin: date, on_the_books: pd.DataFrame, samples: int, horizon: int = HORIZON, seed: int = 0
) -> np.ndarray:
    """[samples, horizon] revenue by check-in date, drawn as the true rates let it come: see `expected_revenue`.

    Each booking on the books is cancelled or not; of those to come and be kept there are a Poisson number, whose
    amounts spread around the day's true mean as the amounts on the books spread around theirs.
    """
    rng = np.random.default_rng([seed, origin.toordinal()])
    days, books, new = _known_and_to_come(out, origin, on_the_books)
    days = min(days, horizon)
    books, new = (rows[rows["day"] < days] for rows in (books, new))
    total = np.zeros((samples, days))
    kept = rng.random((samples, len(books))) < books["kept"].to_numpy()
    sample, booking = np.nonzero(kept)
    np.add.at(total, (sample, books["day"].to_numpy()[booking]), books["total_amount"].to_numpy()[booking])
    revenue = np.bincount(new["day"], new["kept_revenue"], days)
    count = np.bincount(new["day"], new["bookings"] * new["kept_revenue"] / new["revenue"].clip(lower=1e-9), days)
    spread = (books["total_amount"] / books.groupby("day")["total_amount"].transform("mean")).to_numpy()
    coming = rng.poisson(count, (samples, days))
    cell = np.repeat(np.arange(total.size), coming.ravel())
    amount = rng.choice(spread, len(cell)) * (revenue / np.maximum(count, 1e-9))[cell % days]
    return total + np.bincount(cell, amount, total.size).reshape(samples, days)


def _known_and_to_come(out: Path, origin: date, on_the_books: pd.DataFrame) -> tuple[int, pd.DataFrame, pd.DataFrame]:
    """(days until the simulation's end, the books with the probability that each is `kept`, the rates to come), both
    with their `day` of check-in since the origin."""
    now = np.datetime64(origin, "s").astype(np.int64)
    books = on_the_books.merge(cancellation_probability(out), on="booking_id", how="left")
    created = books["created_at"].to_numpy().astype("datetime64[s]").astype(np.int64)
    check_in = books["check_in"].to_numpy().astype("datetime64[D]").astype(np.int64)
    lead = days_to_arrival(created, check_in)
    age = (now - created) / 86_400
    probability = books["probability"].fillna(books["probability"].mean()).to_numpy()
    begin = day_number(origin)
    books = books.assign(kept=survival(lead, age, probability), day=check_in - begin)

    rates = _smooth(_read(out, "arrival_rate", [("created_date", ">=", origin - timedelta(days=3))]), begin)
    # Of the shopping begun before the origin, some is decided after it; it began on average in the middle of its day.
    undecided = still_deciding(rates["lead"].to_numpy(), np.maximum(begin - rates["shopped"].to_numpy() - 0.5, 0.0))
    share = np.where(rates["shopped"] >= begin, 1.0, undecided)
    new = rates[_RATES].mul(share, axis=0).assign(day=rates["shopped"] + rates["lead"] - begin)
    days = int(np.clip(rates["shopped"].max() + 1 - begin, 0, HORIZON)) if len(rates) else 0
    return days, *(rows[rows["day"].between(0, days - 1)] for rows in (books, new))


def _smooth(rates: pd.DataFrame, begin: int) -> pd.DataFrame:
    """shopped, lead, _RATES: the arrival rates of the HORIZON around day `begin` without the noise of the panel.

    The panel draws a few hundred visitors a day, so what it says of one day and one check-in errs by far more than what
    it says of a day, or of a lead time. Those two are kept; between them rates follow what wishes follow: lead times
    and the season of the check-in.
    """
    shopped, arrives = (rates[name].to_numpy().astype("datetime64[D]").astype(np.int64) for name in _DAYS)
    lead = arrives - shopped
    near = (shopped < begin + HORIZON) & (lead <= LONGEST_WISH)
    if not near.any():
        return pd.DataFrame(columns=["shopped", "lead", *_RATES], dtype=float)
    first, count = shopped[near].min(), np.ptp(shopped[near]) + 1
    leads = np.arange(1, LONGEST_WISH + 1)
    calendar = Calendar(geography(), int(first), int(count) + LONGEST_WISH + 1)
    travel = np.outer(geography().user_share, calibration.TASTE_SHARE).ravel() @ calendar.travel
    wish = lead_time_shares()[leads] * travel[np.arange(count)[:, None] + leads]
    band = np.searchsorted(_LEAD_BANDS, leads)
    smooth = {}
    for name in _RATES:
        panel = np.zeros((count, LONGEST_WISH))
        np.add.at(panel, (shopped[near] - first, lead[near] - 1), rates[name].to_numpy(float)[near])
        of_day = panel.sum(axis=1, keepdims=True)
        even = of_day * wish / wish.sum(axis=1, keepdims=True)
        ratio = np.bincount(band, panel.sum(axis=0)) / np.bincount(band, even.sum(axis=0))
        bent = wish * ratio[band]
        smooth[name] = (of_day * bent / bent.sum(axis=1, keepdims=True)).ravel()
    day = np.repeat(first + np.arange(count), LONGEST_WISH)
    return pd.DataFrame({"shopped": day, "lead": np.tile(leads, count), **smooth})


def expected_check_ins(
    out: Path, origin: date, days: int, listings: pd.DataFrame, stays: pd.DataFrame, samples: int = 200, seed: int = 0
) -> np.ndarray:
    """[listings] bookings still to come with check-in in the `days` from `origin` on, expected by who knows the rates
    and which nights are free.

    listings: property_id, destination_id. stays: property_id, check_in, check_out, since, until: the nights that every
    state of a booking holds, and the days from which up to which (without) it does.
    The true demand of a day is what comes while some nights are sold. It is brought back to what would come to an empty
    calendar, spread over check-in dates by lead times and the destination's season, and drawn `samples` times: who
    finds the nights taken does not book. So a listing that is full cannot be booked again, which sums of rates forget.
    """
    rng = np.random.default_rng([seed, origin.toordinal()])
    first = day_number(origin)
    shopping = np.arange(first - LONGEST_EPISODE, first + days).astype(int)
    wish = _wish(listings["destination_id"].to_numpy() - 1, first, shopping)  # [listings, shopping days, leads]
    nights = np.minimum((stays["check_out"] - stays["check_in"]).dt.days.to_numpy(), LONGEST_STAY)
    fits = np.bincount(nights, minlength=LONGEST_STAY + 1)[1:].cumsum() / max(len(nights), 1)
    rate = demand_rate(out, origin - timedelta(days=int(LONGEST_EPISODE)), origin + timedelta(days=days))
    rate = rate.pivot_table(index="property_id", columns="date", values="bookings", fill_value=0.0)
    rate = rate.reindex(index=listings["property_id"], columns=_dates(shopping), fill_value=0.0).to_numpy()

    arrivals = np.zeros((len(listings), days))
    lead = np.arange(1, wish.shape[2] + 1)
    for number, day in enumerate(shopping):
        room = np.concatenate([[0.0], fits])[_free_nights(listings, stays, day, wish.shape[2])]
        possible = (wish[:, number] * room).sum(axis=1)
        # Nobody's rate is raised more than twentyfold: a full listing's says little about an empty one's.
        empty = rate[:, number] / np.maximum(possible, 0.05)
        decided = 1.0 if day >= first else still_deciding(lead, np.full(len(lead), first - day - 0.5))
        check_in = day + lead - first
        inside = (check_in >= 0) & (check_in < days)
        arrivals[:, check_in[inside]] += (empty[:, None] * wish[:, number] * decided)[:, inside]
    sold = _free_nights(listings, stays, first, days + LONGEST_STAY) == 0
    return _booked_in_turn(rng, arrivals, sold, np.diff(fits, prepend=0.0), samples)


def _wish(destination: np.ndarray, first: int, shopping: np.ndarray) -> np.ndarray:
    """[listings, shopping days, LONGEST_WISH] how wishes of a day spread over check-ins 1, 2 ... days ahead."""
    lead = np.arange(1, LONGEST_WISH + 1)
    calendar = Calendar(geography(), int(shopping[0]), len(shopping) + LONGEST_WISH + 1)
    season = calendar.destination ** (1 + calibration.PEAK)
    urgency = np.exp(np.where(lead <= 14, calibration.URGENCY, 0.0))
    ahead = (shopping - shopping[0])[:, None] + lead
    weight = lead_time_shares()[lead] * urgency * season[:, ahead]
    return (weight / weight.sum(axis=2, keepdims=True))[destination]


def _free_nights(listings: pd.DataFrame, stays: pd.DataFrame, day: int, ahead: int) -> np.ndarray:
    """[listings, ahead] free nights in a row from each night on, at most LONGEST_STAY; nights from `day` on, or from
    the next for a shopping day, as known on it."""
    held = stays[(stays["since"] <= day) & (stays["until"] > day)]
    row = pd.Index(listings["property_id"]).get_indexer(held["property_id"])
    begin = held["check_in"].to_numpy().astype("datetime64[D]").astype(np.int64) - day
    end = held["check_out"].to_numpy().astype("datetime64[D]").astype(np.int64) - day
    change = np.zeros((len(listings), ahead + LONGEST_STAY + 1))
    known = (row >= 0) & (end > 0) & (begin < change.shape[1] - 1)
    np.add.at(change, (row[known], np.maximum(begin[known], 0)), 1)
    np.add.at(change, (row[known], np.minimum(end[known], change.shape[1] - 1)), -1)
    free = change.cumsum(axis=1) <= 0
    run = np.zeros((len(listings), ahead + LONGEST_STAY + 1), dtype=int)
    for night in range(ahead + LONGEST_STAY - 1, -1, -1):
        run[:, night] = np.where(free[:, night], np.minimum(run[:, night + 1] + 1, LONGEST_STAY), 0)
    return run[:, :ahead]


def _booked_in_turn(
    rng: np.random.Generator, arrivals: np.ndarray, sold: np.ndarray, nights: np.ndarray, samples: int
) -> np.ndarray:
    """[listings] mean number of wishes that find their nights free: arrivals [listings, days], sold [listings, nights],
    nights [LONGEST_STAY] shares of stays of 1, 2 ... nights. Nights are bits of one number."""
    expected = arrivals.sum(axis=1)
    coming = rng.poisson(expected, (samples, len(expected)))
    cumulative = np.cumsum(arrivals, axis=1) / np.maximum(expected, 1e-12)[:, None]
    taken = np.tile((sold * (1 << np.arange(sold.shape[1], dtype=np.int64))).sum(axis=1), (samples, 1))
    booked = np.zeros(coming.shape)
    for turn in range(coming.max(initial=0)):
        sample, row = np.nonzero(coming > turn)
        day = (cumulative[row] < rng.random(len(row))[:, None]).sum(axis=1).clip(max=arrivals.shape[1] - 1)
        stay = 1 + np.searchsorted(nights.cumsum(), rng.random(len(row))).clip(max=len(nights) - 1)
        wanted = ((1 << stay.astype(np.int64)) - 1) << day
        free = (taken[sample, row] & wanted) == 0
        taken[sample[free], row[free]] |= wanted[free]
        booked[sample[free], row[free]] += 1
    return booked.mean(axis=0)


def _dates(days: np.ndarray) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(days.astype("datetime64[D]"))
