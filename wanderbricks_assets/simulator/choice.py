"""What a shopping episode looks at and how likely it books each of those: a multinomial logit over a choice set.

The same functions serve the market and the truth, so the truth is the very probability that was drawn from.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from wanderbricks_assets.simulator import calibration as c
from wanderbricks_assets.simulator.geography import geography
from wanderbricks_assets.simulator.season import Calendar
from wanderbricks_assets.simulator.world import Columns, draw, generator

HORIZON = c.LONGEST_LEAD + 2 * c.LONGEST_STAY + 12  # days ahead that can be sold
SLACK = 64  # days the window may run on before it is moved


class Nights:
    """Which nights are sold, [days, properties]: a window of days that moves with time."""

    def __init__(self, first: int, properties: int):
        self.first = first
        self.sold = np.zeros((HORIZON + SLACK, properties), dtype=bool)

    def grow(self, properties: int) -> None:
        extra = np.zeros((len(self.sold), properties - self.sold.shape[1]), dtype=bool)
        self.sold = np.concatenate([self.sold, extra], axis=1)

    def move_to(self, day: int) -> None:
        passed = day - self.first
        if passed > SLACK:
            self.sold = np.concatenate([self.sold[passed:], np.zeros_like(self.sold[:passed])])
            self.first = day

    def mark(self, prop: np.ndarray, check_in: np.ndarray, nights: np.ndarray, sold: bool) -> None:
        """Sells or frees nights; those before the window are past and no longer matter."""
        for night in range(int(nights.max()) if len(nights) else 0):
            day = check_in + night - self.first
            inside = (nights > night) & (day >= 0)
            self.sold[day[inside], prop[inside]] = sold

    def count(self) -> np.ndarray:
        """[window + 1, properties] sold nights before each day of the window."""
        result = np.zeros((len(self.sold) + 1, self.sold.shape[1]), dtype=np.int16)
        for day, sold in enumerate(self.sold):  # much faster than a cumulative sum, as each step is one vector
            np.add(result[day], sold, out=result[day + 1])
        return result


@dataclass(frozen=True)
class Offers:
    """What the properties offer on one day. All arrays are [properties]."""

    destination: np.ndarray
    kind: np.ndarray
    max_guests: np.ndarray
    value: np.ndarray  # utility that does not depend on price or visitor
    against_budget: np.ndarray  # utility lost per unit of price, held against the usual budget for the place
    against_others: np.ndarray  # the same, held against the offers in the same place and of the same type
    price: np.ndarray  # at the end of the day
    price_before: np.ndarray
    price_changed: np.ndarray  # seconds since 1970
    weight: np.ndarray  # how often it is looked at
    order: np.ndarray  # properties by destination
    cumulative: np.ndarray  # [properties + 1] of weight in that order
    bounds: np.ndarray  # [destinations + 1] where in that order a destination begins
    nights: Nights
    sold_before: np.ndarray  # Nights.count()

    def price_at(self, prop: np.ndarray, seconds: np.ndarray) -> np.ndarray:
        return np.where(seconds < self.price_changed[prop], self.price_before[prop], self.price[prop])

    def is_free(self, prop: np.ndarray, check_in: np.ndarray, nights: np.ndarray) -> np.ndarray:
        begin = check_in - self.nights.first
        return self.sold_before[begin + nights, prop] == self.sold_before[begin, prop]


def visible_rating(properties: Columns) -> np.ndarray:
    """Mean rating as guests see it, drawn to the overall mean when reviews are few."""
    return (properties["ratings"] + 5 * c.RATING_MEAN) / (properties["rating_count"] + 5)


def offers(properties: Columns, nights: Nights, day: int, destinations: int) -> Offers:
    p = properties
    age = day - p["created"]
    rating = visible_rating(p) - c.RATING_MEAN
    relative = np.exp(np.log(p["price"]) - p["going"])
    cell = p["destination"] * 4 + p["kind"]
    cells = destinations * 4
    # A few imaginary offers at the usual price keep a property from competing with itself where it is alone.
    total = np.bincount(cell, relative, cells) + 20
    against = (total / (np.bincount(cell, minlength=cells) + 20))[cell]
    value = (
        c.QUALITY * p["quality"] + c.LOCATION * p["location"] + c.RATING * rating + c.PHOTOS * np.log(p["photos"] / 3)
    )
    # Search shows good, well reviewed and small places first, and new ones a little less.
    weight = np.exp(0.3 * p["quality"] + 0.2 * p["location"] + 0.3 * rating + p["popularity"] - 0.7 * p["bedrooms"])
    weight = weight * (1 - 0.6 * np.exp(-np.maximum(age, 0) / 40.0))
    order = np.argsort(p["destination"], kind="stable")
    return Offers(
        destination=p["destination"],
        kind=p["kind"],
        max_guests=p["max_guests"],
        value=value,
        against_budget=c.BUDGET_PART * p["gamma"] / np.exp(p["level"]),
        against_others=(1 - c.BUDGET_PART) * p["gamma"] / (np.exp(p["going"]) * against),
        price=p["price"],
        price_before=p["price_before"],
        price_changed=p["price_changed"],
        weight=weight,
        order=order,
        cumulative=np.concatenate([[0.0], np.cumsum(weight[order])]),
        bounds=np.searchsorted(p["destination"][order], np.arange(destinations + 1)),
        nights=nights,
        sold_before=nights.count(),
    )


@cache
def mean_nights() -> np.ndarray:
    """[destinations] mean nights of a stay."""
    low, high = c.NIGHTS_BY_DESTINATION
    return generator(0, 0, 8).uniform(low, high, len(geography().destination))


def episodes(
    rng: np.random.Generator,
    users: Columns,
    user: np.ndarray,
    destination: np.ndarray,
    check_in: np.ndarray,
    started: np.ndarray,
    calendar: Calendar,
) -> Columns:
    """What else is decided before looking: length of stay, party, device, referrer, seriousness.

    `started` is in seconds, `check_in` in days since 1970; both and `destination` are [episodes].
    `base` is the utility that all properties share.
    """
    n = len(user)
    who = users.take(user)
    lead = check_in - started // c.SECONDS
    mean = mean_nights()[destination] * np.where(who["business"], 0.65, 1.13)
    shape = 4.0
    nights = 1 + rng.poisson(rng.gamma(shape, (mean - 1) / shape, n))
    dreams = rng.random(n) < c.DREAMER_SHARE
    device_weight = c.DEVICE_SHARE * np.exp(who["mobile"][:, None] * np.array([1.0, 0.0, 0.3]))
    device = _draw_rows(rng, device_weight)
    referrer = np.where(dreams, draw(rng, c.REFERRER_DREAMER, n), draw(rng, c.REFERRER_PLANNER, n))
    begin = check_in - calendar.first
    base = c.ATTRACTION + who["intent"] + np.where(dreams, c.DREAMER, 0.0) + c.DEVICE_EFFECT[device]
    base += c.REFERRER_EFFECT[referrer] + np.where(lead <= 14, c.URGENCY, 0.0)
    base += c.PEAK * np.log(calendar.destination[destination, begin])
    guests = np.minimum(1 + rng.poisson(who["party"]), c.MAX_GUESTS_EVER)
    return Columns(
        user=user.astype(np.int32),
        destination=destination,
        started=started,
        check_in=check_in,
        lead=lead,
        nights=np.minimum(nights, c.LONGEST_STAY),
        guests=guests,
        size=1 + np.minimum(rng.poisson(c.CONSIDERED, n), c.MOST_CONSIDERED - 1),
        dreams=dreams,
        device=device,
        referrer=referrer,
        base=base,
        taste=who["taste"],
        wealth=np.exp(-who["budget"]) * np.sqrt(2.0 / np.maximum(guests, 2)),  # larger parties share
        sensitivity=who["sensitivity"],
        last_property=who["last_property"],
    )


def _draw_rows(rng: np.random.Generator, weight: np.ndarray) -> np.ndarray:
    """[rows] one column index for each row of weights."""
    cumulative = np.cumsum(weight, axis=1)
    at = rng.random(len(weight)) * cumulative[:, -1]
    return np.minimum((cumulative <= at[:, None]).sum(axis=1), weight.shape[1] - 1)


def draw_destination(
    rng: np.random.Generator, calendar: Calendar, segment: np.ndarray, check_in: np.ndarray, served: np.ndarray
) -> np.ndarray:
    """[episodes] destination by home, taste and season on the day of arrival, among those `served` by any listing."""
    weight = calendar.geography.attraction[segment] * calendar.destination[:, check_in - calendar.first].T
    return _draw_rows(rng, weight * served)


def utility(offer: Offers, e: Columns, row: np.ndarray, prop: np.ndarray, price: np.ndarray) -> np.ndarray:
    """Utility of property `prop` at a nightly `price` for the episode in `row`; the outside option has 0."""
    result = e["base"][row] + offer.value[prop] + price_slope(offer, e, row, prop, price)
    result += np.where(e["taste"][row] == offer.kind[prop], c.SAME_TASTE, 0.0)
    result -= c.OVERSIZE * np.maximum(offer.max_guests[prop] - e["guests"][row] - 2, 0)
    return result + np.where(e["last_property"][row] == prop, c.LOYALTY, 0.0)


def price_slope(offer: Offers, e: Columns, row: np.ndarray, prop: np.ndarray, price: np.ndarray) -> np.ndarray:
    """Price in utility: linear, so this is also the change of utility when the price doubles. Times 1 - probability
    it is the own-price elasticity. The price is held against the visitor's budget for the place and against the
    offers around.
    """
    own = offer.against_budget[prop] * e["wealth"][row]
    return -e["sensitivity"][row] * price * (own + offer.against_others[prop])


def acceptance(offer: Offers, e: Columns, row: np.ndarray, prop: np.ndarray) -> np.ndarray:
    """How likely a property that search shows gets a look: 0 when too small or sold, less when not to the user's
    taste.
    """
    fits = (offer.max_guests[prop] >= e["guests"][row]) & offer.is_free(prop, e["check_in"][row], e["nights"][row])
    return np.where(fits, np.where(e["taste"][row] == offer.kind[prop], 1.0, c.OTHER_TASTE_ACCEPTED), 0.0)


@dataclass(frozen=True)
class ChoiceSets:
    """[episodes, MOST_CONSIDERED] what is looked at, where `valid`."""

    prop: np.ndarray
    valid: np.ndarray
    price: np.ndarray
    utility: np.ndarray
    probability: np.ndarray  # of booking it in this episode


def choice_sets(rng: np.random.Generator, offer: Offers, e: Columns) -> ChoiceSets:
    n = len(e["user"])
    low = offer.cumulative[offer.bounds[e["destination"]]]
    high = offer.cumulative[offer.bounds[e["destination"] + 1]]
    at = low[:, None] + rng.random((n, c.DRAWS)) * (high - low)[:, None]
    position = np.searchsorted(offer.cumulative, at, side="right") - 1
    last = np.maximum(offer.bounds[e["destination"] + 1] - 1, 0)
    prop = offer.order[np.minimum(position, last[:, None])]
    # Guests look again at where they stayed last.
    known = e["last_property"]
    again = (known >= 0) & (offer.destination[np.maximum(known, 0)] == e["destination"])
    prop[again, 0] = known[again]
    row = np.broadcast_to(np.arange(n)[:, None], prop.shape)
    valid = rng.random((n, c.DRAWS)) < acceptance(offer, e, row, prop)
    valid &= (high > low)[:, None]
    for k in range(1, c.DRAWS):
        valid[:, k] &= ~((prop[:, :k] == prop[:, k : k + 1]) & valid[:, :k]).any(axis=1)
    rank = np.cumsum(valid, axis=1)
    valid &= rank <= e["size"][:, None]
    first = np.argsort(~valid, axis=1, kind="stable")[:, : c.MOST_CONSIDERED]
    prop, valid = np.take_along_axis(prop, first, 1), np.take_along_axis(valid, first, 1)
    row = np.broadcast_to(np.arange(n)[:, None], prop.shape)
    price = offer.price_at(prop, np.broadcast_to(e["started"][:, None], prop.shape))
    u = np.where(valid, utility(offer, e, row, prop, price), -np.inf)
    weight = np.exp(u)
    return ChoiceSets(prop, valid, price, u, weight / (1 + weight.sum(axis=1, keepdims=True)))


def choose(rng: np.random.Generator, sets: ChoiceSets) -> np.ndarray:
    """[episodes] column of what is booked, or -1 for nothing."""
    cumulative = np.cumsum(sets.probability, axis=1)
    at = rng.random(len(cumulative))
    chosen = (cumulative <= at[:, None]).sum(axis=1)
    return np.where(at < cumulative[:, -1], chosen, -1)
