"""People and listings: what they are when they arrive, before anything happens to them."""

from collections.abc import Sequence

import numpy as np

from wanderbricks_assets.simulator import calibration as c
from wanderbricks_assets.simulator.geography import Geography


class Columns(dict[str, np.ndarray]):
    """A table in memory: name -> array, all of one length, that rows are appended to."""

    def __len__(self) -> int:
        return len(next(iter(self.values()))) if super().__len__() else 0

    def append(self, rows: dict[str, np.ndarray]) -> None:
        if not super().__len__():
            self.update(rows)
        else:
            for name, values in rows.items():
                self[name] = np.concatenate([self[name], values.astype(self[name].dtype)])

    def take(self, index: np.ndarray) -> "Columns":
        return Columns({name: values[index] for name, values in self.items()})


def stack(parts: Sequence[dict[str, np.ndarray]]) -> Columns:
    """The rows of all parts, one after another."""
    if len(parts) == 1:
        return Columns(parts[0])
    return Columns({name: np.concatenate([part[name] for part in parts]) for name in parts[0]}) if parts else Columns()


def generator(seed: int, day: int, stream: int) -> np.random.Generator:
    """Random numbers for one purpose on one day, so that a day can be simulated again from the state before it."""
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence([seed, day, stream])))


def draw(rng: np.random.Generator, shares: np.ndarray, size: int) -> np.ndarray:
    """[size] indices with the given probabilities."""
    cumulative = np.cumsum(shares)
    index = np.searchsorted(cumulative, rng.random(size) * cumulative[-1], side="right")
    return np.minimum(index, len(shares) - 1)


def new_users(rng: np.random.Generator, created: np.ndarray, place: Geography) -> Columns:
    """Users registered at `created` (seconds since 1970), with all that is hidden about them."""
    n = len(created)
    country = draw(rng, place.user_share, n)
    business = rng.random(n) < c.BUSINESS_SHARE
    hazard = rng.gamma(c.CHURN_SHAPE, c.CHURN_PER_YEAR / c.CHURN_SHAPE, n)
    lifetime = rng.exponential(1.0, n) / np.maximum(hazard, 1e-3) * 365.25
    sensitivity = np.exp(rng.normal(-0.5 * c.SENSITIVITY_SD**2, c.SENSITIVITY_SD, n))
    return Columns(
        created=created.astype(np.int64),
        country=country.astype(np.int16),
        business=business,
        taste=draw(rng, c.TASTE_SHARE, n).astype(np.int16),
        budget=rng.normal(np.where(business, 0.1, 0.0), c.BUDGET_SD),
        sensitivity=np.where(business, c.BUSINESS_SENSITIVITY, 1.0) * sensitivity,
        intent=rng.normal(0.0, c.INTENT_SD, n),
        # A little more than the mean of the rate, as what is booked in the first episode is not part of it.
        habit=rng.gamma(c.HABIT_SHAPE, c.EPISODES_PER_YEAR / c.HABIT_SHAPE, n) * np.where(business, 1.5, 1.0),
        hazard=hazard,
        leaves=created / c.SECONDS + lifetime,
        party=np.where(business, 0.4, rng.gamma(2.0, 0.8, n)),
        cancels=rng.normal(0.0, c.CANCEL_TRAIT_SD, n) + np.where(business, c.CANCEL_BUSINESS, 0.0),
        mobile=rng.normal(0.0, 0.8, n),
        busy_until=np.zeros(n, dtype=np.int32),
        last_property=np.full(n, -1, dtype=np.int32),
    )


def users_before(rng: np.random.Generator, day: int, scale: float, place: Geography) -> Columns:
    """Users who registered in the years before the first day."""
    growth, years = c.USER_GROWTH, c.YEARS_BEFORE_START
    expected = c.REGISTRATIONS_PER_DAY * scale * 365.25 * (1 - np.exp(-growth * years)) / growth
    n = rng.poisson(expected)
    ago = -np.log(1 - rng.random(n) * (1 - np.exp(-growth * years))) / growth
    created = np.sort((day * c.SECONDS - 1 - ago * 365.25 * c.SECONDS).astype(np.int64))
    return new_users(rng, created, place)


def listings_per_destination(count: int, place: Geography) -> np.ndarray:
    """[destinations] listings, by largest remainder."""
    exact = count * place.listings / place.listings.sum()
    whole = np.floor(exact).astype(int)
    whole[np.argsort(whole - exact, kind="stable")[: count - whole.sum()]] += 1
    return whole


def _plain_price(place: Geography) -> np.ndarray:
    """[types] price of one bedroom at usual quality in a place of price level 1, such that the mean price is
    TYPE_PRICE.
    """
    more = np.arange(6)
    mean = c.MORE_BEDROOMS[:, None]
    shares = np.exp(-mean) * mean**more / np.array([1, 1, 2, 6, 24, 120])  # Poisson, the rest in the last
    shares[:, -1] += 1 - shares.sum(axis=1)
    size = shares @ (1.0 + more) ** c.PRICE_OF_SIZE
    listings = place.listings @ place.mix
    places = (place.listings * place.price_level) @ place.mix / listings
    spread = sum(sd**2 for sd in c.PRICE_SD.values()) + c.PRICE_NOISE**2
    return c.TYPE_PRICE / (size * places * np.exp(0.5 * spread))


def new_properties(rng: np.random.Generator, destination: np.ndarray, created: np.ndarray, place: Geography) -> Columns:
    """Listings at destinations since `created` (days since 1970). Prices are those of that day."""
    n = len(destination)
    kind = (np.cumsum(place.mix, axis=1)[destination] < rng.random(n)[:, None]).sum(axis=1).clip(0, 3)
    bedrooms = 1 + np.minimum(rng.poisson(c.MORE_BEDROOMS[kind]), 5)
    max_guests = np.minimum(2 * bedrooms + rng.integers(0, 2, n), c.MAX_GUESTS_EVER)
    quality, location, host = rng.normal(size=(3, n))
    sd = c.PRICE_SD
    level = np.log(_plain_price(place)[kind]) + np.log(place.price_level[destination])
    going = level + c.PRICE_OF_SIZE * np.log(bedrooms)
    fair = going + sd["quality"] * quality + sd["location"] * location + sd["host"] * host
    by_place = generator(0, 0, 7).normal(0.0, c.PRICE_SD_DESTINATION, len(place.destination))
    gamma = np.log(c.PRICE[kind]) + by_place[destination] + rng.normal(0.0, c.PRICE_SD_PROPERTY, n)
    price = np.round(np.exp(fair + rng.normal(0.0, c.PRICE_NOISE, n)), 2)
    return Columns(
        destination=destination.astype(np.int16),
        kind=kind.astype(np.int16),
        created=created.astype(np.int32),
        bedrooms=bedrooms.astype(np.int16),
        bathrooms=(1 + rng.binomial(bedrooms, 0.4)).astype(np.int16),
        max_guests=max_guests.astype(np.int16),
        quality=quality,
        location=location,
        photos=(1 + rng.binomial(5, (c.IMAGES_PER_PROPERTY - 1) / 5, n)).astype(np.int16),
        level=level,
        going=going,
        fair=fair,
        gamma=np.exp(gamma),
        popularity=rng.normal(0.0, c.POPULARITY_SD, n),
        follows_season=rng.uniform(0.0, 0.35, n),
        follows_occupancy=rng.uniform(0.0, 0.4, n),
        place=place.place[destination] + rng.normal(0.0, 0.06, (n, 2)),
        price=price,
        price_before=price,
        price_changed=created.astype(np.int64) * c.SECONDS,
        ratings=np.zeros(n),
        rating_count=np.zeros(n, dtype=np.int32),
        host=np.zeros(n, dtype=np.int32),
    )


def assign_hosts(rng: np.random.Generator, properties: Columns, hosts: Columns, place: Geography) -> Columns:
    """Gives each of the new properties a host of the same country (its `host` column is filled in), and returns new
    hosts.

    Most hosts have no listing (FACT: 3,817 of 19,384 have one), a few have many.
    """
    known: dict[int, list[int]] = {}
    if len(hosts):
        for index in np.flatnonzero(hosts["lists"]):
            known.setdefault(int(hosts["country"][index]), []).append(int(index))
    countries: list[int] = []
    joined: list[int] = []
    lists: list[bool] = []
    idle = c.HOSTS_PER_PROPERTY - 1 / c.LISTINGS_PER_ACTIVE_HOST
    first = len(hosts)
    for row in range(len(properties)):
        country = int(place.destination_country[properties["destination"][row]])
        before = int(properties["created"][row]) - int(rng.integers(1, 200))
        there = known.setdefault(country, [])
        if there and rng.random() > 1 / c.LISTINGS_PER_ACTIVE_HOST:
            properties["host"][row] = there[int(rng.integers(len(there)))]
        else:
            properties["host"][row] = first + len(countries)
            there.append(first + len(countries))
            countries.append(country)
            joined.append(before)
            lists.append(True)
        for _ in range(rng.poisson(idle)):
            countries.append(int(draw(rng, place.user_share, 1)[0]))
            joined.append(before)
            lists.append(False)
    return Columns(
        country=np.array(countries, dtype=np.int16),
        joined=np.array(joined, dtype=np.int32),
        lists=np.array(lists, dtype=bool),
    )
