"""From what is believed of a night's demand to its price."""

from __future__ import annotations

from dataclasses import dataclass

from wanderbricks_assets.lazy import np, pd

PRICES = np.linspace(0.5, 2.0, 100)  # times the current price; one of them is 1 (the specification's grid)
SURE = 1.645  # standard deviations: 90% of a normal distribution lies within


@dataclass(frozen=True)
class GuardRails:
    """How far and how readily prices move. Beside these, a price stays inside what such listings ever cost."""

    max_move: float = 0.30
    min_move: float = 0.02
    min_gain: float = 0.01  # of the night's expected revenue: less is not worth a guest's surprise
    confidence: float = 0.80  # least probability that the new price earns more


def demand_at(ratio: np.ndarray, elasticity: np.ndarray, expected: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Expected bookings of a night at `ratio` times its current price. All broadcast; never more than `free`.

    expected: bookings at the current price. Arrivals change by exp(elasticity * (ratio - 1)): the elasticity is that at
    the current price and grows with the price, as in the logit. It promises less than constant elasticity does, however
    far the price moves: exp(e (r - 1)) <= r^e for every r and e < 0.
    Arrivals that find no free room are lost: a room is sold with probability 1 - exp(-mean arrivals).
    """
    rooms = np.maximum(free, 1)
    arrivals = -np.log1p(-np.minimum(expected / rooms, 0.99))
    return free * -np.expm1(-arrivals * np.exp(elasticity * (ratio - 1)))


def choose_prices(nights: pd.DataFrame, rails: GuardRails) -> pd.DataFrame:
    """For each night: recommended_price, expected_demand, expected_revenue, current_expected_revenue, reason.

    nights: current_price, expected (bookings at it), free_nights, lowest_seen, highest_seen (prices of such listings),
    elasticity, elasticity_sd.
    """
    from scipy.special import ndtr

    current, mean, sd = (nights[name].to_numpy()[:, None] for name in ("current_price", "elasticity", "elasticity_sd"))
    expected, free = (nights[name].to_numpy(float)[:, None] for name in ("expected", "free_nights"))
    low, high = nights.lowest_seen.to_numpy()[:, None], nights.highest_seen.to_numpy()[:, None]
    revenue = PRICES * current * demand_at(PRICES, mean, expected, free)
    now = current * demand_at(np.ones(1), mean, expected, free)
    # A price earns more when the elasticity lies on the right side of the one at which it would earn the same.
    share = np.minimum(np.divide(now, current * np.maximum(free, 1)), 0.99)
    with np.errstate(divide="ignore", invalid="ignore"):
        same = np.log(np.log1p(-np.minimum(share / PRICES, 1.0)) / np.log1p(-share)) / (PRICES - 1)
        probability = ndtr((same - mean) / sd)
    probability = np.where(PRICES < 1, probability, 1 - probability)

    cautious = (probability >= rails.confidence) & (revenue >= now * (1 + rails.min_gain))
    small = np.abs(PRICES - 1) < rails.min_move
    near = np.abs(PRICES - 1) <= rails.max_move + 1e-9
    seen = (PRICES * current >= low) & (PRICES * current <= high)
    allowed = cautious & ~small & near & seen
    best = np.where(allowed, revenue, -np.inf).argmax(axis=1)
    free_best = np.where(cautious, revenue, -np.inf).argmax(axis=1)

    responds = (mean + SURE * sd < 0)[:, 0]
    open_nights = free[:, 0] > 0
    moves = open_nights & responds & allowed.any(axis=1)
    chosen = np.where(moves, best, np.flatnonzero(PRICES == 1)[0])
    ratio, row = PRICES[chosen], np.arange(len(nights))
    price = np.where(moves, np.round(ratio * current[:, 0], 2), current[:, 0])
    demand = demand_at(ratio, mean[:, 0], expected[:, 0], free[:, 0])
    interval = [f"{m - SURE * s:.1f} to {m + SURE * s:.1f}" for m, s in zip(mean[:, 0], sd[:, 0], strict=True)]
    out_of_range = ~seen[row, free_best] & moves
    reason = np.select(
        [
            ~open_nights,
            ~responds,
            ~cautious.any(axis=1),
            ~moves,
            out_of_range & (ratio < 1),
            out_of_range,
            ~near[free_best] & (ratio < 1),
            ~near[free_best],
            ratio < 1,
        ],
        [
            "kept: already booked",
            np.char.add("kept: the response to price is not known, elasticity ", interval),
            "kept: no other price is likely to earn more",
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
            "expected_demand": demand,
            "expected_revenue": price * demand,
            "current_expected_revenue": now[:, 0],
            "reason": reason,
        },
        index=nights.index,
    )
