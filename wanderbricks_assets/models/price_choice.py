"""From what is believed of a night's demand to its price."""

from __future__ import annotations

from dataclasses import dataclass

from wanderbricks_assets.lazy import Columns, np
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


def arrivals_at(
    ratio: np.ndarray, elasticity: np.ndarray, growth: np.ndarray | float, sd: np.ndarray | float
) -> np.ndarray:
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


# What is known of a night to be priced, beside what is believed of it.
KNOWN_OF_A_NIGHT = ("current_price", "price_a_week_ago", "free_nights", "lowest_seen", "highest_seen")


def allowed_prices(nights: Columns, rails: GuardRails) -> np.ndarray:
    """[nights, price_grid] whether the guard rails leave a price open, whatever demand is."""
    known = (np.asarray(nights[name])[:, None] for name in KNOWN_OF_A_NIGHT)
    current, before, _, low, high = known
    prices = price_grid()
    move = np.abs(prices - 1)
    near = (move >= rails.min_move) & (move <= rails.max_move + 1e-9)
    return near & (prices * current >= low) & (prices * current <= high) & (current == before)


def choose_prices(nights: Columns, rails: GuardRails) -> dict[str, np.ndarray]:
    """[nights] recommended_price, expected_demand, expected_revenue, current_expected_revenue, reason.

    nights: KNOWN_OF_A_NIGHT (lowest_seen, highest_seen: prices of such listings), expected (bookings at the current
    price), elasticity, elasticity_sd, growth (of the elasticity).
    """
    from scipy.special import ndtr

    names = ("current_price", "elasticity", "elasticity_sd", "growth", "expected", "free_nights")
    current, mean, sd, growth, expected, free = (np.asarray(nights[name], float)[:, None] for name in names)
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
    before = np.asarray(nights["price_a_week_ago"])
    held = before != current[:, 0]
    moves = open_nights & responds & allowed.any(axis=1)
    chosen = np.where(moves, best, np.flatnonzero(prices == 1)[0])
    ratio, row = prices[chosen], np.arange(len(current))
    price = np.where(moves, np.round(ratio * current[:, 0], 2), current[:, 0])
    sold = np.where(moves, demand[row, chosen], expected[:, 0])
    far = np.abs(prices[free_best] - 1) > rails.max_move + 1e-9
    wanted = prices[free_best] * current[:, 0]
    out_of_range = (wanted < np.asarray(nights["lowest_seen"])) | (wanted > np.asarray(nights["highest_seen"]))
    unknown = open_nights & ~responds
    cases = {
        "kept: already booked": ~open_nights,
        "kept: the response to price is not known": unknown,
        "kept: no other price is likely to earn more": ~cautious.any(axis=1),
        "kept: lowered within the last week, guests have not answered it yet": held & (before > current[:, 0]),
        "kept: raised within the last week, guests have not answered it yet": held,
        "kept: no better price within the guard rails": ~moves,
        "lowered to the lowest price seen for such listings": out_of_range & (ratio < 1),
        "raised to the highest price seen for such listings": out_of_range,
        f"lowered by the most that is allowed, {rails.max_move:.0%}": far & (ratio < 1),
        f"raised by the most that is allowed, {rails.max_move:.0%}": far,
        "lowered: guests respond strongly to price": ratio < 1,
        "raised: guests respond little to price": np.True_,
    }
    # The first that holds.
    reason = np.array(list(cases), object)[np.argmax(np.broadcast_arrays(*cases.values()), axis=0)]
    for night in np.flatnonzero(unknown):
        lower, upper = mean[night, 0] - SURE * sd[night, 0], mean[night, 0] + SURE * sd[night, 0]
        reason[night] += f", elasticity {lower:.1f} to {upper:.1f}"
    return {
        "recommended_price": price,
        "expected_demand": sold,
        "expected_revenue": price * sold,
        "current_expected_revenue": now[:, 0],
        "reason": reason,
    }
