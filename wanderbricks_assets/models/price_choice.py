"""From what is believed of a night's demand to its price."""

from __future__ import annotations

from dataclasses import dataclass

from wanderbricks_assets.lazy import np, pd
from wanderbricks_assets.models.elasticity import SURE


def price_grid() -> np.ndarray:
    """The prices that are compared, as multiples of the current one, itself one of them (the specification's grid)."""
    return np.linspace(0.5, 2.0, 100)


@dataclass(frozen=True)
class GuardRails:
    """How far and how readily prices move.

    Beside these, a price stays inside what such listings ever cost, and one that changed within the last week is held:
    until guests have answered it, a second move could only undo the first.
    """

    max_move: float = 0.30
    min_move: float = 0.02
    min_gain: float = 0.01  # of the night's expected revenue: less is not worth a guest's surprise
    confidence: float = 0.80  # least probability that the new price earns more


def arrivals_at(ratio: np.ndarray, elasticity: np.ndarray, growth: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """Expected arrivals at `ratio` times the current price, relative to those at it. All broadcast.

    The elasticity at the new price is elasticity * (1 + growth * log(ratio)): with a growth of 0 it is the same at
    every price, with 1 about that of a logit. Of an elasticity that is only known to a standard deviation, the mean is
    taken over what it may be, which is more than what its mean gives (Jensen's inequality).
    """
    log = np.log(ratio)
    power = log * (1 + growth * log / 2)
    return np.exp(elasticity * power + (sd * power) ** 2 / 2)


def demand_at(arrivals: np.ndarray, expected: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Expected bookings of a night with `arrivals` times the usual ones. All broadcast; never more than `free`.

    expected: bookings at the usual arrivals. Arrivals that find no free room are lost: a room is sold with probability
    1 - exp(-mean arrivals).
    """
    rooms = np.maximum(free, 1)
    usual = -np.log1p(-np.minimum(expected / rooms, 0.99))
    return free * -np.expm1(-usual * arrivals)


def allowed_prices(nights: pd.DataFrame, rails: GuardRails) -> np.ndarray:
    """[nights, price_grid] whether the guard rails leave a price open, whatever demand is."""
    current = nights.current_price.to_numpy()[:, None]
    low, high = nights.lowest_seen.to_numpy()[:, None], nights.highest_seen.to_numpy()[:, None]
    prices = price_grid()
    move = np.abs(prices - 1)
    near = (move >= rails.min_move) & (move <= rails.max_move + 1e-9)
    held = (nights.current_price != nights.price_a_week_ago).to_numpy()[:, None]
    return near & (prices * current >= low) & (prices * current <= high) & ~held


def choose_prices(nights: pd.DataFrame, rails: GuardRails) -> pd.DataFrame:
    """For each night: recommended_price, expected_demand, expected_revenue, current_expected_revenue, reason.

    nights: current_price, price_a_week_ago, expected (bookings at the current price), free_nights, lowest_seen,
    highest_seen (prices of such listings), elasticity, elasticity_sd, growth (of the elasticity).
    """
    from scipy.special import ndtr

    names = ("current_price", "elasticity", "elasticity_sd", "growth", "expected", "free_nights")
    current, mean, sd, growth, expected, free = (nights[name].to_numpy(float)[:, None] for name in names)
    # No price beyond the rails is chosen; the first on either side tells whether the rail was in the way.
    prices = price_grid()
    grid = np.abs(prices - 1) <= rails.max_move + 1.5 * (prices[1] - prices[0])
    prices = prices[grid]
    demand = demand_at(arrivals_at(prices, mean, growth, sd), expected, free)
    revenue = prices * current * demand
    now = current * expected
    # A price earns more when the elasticity lies on the right side of the one at which it would earn the same.
    share = np.minimum(expected / np.maximum(free, 1), 0.99)
    log = np.log(prices)
    with np.errstate(divide="ignore", invalid="ignore"):
        arrivals = np.log1p(-np.minimum(share / prices, 1.0)) / np.log1p(-share)
        same = np.log(arrivals) / (log * (1 + growth * log / 2))
        probability = ndtr((same - mean) / sd)
    probability = np.where(prices < 1, probability, 1 - probability)

    cautious = (probability >= rails.confidence) & (revenue >= now * (1 + rails.min_gain))
    allowed = cautious & allowed_prices(nights, rails)[:, grid]
    best = np.where(allowed, revenue, -np.inf).argmax(axis=1)
    free_best = np.where(cautious, revenue, -np.inf).argmax(axis=1)

    responds = (mean + SURE * sd < 0)[:, 0]
    open_nights = free[:, 0] > 0
    before = nights.price_a_week_ago.to_numpy()
    held = before != current[:, 0]
    moves = open_nights & responds & allowed.any(axis=1)
    chosen = np.where(moves, best, np.flatnonzero(prices == 1)[0])
    ratio, row = prices[chosen], np.arange(len(nights))
    price = np.where(moves, np.round(ratio * current[:, 0], 2), current[:, 0])
    sold = np.where(moves, demand[row, chosen], expected[:, 0])
    unknown = np.flatnonzero(~responds)
    lower, upper = mean[:, 0] - SURE * sd[:, 0], mean[:, 0] + SURE * sd[:, 0]
    interval = np.full(len(nights), "", dtype="U20")
    interval[unknown] = [f"{lower[i]:.1f} to {upper[i]:.1f}" for i in unknown]
    far = np.abs(prices[free_best] - 1) > rails.max_move + 1e-9
    wanted = prices[free_best] * current[:, 0]
    out_of_range = (wanted < nights.lowest_seen.to_numpy()) | (wanted > nights.highest_seen.to_numpy())
    reason = np.select(
        [
            ~open_nights,
            ~responds,
            ~cautious.any(axis=1),
            held & (before > current[:, 0]),
            held,
            ~moves,
            out_of_range & (ratio < 1),
            out_of_range,
            far & (ratio < 1),
            far,
            ratio < 1,
        ],
        [
            "kept: already booked",
            np.char.add("kept: the response to price is not known, elasticity ", interval),
            "kept: no other price is likely to earn more",
            "kept: lowered within the last week, guests have not answered it yet",
            "kept: raised within the last week, guests have not answered it yet",
            "kept: no better price within the guard rails",
            "lowered to the lowest price seen for such listings",
            "raised to the highest price seen for such listings",
            f"lowered by the most that is allowed, {rails.max_move:.0%}",
            f"raised by the most that is allowed, {rails.max_move:.0%}",
            "lowered: guests respond strongly to price",
        ],
        "raised: guests respond little to price",
    )
    return pd.DataFrame(
        {
            "recommended_price": price,
            "expected_demand": sold,
            "expected_revenue": price * sold,
            "current_expected_revenue": now[:, 0],
            "reason": reason,
        },
        index=nights.index,
    )
