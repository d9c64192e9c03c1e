"""When people travel: how attractive each day of arrival is, by destination and by the traveller's home and taste.

Everything is a function of the date alone, so a calendar for any range of days agrees with any other where they
overlap.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache, cached_property

import holidays
import numpy as np

from wanderbricks_assets.simulator import calibration as c
from wanderbricks_assets.simulator.geography import Geography

EPOCH = date(1970, 1, 1)


def day_number(day: date) -> int:
    return (day - EPOCH).days


@cache
def lead_time_shares() -> np.ndarray:
    """[LONGEST_LEAD + 1] probability of a lead time of 0, 1, 2 ... days before any season; no one books for the same
    day.
    """
    days = np.arange(1, c.LONGEST_LEAD + 1)
    density = np.zeros(len(days))
    for share, median, spread in c.LEAD_TIMES:
        density += share / (days * spread) * np.exp(-0.5 * (np.log(days / median) / spread) ** 2)
    return np.concatenate([[0.0], density / density.sum()])


@dataclass(frozen=True)
class Calendar:
    """Days `first` to `first + length - 1` (days since 1970).

    A segment is a home country and a taste: segment = country * 4 + taste.
    """

    geography: Geography
    first: int
    length: int

    @cached_property
    def dates(self) -> list[date]:
        return [EPOCH + timedelta(days=self.first + i) for i in range(self.length)]

    @cached_property
    def _years(self) -> list[int]:
        return sorted({d.year for d in self.dates} | {self.dates[-1].year + 1})

    @cached_property
    def weekday(self) -> np.ndarray:
        return (self.first + np.arange(self.length) + 3) % 7  # 1970-01-01 was a Thursday

    def _monthly(self, factors: np.ndarray) -> np.ndarray:
        """[rows, days] monthly factors [rows, 12], linear between the middles of the months."""
        position = np.array([d.month - 1 + (d.day - 15) / 30.5 for d in self.dates])
        low = np.floor(position).astype(int)
        weight = position - low
        return factors[:, low % 12] * (1 - weight) + factors[:, (low + 1) % 12] * weight

    def _before_holiday(self, code: str) -> np.ndarray:
        """[days] whether a national holiday falls on the day or one of the three after it."""
        off = {day_number(d) for d in holidays.country_holidays(code, years=self._years)}
        numbers = self.first + np.arange(self.length)
        return np.array([any(int(n) + k in off for k in range(4)) for n in numbers])

    @cached_property
    def holiday(self) -> np.ndarray:
        """[countries, days]"""
        return np.stack([self._before_holiday(code) for code in self.geography.country_code])

    @cached_property
    def destination(self) -> np.ndarray:
        """[destinations, days] factor on arrivals; mean about 1 over a year."""
        g = self.geography
        factor = self._monthly(np.array([c.SEASONS[season] for season in g.season]))
        factor = factor * c.CHECK_IN_WEEKDAY[self.weekday]
        factor = factor * np.where(self.holiday[g.destination_country], c.HOLIDAY_AT_DESTINATION, 1.0)
        for name, month, day, length, boost in c.EVENTS:
            row = g.destination.index(name)
            for year in range(self._years[0] - 1, self._years[-1] + 1):
                begin = day_number(date(year, month, day)) - 2 - self.first
                factor[row, max(begin, 0) : max(begin + length + 2, 0)] *= boost
        return factor

    @cached_property
    def smooth(self) -> np.ndarray:
        """[destinations, days] the monthly season alone, which hosts look at when they set prices."""
        return self._monthly(np.array([c.SEASONS[season] for season in self.geography.season]))

    @cached_property
    def at_home(self) -> np.ndarray:
        """[countries, days] how free people of a country are to travel."""
        leisure = np.where(self.geography.is_south[:, None], np.array(c.LEISURE_SOUTH), np.array(c.LEISURE_NORTH))
        return self._monthly(leisure) * np.where(self.holiday, c.HOLIDAY_AT_HOME, 1.0)

    @cached_property
    def pull(self) -> np.ndarray:
        """[segments, days] sum over destinations of attraction times season."""
        return self.geography.attraction @ self.destination

    @cached_property
    def travel(self) -> np.ndarray:
        """[segments, days] wish to travel on a day."""
        return self.pull * np.repeat(self.at_home, 4, axis=0)

    def leads(self, day: int) -> tuple[np.ndarray, np.ndarray]:
        """How much each segment shops on a day, and for which arrival.

        Returns ([segments] factor on the shopping rate, about 1; [segments, LONGEST_LEAD + 1] shares of lead times).
        """
        begin = day - self.first
        weight = lead_time_shares() * self.travel[:, begin : begin + c.LONGEST_LEAD + 1]
        total = weight.sum(axis=1)
        return total * c.SHOPPING_WEEKDAY[self.weekday[begin]], weight / total[:, None]
