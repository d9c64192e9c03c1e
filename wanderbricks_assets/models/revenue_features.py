"""Revenue by check-in date: what was realized, what was on the books at any origin, and the rows made of both.

An origin is a midnight. Horizon 1 is the day that begins at it, so `ds = origin + horizon - 1 day`; the books at
"horizon 0" are those of the midnight that ends the day: its realized revenue.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache

from wanderbricks_assets.gold.as_known import cancelled, versions
from wanderbricks_assets.gold.exact import exact_sum
from wanderbricks_assets.lazy import Table, ibis, np, pd
from wanderbricks_assets.models.calendar import FIRST_MONDAY, anchored, days_since
from wanderbricks_assets.models.frames import frame
from wanderbricks_assets.models.model import CannotLearn, Tables

HORIZON_DAYS = 90
# Spans of what was lately picked up, in days with revenue.
PICKUP_DAYS = 56  # eight of each weekday; on the resort better than 28 (12.4% against 13.1% at 30 days) and than 14
LEVEL_DAYS = 28
LONG_DAYS = 112
LAST_YEAR = 364  # the same weekday a year earlier
NEARBY_DAYS = 7
LIKE_WEEKS = 8  # of which the same weekday tells whether a day will have revenue
SPIKE = 2.0  # in ranges of the middle 80%: what a day picks up beyond it is cut. Of normal days that is 5 deviations
REFIT_DAYS = 28  # distance of the Prophet fits; with 56 the resort's early origins were worse by a point at 90 days
MIN_SEASON_DAYS = 91  # before that Prophet sees too little; a year is needed for its yearly season
_DEPTH = HORIZON_DAYS + LEVEL_DAYS  # how long before a day its books are kept

ROW_KEY = ["origin", "ds", "horizon_days"]
SCALE = ["on_the_books", "pickup_forecast", "open_probability"]
PROPHET = ["trend", "season", "holiday"]  # parts of Prophet's forecast, which is their sum
FEATURES = [
    "horizon_days",
    "day_of_week",
    "holiday_share",
    "booked",
    "booked_nearby",
    "value_per_booking",
    "pickup_28",
    "pickup_112",
    "level_28",
    "picked_up_7",
    "picked_up_28",
    "last_year_pickup",
    "proportional_forecast",
    "prophet",
]


@dataclass(frozen=True)
class Books:
    """The marketplace's revenue and books as known at a moment, days counted from the first day with a check-in.

    revenue, holiday_share: [days], [days + HORIZON_DAYS].
    value, bookings: [days + HORIZON_DAYS, _DEPTH + 1], on the books at each horizon before each day. Entries that lie
    after the moment hold what was known at the moment; rows never look at them.
    """

    first_day: date
    revenue: np.ndarray
    value: np.ndarray
    bookings: np.ndarray
    holiday_share: np.ndarray

    @property
    def days(self) -> int:
        return len(self.revenue)

    def index(self, day: date) -> int:
        return (day - self.first_day).days

    def day(self, index: int) -> date:
        return self.first_day + timedelta(days=int(index))

    def anchored(self, first: int, last: int, step: int) -> list[int]:
        """The origins from `first` to `last` that are a multiple of `step` days from FIRST_MONDAY."""
        return [self.index(day) for day in anchored(self.day(first), self.day(last), step)]

    def prophet(self, origin: int, days: int = HORIZON_DAYS + REFIT_DAYS) -> np.ndarray:
        """[days, PROPHET] Prophet's forecast in its parts from an origin on, fitted on the days before it."""
        holiday_share = self.holiday_share[: origin + days]
        return prophet_forecast(self.first_day, tuple(self.revenue[:origin]), tuple(holiday_share), days)

    def prophet_as_of(self, origin: int) -> np.ndarray:
        """[HORIZON_DAYS, PROPHET] the forecast of the latest refit at or before the origin; NaN before the first one.

        Refits have fixed dates, so a row is the same in training, in evaluation and when serving, and no fit has seen
        the origin's future.
        """
        age = (origin - self.index(FIRST_MONDAY)) % REFIT_DAYS
        if origin - age < MIN_SEASON_DAYS:
            return np.full((HORIZON_DAYS, len(PROPHET)), np.nan)
        return self.prophet(origin - age)[age : age + HORIZON_DAYS]


def read_books(tables: Tables, moment: datetime) -> Books:
    """Read what was known at a moment. Raises CannotLearn when nobody has ever checked in."""
    daily = tables["fact_booking_daily"]
    daily = daily.filter(daily.check_in_date < ibis.date(moment.date()))
    realized = daily.group_by("check_in_date").agg(revenue=exact_sum(daily.total_booking_value))
    realized = frame(realized, "check_in_date")
    if realized.empty:
        raise CannotLearn("fact_booking_daily has no day with a check-in yet: there is no revenue to learn from")
    first_day = realized.check_in_date.iloc[0].date()
    days = (moment.date() - first_day).days
    revenue = np.zeros(days)
    revenue[days_since(first_day, realized.check_in_date)] = realized.revenue
    value, bookings = _on_the_books(tables["fact_booking_history"], moment, first_day, days + HORIZON_DAYS)
    holiday = _holiday_share(tables["dim_date"], first_day, days + 2 * HORIZON_DAYS)
    return Books(first_day, revenue, value, bookings, holiday)


def _on_the_books(history: Table, moment: datetime, first_day: date, days: int) -> tuple[np.ndarray, np.ndarray]:
    """Value and number of bookings not cancelled, for every day and every horizon before it, from one query.

    Every state of a booking enters the books on the first midnight after it began, and leaves them on the first
    midnight after the next one began; the books at an origin are the sum of what entered and left until then.
    """
    states = versions(history.filter(history.known_at < moment))
    held = states.filter(~cancelled(states))
    came = held.select("check_in_date", day=held.known_at.date(), amount=held.total_amount, bookings=1)
    left = held.filter(held.known_until.notnull())
    left = left.select("check_in_date", day=left.known_until.date(), amount=-left.total_amount, bookings=-1)
    changes = came.union(left)
    changes = changes.group_by("check_in_date", "day").agg(
        amount=exact_sum(changes.amount), bookings=changes.bookings.sum()
    )
    changes = frame(changes, "check_in_date", "day")
    day = days_since(first_day, changes.check_in_date)
    # A change on day c is known at origins from c + 1 on: at horizons up to day - c.
    horizon = np.minimum(day - days_since(first_day, changes.day), _DEPTH)
    inside = (day >= 0) & (day < days) & (horizon >= 0)
    both = []
    for amounts in (changes.amount, changes.bookings):
        books = np.zeros((days, _DEPTH + 1))
        np.add.at(books, (day[inside], horizon[inside]), amounts.to_numpy(float)[inside])
        both.append(books[:, ::-1].cumsum(axis=1)[:, ::-1].round(2))
    return both[0], both[1]


def _holiday_share(dim_date: Table, first_day: date, days: int) -> np.ndarray:
    """[days] share of the marketplace's countries, of those whose calendar is known, with a public holiday."""
    shares = (
        dim_date.filter(dim_date.is_holiday.notnull())
        .group_by("date")
        .agg(countries=ibis._.count(), on_holiday=ibis._.is_holiday.sum())
    )
    shares = frame(shares, "date")
    day = days_since(first_day, shares.date)
    inside = (day >= 0) & (day < days)
    result = np.zeros(days)
    result[day[inside]] = (shares.on_holiday / shares.countries).to_numpy(float)[inside]
    return result


def feature_rows(books: Books, origins: list[int]) -> pd.DataFrame:
    """One row per origin and horizon 1 to HORIZON_DAYS: ROW_KEY, SCALE, PROPHET, to_come, FEATURES, revenue (NaN
    before it is).

    Amounts among the FEATURES are in units of `pickup_forecast`: the books plus what such days picked up lately
    (additive pick-up, Weatherford and Kimes 2003), so that they mean the same however large the marketplace is.
    to_come: of the revenue of such days lately, the share that came after this horizon. All amounts are those of days
    that have revenue; open_probability: how probable that is.
    """
    rows = pd.concat([_rows_at(books, origin) for origin in origins], ignore_index=True)
    return rows.astype(dict.fromkeys(FEATURES, "float64"))


def _rows_at(books: Books, origin: int) -> pd.DataFrame:
    value, horizon = books.value, np.arange(1, HORIZON_DAYS + 1)
    day = origin + horizon - 1
    on_books, bookings = value[day, horizon], books.bookings[day, horizon]
    # What a day brings if it brings anything: days without revenue (closed ones) say nothing about that.
    lately = np.flatnonzero(books.revenue[:origin] > 0)[-LONG_DAYS:]
    lately = lately if len(lately) else np.arange(origin)
    picked_up = _without_spikes(books.revenue[lately, None] - value[lately, 1 : HORIZON_DAYS + 1])
    revenue = _without_spikes(books.revenue[lately])
    pickup = {span: picked_up[-span:].mean(axis=0) for span in (LEVEL_DAYS, PICKUP_DAYS, LONG_DAYS)}
    recent = revenue[-PICKUP_DAYS:].mean()
    # Cancellations may outweigh bookings, but a day is not expected to bring less than a twentieth of recent ones.
    forecast = np.maximum(np.maximum(on_books + pickup[PICKUP_DAYS], recent / 20), 1.0)
    # Means over days nearby, each at its own horizon at the same origin, at the edges over those there are.
    nearby = pd.Series(on_books).rolling(2 * NEARBY_DAYS + 1, center=True, min_periods=1).mean().to_numpy()
    prophet = books.prophet_as_of(origin)
    amounts = {
        "booked": on_books,
        "booked_nearby": nearby,
        "pickup_28": pickup[LEVEL_DAYS],
        "pickup_112": pickup[LONG_DAYS],
        "level_28": np.full(HORIZON_DAYS, revenue[-LEVEL_DAYS:].mean()),
        "picked_up_7": on_books - value[day, horizon + 7],
        "picked_up_28": on_books - value[day, horizon + LEVEL_DAYS],
        "last_year_pickup": _last_year_pickup(books, day, horizon),
        # Proportional pick-up beside the additive one: books nearby times what books at this horizon lately grew by.
        "proportional_forecast": nearby * _ratio(recent, recent - pickup[PICKUP_DAYS]),
        "prophet": np.maximum(prophet.sum(axis=1), 0.0),
    }
    ds = pd.date_range(books.day(origin), periods=HORIZON_DAYS)
    known = day < books.days
    return pd.DataFrame(
        {
            "origin": ds[0],
            "ds": ds,
            "horizon_days": horizon,
            "on_the_books": on_books,
            "pickup_forecast": forecast,
            "open_probability": _open_probability(books, origin, day, horizon),
            **dict(zip(PROPHET, prophet.T, strict=True)),
            "to_come": np.clip(_ratio(pickup[PICKUP_DAYS], recent), 0.0, 1.0),
            "day_of_week": ds.dayofweek,
            "holiday_share": books.holiday_share[day],
            "value_per_booking": _ratio(_ratio(on_books, bookings), recent),
            **{name: amount / forecast for name, amount in amounts.items()},
            "revenue": np.where(known, books.revenue[np.where(known, day, 0)], np.nan),
        }
    )


def _ratio(amount: np.ndarray | float, base: np.ndarray | float) -> np.ndarray:
    """amount / base; NaN where the base is not above 0."""
    amount, base = np.broadcast_arrays(np.asarray(amount, float), np.asarray(base, float))
    return np.divide(amount, base, out=np.full(base.shape, np.nan), where=base > 0)


def _without_spikes(amounts: np.ndarray) -> np.ndarray:
    """[days, ...] with what lies too far from the median cut (winsorized), so that one day cannot move their mean far.

    The reach is measured by quantiles that a tenth of the days cannot move; a MAD would be 0 where most days of a
    small marketplace pick up nothing.
    """
    low, middle, high = np.quantile(amounts, [0.1, 0.5, 0.9], axis=0)
    reach = SPIKE * (high - low)
    return np.clip(amounts, middle - reach, middle + reach)


def _open_probability(books: Books, origin: int, day: np.ndarray, horizon: np.ndarray) -> np.ndarray:
    """[HORIZON_DAYS] how probable it is that a day has revenue at all: the share of days like it that had.

    Those are the same weekday of the last weeks and about a year earlier, where at the same horizon something was on
    the books, or nothing, as now. The share of such days among all weekdays of the last weeks counts as one more.
    """
    weeks = 7 * np.arange(1, LIKE_WEEKS + 1)
    recent = np.arange(max(origin - weeks[-1], 0), origin)
    same_weekday = (origin + (day - origin) % 7)[:, None] - weeks
    a_year_ago = day[:, None] - LAST_YEAR + np.array([-7, 0, 7])
    is_booked = books.value[day, horizon] > 0

    def alike(days: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of [HORIZON_DAYS, ...] days: how many are alike, and how many of those had revenue."""
        exists, days = days >= 0, np.maximum(days, 0)
        found = exists & ((books.value[days, horizon[:, None]] > 0) == is_booked[:, None])
        return found.sum(axis=1), (found & (books.revenue[days] > 0)).sum(axis=1)

    any_weekday, opened = alike(np.broadcast_to(recent, (HORIZON_DAYS, len(recent))))
    one_more = np.where(any_weekday > 0, opened / np.maximum(any_weekday, 1), (books.revenue[recent] > 0).mean())
    found, opened = alike(np.hstack([same_weekday, a_year_ago]))
    return (opened + one_more) / (found + 1)


def _last_year_pickup(books: Books, day: np.ndarray, horizon: np.ndarray) -> np.ndarray:
    """[HORIZON_DAYS] what the same weekday last year and the days nearby picked up from the same horizon to their end.

    All those days had ended at the origin: 364 days are more than horizon and days nearby. NaN before the data.
    """
    around = day[:, None] - LAST_YEAR + np.arange(-NEARBY_DAYS, NEARBY_DAYS + 1)
    picked_up = books.revenue[np.maximum(around, 0)] - books.value[np.maximum(around, 0), horizon[:, None]]
    return np.where(around.min(axis=1) >= 0, picked_up.mean(axis=1), np.nan)


@lru_cache(maxsize=256)  # training, evaluation and serving ask for the same refits
def prophet_forecast(
    first_day: date, revenue: tuple[float, ...], holiday_share: tuple[float, ...], days: int
) -> np.ndarray:
    """[days, PROPHET] the days after the revenue, by Prophet (Taylor and Letham 2018).

    revenue: daily, from `first_day`. holiday_share: of those days and the `days` after them.
    """
    for name in ("prophet.plot", "prophet"):  # they report what is not installed, and every fit
        logging.getLogger(name).setLevel(logging.CRITICAL)
    import cmdstanpy
    from prophet import Prophet

    calendar = pd.DataFrame(
        {"ds": pd.date_range(first_day, periods=len(revenue) + days), "holiday_share": holiday_share}
    )
    model = Prophet(
        seasonality_mode="multiplicative",
        weekly_seasonality=True,
        yearly_seasonality=len(revenue) > LAST_YEAR,
        daily_seasonality=False,
        uncertainty_samples=0,
    )
    model.add_regressor("holiday_share")
    # Another report on every fit, from a logger that sets its own level when it is first asked for.
    with cmdstanpy.disable_logging():
        model.fit(calendar.head(len(revenue)).assign(y=revenue), seed=0)
    found = model.predict(calendar.tail(days))
    holiday = found["trend"] * found["holiday_share"]  # multiplicative: of the trend
    return np.column_stack([found["trend"], found["yhat"] - found["trend"] - holiday, holiday])
