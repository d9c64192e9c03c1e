"""One day of the marketplace: a pure step from the state at its start to the state at its end, and the rows of the
day.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from wanderbricks_assets.simulator import calibration as c
from wanderbricks_assets.simulator import flaws, lifecycle, panel
from wanderbricks_assets.simulator.browsing import browse, start_seconds
from wanderbricks_assets.simulator.choice import Nights, Offers, choice_sets, choose, draw_destination, episodes, offers
from wanderbricks_assets.simulator.geography import geography
from wanderbricks_assets.simulator.season import Calendar
from wanderbricks_assets.simulator.world import (
    Columns,
    assign_hosts,
    draw,
    generator,
    listings_per_destination,
    new_properties,
    new_users,
    stack,
    users_before,
)

# What happens later waits in queues, one for each kind.
QUEUES = ("views", "clicks", "decisions", "booking_updates", "payments", "reviews", "tickets", "release")
IDS = ("booking_id", "view_id", "booking_update_id", "payment_id", "review_id")


MONTH = 32  # days: what is far off is first filed by month


def _grouped(rows: Columns, by: np.ndarray) -> Iterator[tuple[int, Columns]]:
    """(value, rows with that value) for each value of `by`; rows keep their order."""
    if by[0] == by[-1] and (by == by[0]).all():
        yield int(by[0]), rows
        return
    order = np.argsort(by, kind="stable")
    values, begin = np.unique(by[order], return_index=True)
    for value, low, high in zip(values.tolist(), begin, [*begin[1:], len(order)], strict=True):
        yield value, rows.take(order[low:high])


class Queue:
    """Rows to come, by day since 1970. Rows of a day come out in the order in which they were pushed."""

    def __init__(self) -> None:
        self._days: dict[int, list[Columns]] = {}
        self._months: dict[int, list[Columns]] = {}
        self._opened = -1  # months up to this one are filed by day

    def push(self, rows: Columns, earliest: int) -> None:
        """Files rows under the day of their `time`; what would be before day `earliest` happens as that begins."""
        if not len(rows):
            return
        rows["time"] = np.maximum(rows["time"], earliest * c.SECONDS)
        for month, part in _grouped(rows, rows["time"] // (MONTH * c.SECONDS)):
            if month <= self._opened:
                self._file(part)
            else:
                self._months.setdefault(month, []).append(part)

    def _file(self, rows: Columns) -> None:
        for day, part in _grouped(rows, rows["time"] // c.SECONDS):
            self._days.setdefault(day, []).append(part)

    def pop_day(self, day: int) -> Columns:
        while self._opened < day // MONTH:
            self._opened = min([*self._months, day // MONTH]) if self._opened < 0 else self._opened + 1
            for part in self._months.pop(self._opened, ()):
                self._file(part)
        return stack(self._days.pop(day, []))

    def rows(self) -> Columns:
        """All that is waiting, so that pushing it to a new queue gives the same queue."""
        every = (part for parts in (self._days, self._months) for key in sorted(parts) for part in parts[key])
        return stack(list(every))


@dataclass
class Market:
    """All that must be known to go on. `day` is the next day to simulate (days since 1970)."""

    seed: int
    scale: float
    first_day: int
    day: int
    users: Columns
    properties: Columns
    hosts: Columns
    prices: Columns  # every listed price ever: prop, price, time
    tickets: Columns  # every ticket so far
    nights: Nights
    queues: dict[str, Queue]
    next_id: dict[str, int]
    confounded: bool = False  # prices only follow demand
    spending: Columns = field(default_factory=Columns)  # sample for the value of customers: user, day, revenue

    @classmethod
    def founded(cls, seed: int, scale: float, day: int, confounded: bool = False) -> "Market":
        place = geography()
        rng = generator(seed, 0, 0)
        count = max(round(c.PROPERTIES_AT_START * scale), 1)
        destination = np.repeat(np.arange(len(place.destination)), listings_per_destination(count, place))
        age = (rng.exponential(500.0, count)).astype(int).clip(30, 3000)
        properties = new_properties(rng, destination, day - age, place)
        hosts = assign_hosts(rng, properties, Columns(), place)
        prices = Columns(
            prop=np.arange(count), price=properties["price"], time=properties["created"].astype(np.int64) * c.SECONDS
        )
        return cls(
            seed=seed,
            scale=scale,
            first_day=day,
            day=day,
            users=users_before(rng, day, scale, place),
            properties=properties,
            hosts=hosts,
            prices=prices,
            tickets=Columns(),
            nights=Nights(day, count),
            queues={name: Queue() for name in QUEUES},
            next_id=dict.fromkeys(IDS, 1),
            confounded=confounded,
        )

    @property
    def years(self) -> float:
        return (self.day - self.first_day) / 365.25

    def random(self, stream: int) -> np.random.Generator:
        return generator(self.seed, self.day, stream)


@dataclass(frozen=True)
class Day:
    """Rows of one day by table, not yet in public form (each with `time`, seconds since 1970), and the truth about
    it.
    """

    day: int
    tables: dict[str, Columns]
    truth: dict[str, dict[str, np.ndarray]]


def step(m: Market, calendar: Calendar) -> Day:
    """Simulates the market's next day; the market moves on by one day."""
    day = m.day
    m.nights.move_to(day)
    _free_cancelled(m)
    _list_properties(m)
    _set_prices(m, calendar)
    offer = offers(m.properties, m.nights, day, len(geography().destination))
    factor, leads = calendar.leads(day)
    rate = shopping_rate(m, factor)
    truth = panel.truth_of_day(m, calendar, offer, rate, registration_rate(m, factor), leads)
    _shop(m, calendar, offer, rate, registration_rate(m, factor), leads)
    bookings, cancel = _book(m, offer)
    tables = {"bookings": bookings, **_happenings(m)}
    _remember_reviews(m, tables["reviews"])
    truth |= {"conversion_probability": _conversion(tables["page_views"]), "cancellation_probability": cancel}
    m.day += 1
    return Day(day, flaws.spoil(m.seed, day, tables), truth)


def _free_cancelled(m: Market) -> None:
    """Nights cancelled yesterday can be sold from today."""
    free = m.queues["release"].pop_day(m.day - 1)
    if len(free):
        m.nights.mark(free["prop"], free["check_in"], free["nights"], sold=False)


def _list_properties(m: Market) -> None:
    rng, place = m.random(1), geography()
    expected = c.PROPERTIES_AT_START * m.scale * c.PROPERTY_GROWTH * np.exp(c.PROPERTY_GROWTH * m.years) / 365.25
    count = rng.poisson(expected)
    if not count:
        return
    fresh = new_properties(rng, draw(rng, place.listings, count), np.full(count, m.day), place)
    m.hosts.append(assign_hosts(rng, fresh, m.hosts, place))
    numbers = len(m.properties) + np.arange(count)
    m.properties.append(fresh)
    m.prices.append({"prop": numbers, "price": fresh["price"], "time": fresh["price_changed"]})
    m.nights.grow(len(m.properties))


def _set_prices(m: Market, calendar: Calendar) -> None:
    """Hosts change prices a few times a year: partly after season and occupancy (which confounds), partly by whim.

    In a confounded market they do so every week or so, all by the same rule, and never by whim.
    """
    rng, p = m.random(2), m.properties
    changes, noise = (52.0, 0.0) if m.confounded else (c.PRICE_CHANGES_PER_YEAR, c.PRICE_NOISE)
    who = np.flatnonzero((rng.random(len(p)) < changes / 365.25) & (p["created"] < m.day))
    if not len(who):
        return
    ahead = min(m.day + 30 - calendar.first, calendar.length - 1)
    season = np.log(calendar.smooth[p["destination"][who], ahead])
    today = m.day - m.nights.first
    occupancy = m.nights.sold[today : today + 30, who].mean(axis=0)
    by_season, by_occupancy = p["follows_season"][who], p["follows_occupancy"][who]
    if m.confounded:
        by_season, by_occupancy = p["follows_season"].mean(), p["follows_occupancy"].mean()
    price = p["fair"][who] + c.INFLATION * m.years + by_season * season
    price += by_occupancy * (occupancy - 0.35) + rng.normal(0.0, noise, len(who))
    time = m.day * c.SECONDS + rng.integers(0, c.SECONDS, len(who))
    p["price_before"] = p["price"].copy()
    p["price"] = p["price"].copy()
    p["price_changed"] = p["price_changed"].copy()
    p["price"][who] = np.round(np.exp(price), 2)
    p["price_changed"][who] = time
    m.prices.append({"prop": who, "price": p["price"][who], "time": time})


def shopping_rate(m: Market, factor: np.ndarray) -> np.ndarray:
    """[users] probability that a user starts a shopping episode today; `factor` is [segments]."""
    u = m.users
    free = (u["leaves"] > m.day) & (u["busy_until"] < m.day)
    segment = u["country"] * 4 + u["taste"]
    return np.where(free, 1 - np.exp(-u["habit"] / 365.25 * factor[segment]), 0.0)


def registration_rate(m: Market, factor: np.ndarray) -> float:
    """Users expected to register today: registration is part of a first search and follows the same season."""
    season = float(factor @ np.outer(geography().user_share, c.TASTE_SHARE).ravel())
    return c.REGISTRATIONS_PER_DAY * m.scale * season * float(np.exp(c.USER_GROWTH * m.years))


def _shop(
    m: Market, calendar: Calendar, offer: Offers, rate: np.ndarray, registrations: float, leads: np.ndarray
) -> None:
    rng, place, day = m.random(3), geography(), m.day
    returning = np.flatnonzero(rng.random(len(rate)) < rate)
    n = rng.poisson(registrations)
    fresh = new_users(rng, np.full(n, day * c.SECONDS), place)
    begin = start_seconds(rng, place.utc_offset[np.concatenate([m.users["country"][returning], fresh["country"]])])
    begin[len(returning) :] = np.maximum(begin[len(returning) :], 301)
    order = np.argsort(begin[len(returning) :], kind="stable")
    fresh = fresh.take(order)
    begin[len(returning) :] = begin[len(returning) :][order]
    fresh["created"] = day * c.SECONDS + begin[len(returning) :] - rng.integers(20, 300, n)
    user = np.concatenate([returning, len(m.users) + np.arange(n)])
    m.users.append(fresh)

    segment = m.users["country"][user] * 4 + m.users["taste"][user]
    cumulative = np.cumsum(leads, axis=1) + np.arange(len(leads))[:, None]  # one search for all segments
    lead = np.searchsorted(cumulative.ravel(), segment + rng.random(len(user)), side="right") % leads.shape[1]
    check_in = day + np.maximum(lead, 1)
    served = np.diff(offer.bounds) > 0
    destination = draw_destination(rng, calendar, segment, check_in, served)
    e = episodes(rng, m.users, user, destination, check_in, day * c.SECONDS + begin, calendar)
    sets = choice_sets(rng, offer, e)
    chosen = choose(rng, sets)
    views, clicks, decided = browse(rng, e, sets)
    m.users["busy_until"][user] = decided // c.SECONDS
    buys = np.flatnonzero(chosen >= 0)
    wish = Columns(
        time=decided[buys],
        user=user[buys].astype(np.int32),
        prop=sets.prop[buys, chosen[buys]].astype(np.int32),
        check_in=e["check_in"][buys],
        nights=e["nights"][buys],
        guests=e["guests"][buys],
    )
    m.queues["views"].push(views, day)
    m.queues["clicks"].push(clicks, day)
    m.queues["decisions"].push(_first_come(m, wish), day)


def _first_come(m: Market, wish: Columns) -> Columns:
    """Holds the nights of those who decide first; the few who want the same nights of the same property later go
    without.
    """
    wish = wish.take(np.argsort(wish["time"], kind="stable"))
    _, same, count = np.unique(wish["prop"], return_inverse=True, return_counts=True)
    keep = np.ones(len(wish), dtype=bool)
    held: dict[int, list[tuple[int, int]]] = {}
    for i in np.flatnonzero(count[same] > 1):
        begin, end = int(wish["check_in"][i]), int(wish["check_in"][i] + wish["nights"][i])
        others = held.setdefault(int(wish["prop"][i]), [])
        if any(begin < other_end and other_begin < end for other_begin, other_end in others):
            keep[i] = False
        else:
            others.append((begin, end))
    wish = wish.take(keep)
    m.nights.mark(wish["prop"], wish["check_in"], wish["nights"], sold=True)
    return wish


def _book(m: Market, offer: Offers) -> tuple[Columns, Columns]:
    """Bookings made today, with all that will follow from them put in the queues: (bookings, truth of cancellation)."""
    wish = m.queues["decisions"].pop_day(m.day)
    if not len(wish):
        return Columns(), Columns()
    b = wish.take(np.argsort(wish["time"], kind="stable"))
    n, p = len(b), m.properties
    b["booking"] = m.next_id["booking_id"] + np.arange(n)
    m.next_id["booking_id"] += n
    b["price"] = offer.price_at(b["prop"], b["time"])
    b["amount"] = lifecycle.amount(b["nights"], b["price"])
    pleasure = 0.5 * p["quality"][b["prop"]] + 0.2 * p["location"][b["prop"]]
    pleasure -= 0.3 * (np.log(b["price"]) - p["going"][b["prop"]])
    after = lifecycle.future(m.random(4), b, m.users["cancels"][b["user"]], pleasure, m.nights)
    for name in ("booking_updates", "payments", "reviews", "tickets", "release"):
        m.queues[name].push(getattr(after, name), m.day)
    m.users["last_property"][b["user"]] = b["prop"]
    return after.bookings, after.cancel


def _happenings(m: Market) -> dict[str, Columns]:
    """The rows of today that were in the queues, in order of time and numbered."""
    names = {
        "page_views": ("views", "view_id"),
        "clickstream": ("clicks", None),
        "booking_updates": ("booking_updates", "booking_update_id"),
        "payments": ("payments", "payment_id"),
        "reviews": ("reviews", "review_id"),
    }
    result = {}
    for table, (queue, key) in names.items():
        rows = m.queues[queue].pop_day(m.day)
        if len(rows):
            rows = rows.take(np.argsort(rows["time"], kind="stable"))
            if key:
                rows["id"] = m.next_id[key] + np.arange(len(rows))
                m.next_id[key] += len(rows)
        result[table] = rows
    tickets = m.queues["tickets"].pop_day(m.day)
    if len(tickets):
        m.tickets.append(tickets.take(np.argsort(tickets["time"], kind="stable")))
    return result


def _remember_reviews(m: Market, reviews: Columns) -> None:
    if len(reviews):
        seen = ~reviews["deleted"]
        size = len(m.properties)
        m.properties["ratings"] += np.bincount(reviews["prop"][seen], reviews["rating"][seen], size)
        m.properties["rating_count"] += np.bincount(reviews["prop"][seen], minlength=size).astype(np.int32)


def _conversion(views: Columns) -> Columns:
    """Truth of the views, taken off the rows that go to the public table."""
    if not len(views):
        return Columns()
    return Columns(view=views["id"], time=views["time"], probability=views.pop("probability"))
