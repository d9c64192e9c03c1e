"""A small market with a season, in which bookings come with lead times and some are cancelled."""

from datetime import date, datetime, timedelta

import ibis
import numpy as np
import pandas as pd

from wanderbricks_assets.contracts.features import ENGAGEMENT_FEATURES, PROPERTY_FEATURES
from wanderbricks_assets.contracts.gold import (
    DIM_DATE,
    DIM_DESTINATION,
    DIM_PROPERTY,
    FACT_BOOKING_DAILY,
    FACT_BOOKING_HISTORY,
)
from wanderbricks_assets.contracts.source import PAYMENTS
from wanderbricks_assets.gold.bookings import fact_booking_daily
from wanderbricks_assets.gold.dimensions import dim_date
from wanderbricks_assets.window import Window

FIRST_DAY = date(2022, 1, 1)
PLACES = ("Here", "There")


def booked_market(
    days: int = 620, properties: int = 20, stays_a_day: float = 8.0, seed: int = 0
) -> dict[str, ibis.Table]:
    """The gold and feature tables of `days` days of check-ins from FIRST_DAY on, and of the bookings for later ones."""
    history = booking_history(days, properties, stays_a_day, seed)
    listings = _listings(properties)
    dim_property = ibis.memtable(_versions(listings, days), schema=DIM_PROPERTY.schema)
    payments = ibis.memtable(PAYMENTS.empty())
    window = Window.of_days(FIRST_DAY, FIRST_DAY + timedelta(days=days - 1))
    booked = ibis.memtable(history, schema=FACT_BOOKING_HISTORY.schema)
    calendar = dim_date(FIRST_DAY, FIRST_DAY + timedelta(days=days + 400), [("Portugal", "PT")])
    daily = FACT_BOOKING_DAILY.conform(fact_booking_daily(booked, payments, dim_property, window))
    places = pd.DataFrame({"destination_id": [1, 2], "destination": PLACES, "country": "Portugal"})
    places = places.reindex(columns=[column.name for column in DIM_DESTINATION.columns])
    return {
        "fact_booking_history": booked,
        "fact_booking_daily": ibis.memtable(daily.to_pandas(), schema=daily.schema()),
        "dim_property": dim_property,
        "dim_destination": ibis.memtable(places, schema=DIM_DESTINATION.schema),
        "dim_date": DIM_DATE.conform(calendar),
        "property_features": ibis.memtable(_features(listings, history, days), schema=PROPERTY_FEATURES.schema),
        "engagement_features": ENGAGEMENT_FEATURES.conform(ibis.memtable(ENGAGEMENT_FEATURES.empty())),
    }


def booking_history(days: int, properties: int, stays_a_day: float, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    day = np.arange(-30, days + 60)
    rate = stays_a_day * np.exp(0.4 * np.sin(2 * np.pi * day / 365.25) + 0.3 * (day % 7 >= 5))
    check_in = np.repeat(day, rng.poisson(rate))
    count = len(check_in)
    popularity = rng.gamma(2.0, 1.0, properties)
    listing = rng.choice(properties, count, p=popularity / popularity.sum())
    lead = np.minimum(rng.exponential(25, count), 200)
    amount = np.round(rng.gamma(8.0, 60.0, count), 2)
    start = datetime.combine(FIRST_DAY, datetime.min.time())
    created = pd.Timestamp(start) + pd.to_timedelta((check_in - lead + rng.random(count)).round(5), unit="D").floor("s")
    arrives = pd.Timestamp(start) + pd.to_timedelta(check_in, unit="D")
    made = pd.DataFrame(
        {
            "booking_id": np.arange(count),
            "known_at": created,
            "created_at": created,
            "user_id": np.arange(count),
            "property_id": listing + 1,
            "check_in_date": arrives,
            "check_out_date": arrives + pd.Timedelta(3, "D"),
            "nights_booked": 3,
            "guests_count": 2,
            "total_amount": amount,
            "status": "confirmed",
        }
    )
    made = made[made.created_at < arrives + pd.Timedelta(1, "D")]
    dropped = made[rng.random(len(made)) < 0.15]
    wait = (dropped.check_in_date + pd.Timedelta(1, "D") - dropped.created_at) * rng.random(len(dropped))
    dropped = dropped.assign(known_at=(dropped.created_at + wait).dt.ceil("s"), status="cancelled")
    history = pd.concat([made, dropped], ignore_index=True)
    return history.sort_values(["booking_id", "known_at"], ignore_index=True)


def with_noise_from(tables: dict[str, ibis.Table], cutoff: datetime, seed: int = 1) -> dict[str, ibis.Table]:
    """The same tables, where everything that could not yet be known at the cutoff says something else."""
    rng = np.random.default_rng(seed)
    noisy = {}
    for name, clock in _CLOCKS.items():
        frame = tables[name].to_pandas()
        later = pd.to_datetime(frame[clock]) >= cutoff
        if name == "fact_booking_history":
            frame.loc[later, "status"] = "confirmed"
            frame.loc[later, "check_in_date"] += pd.to_timedelta(rng.integers(0, 60, later.sum()), unit="D")
        if name == "dim_property":
            frame.loc[frame.effective_to >= cutoff, ["effective_to", "is_current"]] = [pd.NaT, True]
        for column in frame.select_dtypes("number").columns.difference(["booking_id", "property_id", "destination_id"]):
            frame.loc[later, column] = rng.integers(1, 1000, later.sum()).astype(frame[column].dtype)
        noisy[name] = ibis.memtable(frame, schema=tables[name].schema())
    return {**tables, **noisy}


_CLOCKS = {
    "fact_booking_history": "known_at",
    "fact_booking_daily": "check_in_date",
    "property_features": "feature_date",
    "dim_property": "effective_from",
}


def _listings(properties: int) -> pd.DataFrame:
    number = np.arange(properties)
    return pd.DataFrame(
        {
            "property_id": number + 1,
            "host_id": 1,
            "destination_id": 1 + number % 2,
            "title": "A place",
            "description": "",
            "base_price": 80.0 + 5 * number,
            "property_type": np.where(number % 3 == 0, "Summer Getaway", "Urban Year-Round"),
            "max_guests": 4,
            "bedrooms": 1 + number % 3,
            "bathrooms": 1,
            "latitude": 38.0 + number % 2,
            "longitude": -9.0,
            "created_at": FIRST_DAY,
        }
    )


def _price_changes(days: int) -> dict[pd.Timestamp, float]:
    """The factors on the first prices: one change half way, and one ten days before the end."""
    return {
        pd.Timestamp(FIRST_DAY) + pd.Timedelta(day, "D"): by for day, by in ((0, 1), (days // 2, 1.2), (days - 10, 0.8))
    }


def _versions(listings: pd.DataFrame, days: int) -> pd.DataFrame:
    begins = [*_price_changes(days).items()]
    ends = [begin for begin, _ in begins[1:]] + [pd.NaT]
    versions = [
        listings.assign(
            base_price=listings.base_price * by, effective_from=begin, effective_to=end, is_current=end is pd.NaT
        )
        for (begin, by), end in zip(begins, ends, strict=True)
    ]
    return pd.concat(versions, ignore_index=True)


def _features(listings: pd.DataFrame, history: pd.DataFrame, days: int) -> pd.DataFrame:
    made = history[history.known_at == history.created_at]
    made = made.groupby(["property_id", made.created_at.dt.normalize()]).size()
    calendar = pd.date_range(FIRST_DAY, periods=days)
    grid = pd.MultiIndex.from_product([listings.property_id, calendar], names=["property_id", "feature_date"])
    rows = made.reindex(grid, fill_value=0).rename("made").reset_index().merge(listings, on="property_id")
    for begin, by in _price_changes(days).items():
        rows.loc[rows.feature_date >= begin, "base_price"] = (80.0 + 5 * (rows.property_id - 1)) * by
    by_property = rows.groupby("property_id").made
    rows["bookings_lag_7d"] = by_property.shift(7, fill_value=0)
    rows["bookings_lag_30d"] = by_property.shift(30, fill_value=0)
    rows["bookings_ma_7d"] = by_property.rolling(7, min_periods=1).sum().droplevel(0) / 7
    rows["destination"] = np.array(PLACES)[rows.destination_id - 1]
    rows = rows.assign(
        country="Portugal", occupancy_30d=0.3, rating=4.0, photos_count=3, competitor_price=120.0,
        available_at=rows.feature_date + pd.Timedelta(1, "D"),
    )  # fmt: skip
    return rows[[column.name for column in PROPERTY_FEATURES.columns]]
