"""The 42 destinations and the countries of the marketplace, from two small tables beside this file.

`destinations.csv`: number of listings is public for the 15 largest (`is_public`); the other 27 names, the mixes of
types, seasons and price levels are assumptions that add up to the public shares of types and the 18,163 listings in
18 countries.
"""

import csv
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np

from wanderbricks_assets.simulator import calibration as c

_HERE = Path(__file__).parent


def _columns(name: str) -> dict[str, list[str]]:
    with (_HERE / name).open() as file:
        rows = list(csv.DictReader(file))
    return {key: [row[key] for row in rows] for key in rows[0]}


@dataclass(frozen=True)
class Geography:
    """Columns of the two tables; a destination or country is its row number (its public id is one more)."""

    destination: list[str]
    state: list[str]
    state_code: list[str]
    destination_country: np.ndarray
    place: np.ndarray  # [destinations, 2] latitude, longitude
    listings: np.ndarray
    season: list[str]
    mix: np.ndarray  # [destinations, 4] share of each property type
    price_level: np.ndarray
    country: list[str]
    country_code: list[str]
    continent: list[str]
    utc_offset: np.ndarray
    user_share: np.ndarray
    is_south: np.ndarray

    @cached_property
    def attraction(self) -> np.ndarray:
        """[segments, destinations] where people of a home country and taste like to go, in any season; rows sum to 1.

        Segment = country * 4 + taste. Supply is taken to have followed demand: a destination draws people as it has
        listings.
        """
        continent = np.array(self.continent)
        home = np.arange(len(self.country))[:, None]
        pull = np.where(continent[home] == continent[self.destination_country], c.SAME_CONTINENT_PULL, 1.0)
        pull = np.where(home == self.destination_country, c.HOME_COUNTRY_PULL, pull)
        accepted = np.where(np.eye(4, dtype=bool), 1.0, 0.35) @ self.mix.T
        weight = (self.listings * pull)[:, None, :] * accepted[None, :, :]
        weight = weight.reshape(len(self.country) * 4, -1)
        return weight / weight.sum(axis=1, keepdims=True)


@cache
def geography() -> Geography:
    d, n = _columns("destinations.csv"), _columns("countries.csv")
    mix = np.array([[float(x) for x in d[kind]] for kind in ("urban", "summer", "historical", "ski")]).T
    weights = np.array([float(x) for x in n["user_weight"]])
    return Geography(
        destination=d["destination"],
        state=d["state_or_province"],
        state_code=d["code"],
        destination_country=np.array([n["country"].index(country) for country in d["country"]]),
        place=np.array([d["latitude"], d["longitude"]], dtype=float).T,
        listings=np.array([float(x) for x in d["listings"]]),
        season=d["season"],
        mix=mix / mix.sum(axis=1, keepdims=True),
        price_level=np.array([float(x) for x in d["price_level"]]),
        country=n["country"],
        country_code=n["country_code"],
        continent=n["continent"],
        utc_offset=np.array([int(x) for x in n["utc_offset"]]),
        user_share=weights / weights.sum(),
        is_south=np.array([x == "1" for x in n["is_south"]]),
    )
