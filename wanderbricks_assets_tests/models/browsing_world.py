"""A small marketplace whose visitors book more when it is cheap, well rated, and seen on a desktop."""

from datetime import datetime, timedelta

import ibis
import numpy as np
import pandas as pd

from wanderbricks_assets.contracts.contract import Contract
from wanderbricks_assets.contracts.source import PAGE_VIEWS
from wanderbricks_assets.contracts.tables import LAKE

CUTOFF = datetime(2024, 8, 5)
FIRST = CUTOFF - timedelta(weeks=30)
LAST = CUTOFF + timedelta(weeks=2)
PROPERTIES, USERS, VIEWS = 40, 1500, 16_000


def table(contract: Contract, frame: pd.DataFrame) -> ibis.Table:
    """The frame as that table; columns it does not name are null."""
    missing = {name: None for name in contract.schema.names if name not in frame}
    return contract.conform(ibis.memtable(frame.assign(**missing), schema=_loose(contract, frame, missing)))


def _loose(contract: Contract, frame: pd.DataFrame, missing: dict[str, None]) -> ibis.Schema:
    return ibis.schema({name: contract.schema[name] for name in [*frame.columns, *missing]})


def browsing_world(seed: int = 0) -> dict[str, pd.DataFrame]:
    """Frames by table name, from FIRST until some time after CUTOFF."""
    rng = np.random.default_rng(seed)
    price = rng.lognormal(5, 0.4, PROPERTIES).round(2)
    rating = rng.uniform(2, 5, PROPERTIES).round(1)
    span = int((LAST - FIRST).total_seconds())
    views = pd.DataFrame(
        {
            "view_id": np.arange(VIEWS) + 1,
            "user_id": rng.integers(1, USERS + 1, VIEWS),
            "property_id": rng.integers(1, PROPERTIES + 1, VIEWS),
            "page_url": "/property",
            "device_type": rng.choice(["mobile", "desktop"], VIEWS),
            "referrer": rng.choice(["google", "direct"], VIEWS),
            "timestamp": FIRST + pd.to_timedelta(np.sort(rng.integers(0, span, VIEWS)), unit="s"),
        }
    )
    home = views["property_id"].to_numpy() - 1
    logit = -2.5 - 2 * np.log(price[home] / price.mean()) + (rating[home] - 3.5)
    logit += np.where(views["device_type"] == "desktop", 0.7, -0.7)
    booked = views[rng.random(VIEWS) < 1 / (1 + np.exp(-logit))]
    made_at = booked["timestamp"] + pd.to_timedelta(rng.integers(60, 6 * 86400, len(booked)), unit="s")
    history = pd.DataFrame(
        {
            "booking_id": np.arange(len(booked)) + 1,
            "known_at": made_at.to_numpy(),
            "created_at": made_at.to_numpy(),
            "user_id": booked["user_id"].to_numpy(),
            "property_id": booked["property_id"].to_numpy(),
            "check_in_date": made_at.dt.normalize().to_numpy() + np.timedelta64(30, "D"),
            "check_out_date": made_at.dt.normalize().to_numpy() + np.timedelta64(33, "D"),
            "nights_booked": 3,
            "guests_count": 2,
            "total_amount": 300.0,
            "status": "confirmed",
        }
    )
    days = pd.date_range(FIRST - timedelta(days=20), LAST)
    listed = pd.MultiIndex.from_product([np.arange(PROPERTIES) + 1, days], names=["property_id", "feature_date"])
    listed = listed.to_frame(index=False)
    at = listed["property_id"].to_numpy() - 1
    listed = listed.assign(
        property_type="Urban Year-Round",
        bedrooms=2,
        base_price=price[at],
        max_guests=4,
        country="France",
        destination=np.where(at % 2, "Paris", "Nice"),
        bookings_ma_7d=0.1,
        occupancy_30d=0.5,
        rating=rating[at],
        photos_count=3,
        competitor_price=price.mean(),
        available_at=listed["feature_date"] + timedelta(days=1),
    )
    hours = views.assign(feature_hour=views["timestamp"].dt.floor("h"))
    hours = hours.groupby(["property_id", "feature_hour"], as_index=False).agg(view_count=("view_id", "size"))
    hours = hours.assign(views_7d=5, available_at=hours["feature_hour"] + timedelta(hours=1))
    seen = views.assign(engagement_date=views["timestamp"].dt.normalize())
    seen = seen.groupby(["property_id", "engagement_date"], as_index=False).agg(
        view_count=("view_id", "size"), unique_user_views=("user_id", "nunique")
    )
    customers = history.assign(feature_date=history["created_at"].dt.normalize())
    customers = customers.groupby(["user_id", "feature_date"], as_index=False).agg(
        total_bookings=("booking_id", "size")
    )
    customers = customers.assign(
        total_bookings=customers.groupby("user_id")["total_bookings"].cumsum(),
        days_since_last_booking=0,
        available_at=customers["feature_date"] + timedelta(days=1),
    )
    registered = FIRST - timedelta(weeks=52)
    guests = pd.DataFrame({"user_id": np.arange(USERS) + 1, "country": rng.choice(["France", "Spain"], USERS)})
    guests = guests.assign(is_business=False, created_at=registered, effective_from=registered, is_current=True)
    return {
        "page_views": views,
        "fact_booking_history": history,
        "fact_property_engagement": seen,
        "dim_user": guests,
        "property_features": listed,
        "engagement_features": hours,
        "user_features": customers,
    }


def tables(world: dict[str, pd.DataFrame]) -> dict[str, ibis.Table]:
    contracts = {**LAKE, "page_views": PAGE_VIEWS}
    return {name: table(contracts[name], frame) for name, frame in world.items()}


def with_noise_after(world: dict[str, pd.DataFrame], moment: datetime) -> dict[str, pd.DataFrame]:
    """The world with everything that happened or became known after the moment replaced by something else."""
    rng = np.random.default_rng(99)
    times = {
        "page_views": "timestamp",
        "fact_booking_history": "known_at",
        "fact_property_engagement": "engagement_date",
        "dim_user": "effective_from",
    }
    noisy = {}
    for name, frame in world.items():
        time = times.get(name, "available_at")
        late = frame[time] > moment if time == "available_at" else frame[time] >= moment
        later = frame[late].sample(frac=0.7, random_state=1)
        for column in later.columns:
            if column in ("user_id", "property_id"):
                later[column] = rng.permutation(later[column].to_numpy())
            elif pd.api.types.is_float_dtype(later[column]):
                later[column] = rng.uniform(1, 5, len(later))
        noisy[name] = pd.concat([later, frame[~late]], ignore_index=True)
    return noisy
