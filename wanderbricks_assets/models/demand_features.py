"""Bookings by property and check-in date: the zero-filled grid, and what was known of each of its cells at an origin.

An origin is a midnight, and horizon 1 the day that begins at it, as in revenue_features.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from wanderbricks_assets.gold.as_known import versions
from wanderbricks_assets.lazy import Table, ibis, np, pd
from wanderbricks_assets.models.calendar import days_since
from wanderbricks_assets.models.frames import frame
from wanderbricks_assets.models.model import CannotLearn, Tables
from wanderbricks_assets.window import midnight

HORIZON_DAYS = 30
LAST_YEAR = 364  # the same weekday a year earlier
SEASON_DAYS = 3  # on either side of that day
RECENT_DAYS = (28, 91, LAST_YEAR)
ENGAGEMENT_LIFE = timedelta(days=8)  # a property without a change for longer has had no view in seven days

CELL_KEY = ["origin", "property_id", "ds", "horizon_days"]
CATEGORIES = ["property_type", "destination", "country"]
# The feature set of the specification ...
PROPERTY = ["property_type", "bedrooms", "base_price", "max_guests", "destination", "country", "latitude", "longitude"]
TEMPORAL = ["day_of_week", "month", "is_holiday", "is_weekend"]
HISTORICAL = ["bookings_lag_7d", "bookings_lag_30d", "bookings_ma_7d"]
ENGAGEMENT = ["views_7d", "clicks_7d", "conversion_rate"]
# ... what the listed price is compared with, and what is on the books, and how it went on such days before.
BOOKS = [
    "usual_price",
    "horizon_days",
    "on_the_books",
    "booked_ahead",
    *(f"check_ins_{days}d" for days in RECENT_DAYS),
    "destination_check_ins_28d",
    "destination_season",
]
KNOWN = [*PROPERTY, *TEMPORAL, *HISTORICAL, *ENGAGEMENT, *BOOKS]


@dataclass(frozen=True)
class Rates:
    """Running sums of bookings and of listed days, [groups, days + 1], and the group of each property."""

    bookings: np.ndarray
    listed: np.ndarray
    group: np.ndarray

    @classmethod
    def of(cls, check_ins: np.ndarray, listed: np.ndarray, group: np.ndarray) -> Rates:
        return cls(_running_sums(check_ins, group), _running_sums(listed, group), group)

    def mean(self, property_: np.ndarray, first: np.ndarray | int, end: np.ndarray | int) -> np.ndarray:
        """Bookings per listed property and day of [first, end) in the properties' groups; NaN where none was listed."""
        there = self.group[property_]
        bookings, days = (sums[there, np.maximum(end, 0)] - sums[there, first] for sums in (self.bookings, self.listed))
        return np.divide(bookings, days, out=np.full(len(days), np.nan), where=days > 0)


@dataclass(frozen=True)
class Market:
    """What was known at a moment: days counted from the first check-in, properties by their place in `ids`.

    check_ins: [properties, days] bookings by check-in date, zeros put back. destination_ids: [properties].
    properties, destinations: how often they are booked. states: one row per state of a booking with `property`, `day`
    (of check-in), `since` and `until`, the days of the first and last midnight at which it was the known one.
    listed: one row per property and origin with its features. holidays: [countries, dates] 1 or 0; NaN where unknown.
    """

    first_day: date
    ids: np.ndarray
    destination_ids: np.ndarray
    check_ins: np.ndarray
    properties: Rates
    destinations: Rates
    states: pd.DataFrame
    listed: pd.DataFrame
    holidays: pd.DataFrame

    @property
    def days(self) -> int:
        return self.check_ins.shape[1]

    def index(self, day: date) -> int:
        return (day - self.first_day).days

    def day(self, index: int) -> date:
        return self.first_day + timedelta(days=int(index))


def first_check_in(tables: Tables) -> date:
    """The first day with a check-in: where the history of bookings begins."""
    first = tables["fact_booking_daily"].check_in_date.min().to_pyarrow().as_py()
    if first is None:
        raise CannotLearn("fact_booking_daily has no day with a check-in yet: there is no demand to learn from")
    return first


def read_market(tables: Tables, moment: datetime, origins: list[date]) -> Market:
    """Read what was known at a moment, with the features of every property listed at each of the origins."""
    daily = tables["fact_booking_daily"].select("property_id", "check_in_date", "booking_count")
    booked = frame(daily.filter(daily.check_in_date < ibis.date(moment.date())), "property_id", "check_in_date")
    if booked.empty:
        raise CannotLearn(f"nobody had checked in before {moment:%Y-%m-%d}: there is no demand to learn from")
    first_day = booked["check_in_date"].min().date()
    days = (moment.date() - first_day).days
    versions_known = tables["dim_property"].filter(ibis._.effective_from < moment)
    properties = versions_known.group_by("property_id", "destination_id").agg(created_at=ibis._.created_at.min())
    properties = frame(properties, "property_id", "destination_id").drop_duplicates("property_id")
    ids = properties["property_id"].to_numpy()
    known = booked[booked["property_id"].isin(ids)]
    check_ins = np.zeros((len(ids), days))
    check_ins[np.searchsorted(ids, known["property_id"]), days_since(first_day, known["check_in_date"])] = known[
        "booking_count"
    ]
    listed = np.arange(days) >= days_since(first_day, properties["created_at"])[:, None]
    calendar = tables["dim_date"].filter(ibis._.date >= ibis.date(first_day))
    calendar = calendar.select("country", "date", is_holiday=ibis._.is_holiday.cast("float64"))
    return Market(
        first_day=first_day,
        ids=ids,
        destination_ids=properties["destination_id"].to_numpy(),
        check_ins=check_ins,
        properties=Rates.of(check_ins, listed, np.arange(len(ids))),
        destinations=Rates.of(check_ins, listed, pd.factorize(properties["destination_id"])[0]),
        states=_states(tables["fact_booking_history"], moment, first_day, ids),
        listed=_listed(tables, origins),
        holidays=frame(calendar, "country", "date").pivot(index="country", columns="date", values="is_holiday"),
    )


def _states(history: Table, moment: datetime, first_day: date, ids: np.ndarray) -> pd.DataFrame:
    rows = versions(history.filter(history.known_at < moment))
    rows = rows.select("booking_id", "property_id", "check_in_date", "known_at", "known_until")
    states = frame(rows, "booking_id", "known_at")
    states = states[states["property_id"].isin(ids)]
    return pd.DataFrame(
        {
            "property": np.searchsorted(ids, states["property_id"]),
            "day": days_since(first_day, states["check_in_date"]),
            # Known at the first midnight after it began, and until the last one before the next state began.
            "since": days_since(first_day, states["known_at"]) + 1,
            "until": days_since(first_day, states["known_until"].fillna(pd.Timestamp(moment))),
        }
    )


def _listed(tables: Tables, origins: list[date]) -> pd.DataFrame:
    """One row per origin and property listed at it: its features as they were available at the origin."""
    moments = pd.DataFrame({"moment": [midnight(origin) for origin in origins]})
    features = tables["property_features"]
    # Every listed property has a row for every day, available at the midnight that ends it.
    rows = features.filter(features.available_at.isin(moments["moment"].tolist()))
    rows = frame(rows.select("property_id", *PROPERTY, *HISTORICAL, moment=rows.available_at), "moment", "property_id")
    engagement = _engagement(tables["engagement_features"], moments)
    prices = _usual_prices(tables["dim_property"], moments["moment"])
    rows = rows.merge(engagement, on=["property_id", "moment"], how="left")
    rows = rows.merge(prices, on=["property_id", "moment"], how="left")
    numbers = [name for name in (*PROPERTY, *HISTORICAL, *ENGAGEMENT) if name not in CATEGORIES]
    return rows.astype(dict.fromkeys(numbers, "float64"))


def _engagement(features: Table, moments: pd.DataFrame) -> pd.DataFrame:
    """property_id, moment, ENGAGEMENT: of the latest row available at each moment, if it is not outlived.

    The point-in-time join gives the same, but reads all rows around all moments in order, which takes longer than all
    other reading together.
    """
    moments = ibis.memtable(moments)
    features = features.join(
        moments,
        (features.available_at <= moments.moment)
        & (features.available_at >= moments.moment - ibis.interval(ENGAGEMENT_LIFE)),
    )
    # The row as a whole: the latest value of each column alone would skip the nulls of the latest row.
    latest = ibis.struct({name: features[name] for name in ENGAGEMENT}).argmax(features.available_at)
    latest = features.group_by("property_id", "moment").agg(latest=latest)
    return frame(
        latest.select("property_id", "moment", **{name: latest.latest[name] for name in ENGAGEMENT}),
        "property_id",
        "moment",
    )


def _usual_prices(dim_property: Table, moments: pd.Series) -> pd.DataFrame:
    """property_id, moment, usual_price: the mean listed price of the 364 days before the moment."""
    prices = dim_property.filter((dim_property.effective_from < moments.max()) & dim_property.base_price.notnull())
    prices = prices.select("property_id", "base_price", "effective_from", "effective_to")
    prices = frame(prices, "property_id", "effective_from")
    found = []
    for moment in moments:
        # When a price ended may not be known yet, but that it held until the moment is.
        end = prices["effective_to"].fillna(moment).clip(upper=moment)
        begin = prices["effective_from"].clip(lower=moment - pd.Timedelta(LAST_YEAR, "D"))
        held = ((end - begin) / pd.Timedelta(1, "D")).clip(lower=0)
        sums = pd.DataFrame({"price": prices["base_price"] * held, "held": held}).groupby(prices["property_id"]).sum()
        usual = (sums["price"] / sums["held"]).rename("usual_price")
        found.append(usual.reset_index().assign(moment=moment))
    return pd.concat(found, ignore_index=True)


def cells(market: Market, origin: date, share: float = 1.0) -> pd.DataFrame:
    """The grid of an origin: CELL_KEY, destination_id, KNOWN, `bookings` and `weight` of every listed property and day.

    `bookings` is NaN on days that are not over. With a share below 1, of the cells to which no booking came after the
    origin only that share is there, drawn at random, each weighing 1 / share: weighted sums stay what they are, and
    little is lost, as most cells are such.
    """
    listed = market.listed[market.listed["moment"] == pd.Timestamp(origin)].reset_index(drop=True)
    at = market.index(origin)
    horizons = np.arange(1, HORIZON_DAYS + 1)
    who, horizon = np.meshgrid(np.arange(len(listed)), horizons, indexing="ij")
    property_ = np.searchsorted(market.ids, listed["property_id"])[who]
    day = at + horizon - 1
    booked = _on_the_books(market, at)
    known = day < market.days
    bookings = np.where(known, market.check_ins[property_, np.where(known, day, 0)], np.nan)
    weight = np.where(bookings > booked[property_, horizon - 1], 1.0, 1.0 / share)
    chosen = (weight == 1.0) | (np.random.default_rng(origin.toordinal()).random(who.shape) < share)
    who, horizon, property_, day = who[chosen], horizon[chosen], property_[chosen], day[chosen]
    ds = pd.Timestamp(market.first_day) + pd.to_timedelta(day, unit="D")
    rows = listed.iloc[who].reset_index(drop=True)
    rows = rows.assign(
        origin=pd.Timestamp(origin),
        ds=ds,
        horizon_days=horizon.astype(float),
        destination_id=market.destination_ids[property_],
        day_of_week=ds.dayofweek.astype(float),
        month=ds.month.astype(float),
        is_weekend=(ds.dayofweek >= 5).astype(float),
        is_holiday=_is_holiday(market, listed["country"].to_numpy()[who], ds),
        on_the_books=booked[property_, horizon - 1],
        booked_ahead=booked.mean(axis=1)[property_],
        **_recent(market, at, property_, day),
        bookings=bookings[chosen],
        weight=weight[chosen],
    )
    others = [name for name in KNOWN if name not in CELL_KEY]
    return rows[[*CELL_KEY, "destination_id", *others, "bookings", "weight"]]


def _on_the_books(market: Market, at: int) -> np.ndarray:
    """[properties, HORIZON_DAYS] bookings known at the origin for each of the days after it, cancelled or not."""
    states = market.states
    held = states[(states["since"] <= at) & (states["until"] >= at)]
    ahead = held["day"].to_numpy() - at
    inside = (ahead >= 0) & (ahead < HORIZON_DAYS)
    books = np.zeros((len(market.ids), HORIZON_DAYS))
    np.add.at(books, (held["property"].to_numpy()[inside], ahead[inside]), 1)
    return books


def _recent(market: Market, at: int, property_: np.ndarray, day: np.ndarray) -> dict[str, np.ndarray]:
    """Bookings per listed day, by check-in date: the property's, its destination's, and a year ago."""
    last_year = day - LAST_YEAR
    season = market.destinations.mean(property_, np.maximum(last_year - SEASON_DAYS, 0), last_year + SEASON_DAYS + 1)
    return {
        **{f"check_ins_{days}d": market.properties.mean(property_, max(at - days, 0), at) for days in RECENT_DAYS},
        "destination_check_ins_28d": market.destinations.mean(property_, max(at - 28, 0), at),
        "destination_season": np.where(last_year >= SEASON_DAYS, season, np.nan),
    }


def _is_holiday(market: Market, country: np.ndarray, ds: pd.DatetimeIndex) -> np.ndarray:
    """1 or 0 for each country and day; NaN where the holidays of the country are not known."""
    there, then = market.holidays.index.get_indexer(country), market.holidays.columns.get_indexer(ds)
    return np.where((there >= 0) & (then >= 0), market.holidays.to_numpy()[there, then], np.nan)


def _running_sums(days: np.ndarray, group: np.ndarray) -> np.ndarray:
    """[groups, days + 1] sums over the properties of a group and all days before each."""
    together = np.argsort(group, kind="stable")
    first = np.searchsorted(group[together], np.arange(group.max() + 1))
    sums = np.add.reduceat(days[together].astype(float), first, axis=0)
    return np.pad(sums.cumsum(axis=1), ((0, 0), (1, 0)))
