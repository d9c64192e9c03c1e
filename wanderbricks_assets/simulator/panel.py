"""Truth without the noise of who happened to come: expectations over a panel of visitors drawn from today's users.

For every destination some visitors are drawn as episodes are (who, for which arrival, how serious). Each is
confronted with every property of the destination: probability of looking at it times probability of then booking it.
Weighted by how many such episodes are expected today, this gives expected bookings, whatever the dice of the market
say. The dice of the panel are its own.
"""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from wanderbricks_assets.simulator import calibration as c
from wanderbricks_assets.simulator import lifecycle
from wanderbricks_assets.simulator.choice import Offers, acceptance, choice_sets, episodes, price_slope, utility
from wanderbricks_assets.simulator.geography import geography
from wanderbricks_assets.simulator.season import EPOCH, Calendar, lead_time_shares
from wanderbricks_assets.simulator.world import Columns

VISITORS, VISITORS_PER_DESTINATION = 200, 3  # ASSUMPTION: as many as a day can afford
RATIOS = np.array([0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.4, 1.6, 1.8, 2.0])
SPENDING_PER_DAY, SPENDING_AT_FIRST, YEAR = 64, 4_000, 365
MONTH_DAYS = 365.25 / 12


@dataclass(frozen=True)
class Panel:
    """Visitors `e`, the number of today's episodes each stands for, and their pairs with all properties in reach."""

    e: Columns
    weight: np.ndarray  # [visitors]
    row: np.ndarray  # [pairs] visitor
    prop: np.ndarray  # [pairs]
    looks: np.ndarray  # [pairs] probability of looking at it
    appeal: np.ndarray  # [pairs] exp(utility)
    others: np.ndarray  # [pairs] sum of exp(utility) of what else is looked at
    slope: np.ndarray  # [pairs] change of utility per relative change of price
    revenue: np.ndarray  # [pairs] price of the stay

    def bookings(self, ratio: float | np.ndarray = 1.0) -> np.ndarray:
        """[pairs] expected bookings where this listing alone costs `ratio` times its price; of each pair, or one."""
        appeal = self.appeal if np.all(ratio == 1.0) else self.appeal * np.exp(self.slope * (ratio - 1))
        return self.looks * appeal / (1 + appeal + self.others)


def draw_panel(
    rng: np.random.Generator,
    m,
    calendar: Calendar,
    offer: Offers,
    rate: np.ndarray,
    registrations: float,
    leads: np.ndarray,
    times: int = 1,
) -> Panel | None:
    """Visitors in proportion to today's rates: `rate` [users], `leads` [segments, days ahead]; `times` as many as
    usual.
    """
    place, users = geography(), m.users
    segment = users["country"] * 4 + users["taste"]
    per_user = rate + registrations / max(len(users), 1)  # who registers today is like those who did before
    order = np.argsort(segment, kind="stable")
    cumulative = np.concatenate([[0.0], np.cumsum(per_user[order])])
    bounds = np.searchsorted(segment[order], np.arange(len(leads) + 1))
    by_segment = cumulative[bounds[1:]] - cumulative[bounds[:-1]]

    begin = m.day - calendar.first
    season = calendar.destination[:, begin : begin + leads.shape[1]]
    attraction = place.attraction * (np.diff(offer.bounds) > 0)
    arrivals = by_segment[:, None] * leads / np.maximum(attraction @ season, 1e-12)
    flow = attraction * (arrivals @ season.T)  # [segments, destinations] episodes expected today
    expected = flow.sum(axis=0)
    if expected.sum() <= 0:
        return None
    count = np.where(
        expected > 0, np.ceil(times * (VISITORS_PER_DESTINATION + VISITORS * expected / expected.sum())), 0
    ).astype(int)
    destination = np.repeat(np.arange(len(count)), count)
    n = len(destination)
    stratum = np.concatenate([(rng.permutation(k) + rng.random(k)) / k for k in count if k])
    who = _pick(flow.T[destination], rng.random(n))
    lead = _pick(arrivals[who] * season[destination], stratum)
    at = cumulative[bounds[who]] + rng.random(n) * by_segment[who]
    user = order[np.minimum(np.searchsorted(cumulative, at, side="right") - 1, bounds[who + 1] - 1)]
    check_in = m.day + np.maximum(lead, 1)
    started = np.full(n, m.day * c.SECONDS + c.SECONDS - 1)  # at the prices of the day's end
    e = episodes(rng, users, user, destination, check_in, started, calendar)
    return _confront(rng, offer, e, expected[destination] / count[destination])


def _pick(weight: np.ndarray, at: np.ndarray) -> np.ndarray:
    cumulative = np.cumsum(weight, axis=1)
    return np.minimum((cumulative <= (at * cumulative[:, -1])[:, None]).sum(axis=1), weight.shape[1] - 1)


def _confront(rng: np.random.Generator, offer: Offers, e: Columns, weight: np.ndarray) -> Panel:
    sets = choice_sets(rng, offer, e)
    drawn = np.where(sets.valid, np.exp(sets.utility), 0.0).sum(axis=1)
    looked = sets.valid.sum(axis=1)

    size = np.diff(offer.bounds)[e["destination"]]
    start = np.cumsum(size) - size
    row = np.repeat(np.arange(len(size)), size)
    position = np.arange(len(row)) - start[row] + offer.bounds[e["destination"]][row]
    prop = offer.order[position]
    accepted = acceptance(offer, e, row, prop)
    keep = np.flatnonzero(accepted)
    mine = np.zeros(len(row), dtype=bool)
    rank = np.empty(len(offer.order), dtype=np.int64)
    rank[offer.order] = np.arange(len(rank))
    r, k = np.nonzero(sets.valid)
    mine[start[r] + rank[sets.prop[r, k]] - offer.bounds[e["destination"][r]]] = True
    row, prop, accepted, mine = row[keep], prop[keep], accepted[keep], mine[keep]

    seen = offer.weight[prop] * accepted
    everything = (offer.cumulative[offer.bounds[1:]] - offer.cumulative[offer.bounds[:-1]])[e["destination"]]
    total = np.bincount(row, seen, len(size))
    theta = e["size"] / np.maximum(total, 1e-12)
    most = c.DRAWS / everything  # search shows no more than so many
    for _ in range(2):
        theta = np.minimum(theta, most)
        looks = -np.expm1(-theta[row] * seen)
        theta = theta * e["size"] / np.maximum(np.bincount(row, looks, len(size)), 1e-12)
    price = offer.price[prop]
    appeal = np.exp(utility(offer, e, row, prop, price))
    full = (looked >= e["size"])[row]
    crowded = np.where(full, (looked[row] - 1) / np.maximum(looked[row], 1), 1.0)
    others = np.where(mine, drawn[row] - appeal, drawn[row] * crowded)
    slope = price_slope(offer, e, row, prop, price)
    revenue = lifecycle.amount(e["nights"][row], price)
    return Panel(e, weight, row, prop, looks, appeal, np.maximum(others, 0.0), slope, revenue)


def truth_of_day(
    m, calendar: Calendar, offer: Offers, rate: np.ndarray, registrations: float, leads: np.ndarray
) -> dict[str, dict[str, np.ndarray]]:
    """Rows of the truth about the day; see `truth.py` for the columns. Also keeps the market's sample of spending."""
    rng = m.random(6)
    today = EPOCH + timedelta(days=m.day)
    monthly = today.day == 1 or m.day == m.first_day
    result: dict[str, dict[str, np.ndarray]] = {}
    p = draw_panel(rng, m, calendar, offer, rate, registrations, leads)
    bookings: np.ndarray = np.zeros(len(offer.order))
    if p is not None:
        each = p.bookings() * _not_outrun(p, len(bookings))
        bookings = np.bincount(p.prop, p.weight[p.row] * each, len(bookings))
        per_visit, spend = (np.bincount(p.row, x, len(p.weight)) for x in (each, each * p.revenue))
        result["arrival_rate"] = _arrivals(m, p, per_visit, spend)
        _remember_spending(rng, m, p, spend)
    result["demand_rate"] = {"prop": np.arange(len(bookings)), "bookings": bookings}
    if monthly:
        large = draw_panel(rng, m, calendar, offer, rate, registrations, leads, times=8)
        if large is not None:
            result["price_response"] = _responses(large, len(bookings), offer)
    if today.day == 1:
        result["customer_value"] = _customer_value(m, calendar)
    return result


def _not_outrun(p: Panel, properties: int) -> np.ndarray:
    """[pairs] probability that no guest of the same day takes some of the same nights first.

    Two stays of n nights that begin at random within the usual lead times overlap with probability (2n - 1) times the
    sum of squared shares of lead times; one of the two is late.
    """
    rate = np.bincount(p.prop, p.weight[p.row] * p.bookings(), properties)
    overlap = (2 * np.mean(c.NIGHTS_BY_DESTINATION) - 1) * (lead_time_shares() ** 2).sum()
    return np.maximum(1 - 0.5 * overlap * rate, 0.5)[p.prop]


def _keep(m, e: Columns) -> np.ndarray:
    """[episodes] probability that a booking is not cancelled."""
    lead = lifecycle.days_to_arrival(e["started"] - lifecycle.NOON, e["check_in"])
    return 1 - lifecycle.cancel_probability(lead, m.users["cancels"][e["user"]])


def _arrivals(m, p: Panel, per_visit: np.ndarray, spend: np.ndarray) -> dict[str, np.ndarray]:
    keep = _keep(m, p.e)
    days = np.unique(p.e["check_in"])
    at = np.searchsorted(days, p.e["check_in"])
    total = [np.bincount(at, p.weight * x, len(days)) for x in (per_visit, spend, spend * keep)]
    return {"check_in": days, "bookings": total[0], "revenue": total[1], "kept": total[2]}


def _remember_spending(rng: np.random.Generator, m, p: Panel, spend: np.ndarray) -> None:
    size = SPENDING_AT_FIRST if not len(m.spending) else SPENDING_PER_DAY
    cumulative = np.cumsum(p.weight)
    index = np.minimum(np.searchsorted(cumulative, rng.random(size) * cumulative[-1]), len(cumulative) - 1)
    kept = (spend * _keep(m, p.e))[index]
    m.spending.append({"user": p.e["user"][index], "day": np.full(size, m.day), "revenue": kept})
    if m.spending["day"][0] <= m.day - 2 * YEAR:
        m.spending = m.spending.take(np.flatnonzero(m.spending["day"] > m.day - 2 * YEAR))


def _responses(p: Panel, properties: int, offer: Offers) -> dict[str, np.ndarray]:
    """Expected demand at RATIOS of the listed price, relative to demand at the price itself, and the elasticity
    there.
    """
    weight = p.weight[p.row]
    demand = np.stack([np.bincount(p.prop, weight * p.bookings(r), properties) for r in RATIOS])
    chance = p.appeal / (1 + p.appeal + p.others)
    pull = np.bincount(p.prop, weight * p.bookings() * p.slope * (1 - chance), properties)
    usual = demand[RATIOS == 1.0][0]
    some = usual > 0
    multiplier = np.where(some, demand / np.where(some, usual, 1.0), np.nan)
    elasticity = np.where(some, pull / np.where(some, usual, 1.0), np.nan)
    # A property nobody in the panel could have is taken to respond as a lone small one would.
    alone = -offer.price * (offer.against_budget + offer.against_others)
    multiplier = np.where(np.isnan(multiplier), np.exp(alone * (RATIOS[:, None] - 1)), multiplier)
    return {
        "prop": np.arange(properties),
        "price": offer.price,
        "elasticity": np.where(np.isnan(elasticity), alone, elasticity),
        "multiplier": multiplier,
    }


def _traits(users: Columns) -> np.ndarray:
    """[users, traits] what the revenue of an episode may depend on."""
    u = users
    log_s = np.log(u["sensitivity"])
    plain = [u["budget"], u["budget"] ** 2, u["intent"], u["intent"] ** 2, log_s, log_s**2, u["cancels"], u["party"]]
    plain += [np.minimum(u["party"], 4.0) ** 2, u["mobile"], u["business"].astype(float), u["budget"] * log_s]
    groups = [u["taste"][:, None] == np.arange(1, 4), u["country"][:, None] == np.arange(1, len(geography().country))]
    return np.column_stack([np.ones(len(u)), *plain, *groups])


def _revenue_per_episode(m) -> np.ndarray:
    """[users] expected revenue of an episode, not cancelled: a Poisson regression of the panel's exact expectations."""
    last_year = m.spending.take(np.flatnonzero(m.spending["day"] > m.day - YEAR))
    x, y = _traits(m.users.take(last_year["user"])), last_year["revenue"]
    level = max(float(y.mean()), 1e-9)
    beta = np.zeros(x.shape[1])
    ridge = np.eye(x.shape[1]) * 2.0
    ridge[0, 0] = 0.0
    for _ in range(12):
        mean = np.exp(np.clip(x @ beta, -6, 4))
        beta = np.linalg.solve((x * mean[:, None]).T @ x + ridge, x.T @ (y / level - mean + mean * (x @ beta)))
    return level * np.exp(np.clip(_traits(m.users) @ beta, -6, 4))


def _trend(m) -> float:
    """Change of revenue per episode in a year: prices rise, and the more guests there are, the less is free."""
    day, revenue = m.spending["day"], m.spending["revenue"]
    now = day > max(m.day - YEAR, m.first_day + YEAR)
    before = (day > m.first_day) & (day <= m.day - YEAR)
    if len(np.unique(day[before])) < 90:
        return float(np.exp(c.INFLATION))
    return float(revenue[now].mean() / revenue[before].mean())


def _customer_value(m, calendar: Calendar) -> dict[str, np.ndarray]:
    u = m.users
    if not len(m.spending):
        return {"user": np.arange(len(u)), "revenue": np.zeros(len(u)), "churned": u["leaves"] <= m.day}
    segment = u["country"] * 4 + u["taste"]
    episodes_ahead = np.zeros(len(u))
    for month in range(12):
        middle = m.day + int((month + 0.5) * MONTH_DAYS)
        # A week, so that the weekday of the middle does not matter.
        factor = np.mean([calendar.leads(middle + k)[0] for k in range(-3, 4)], axis=0)
        stays = np.exp(-u["hazard"] * (month + 0.5) / 12)
        episodes_ahead += u["habit"] / 12 * factor[segment] * stays
    churned = u["leaves"] <= m.day
    revenue = np.where(churned, 0.0, episodes_ahead * _revenue_per_episode(m) * _trend(m))
    return {"user": np.arange(len(u)), "revenue": revenue, "churned": churned}
