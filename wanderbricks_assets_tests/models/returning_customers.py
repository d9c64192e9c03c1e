"""A small marketplace whose customers look and book at their own rate until they leave for good."""

from datetime import datetime, timedelta

import ibis
import numpy as np
import pandas as pd

from wanderbricks_assets.contracts.features import USER_FEATURES
from wanderbricks_assets.contracts.gold import DIM_USER, FACT_BOOKING_HISTORY
from wanderbricks_assets.contracts.source import PAGE_VIEWS
from wanderbricks_assets.features.user_features import user_features
from wanderbricks_assets.window import Window

CUTOFF = datetime(2024, 6, 3)
FIRST = CUTOFF - timedelta(days=1096)
LAST = CUTOFF + timedelta(days=60)
USERS = 2500


def returning_customers(seed: int = 0) -> dict[str, pd.DataFrame]:
    """Frames by table name, from FIRST until LAST: three years before CUTOFF and some time after it."""
    rng = np.random.default_rng(seed)
    days = (LAST - FIRST).days
    born = rng.uniform(0, days, USERS)
    leaves = born + rng.exponential(500, USERS)
    rate = rng.gamma(1.5, 1.5 / 365, USERS)
    value = rng.lognormal(6, 0.4, USERS)
    count = rng.poisson(rate * np.clip(np.minimum(leaves, days) - born, 0, None))
    user = np.repeat(np.arange(USERS), count)
    at = born[user] + rng.random(len(user)) * (np.minimum(leaves, days) - born)[user]
    created = pd.Series(FIRST + pd.to_timedelta((at * 86400).astype(int), unit="s"))
    bookings = pd.DataFrame(
        {
            "booking_id": np.arange(len(user)) + 1,
            "known_at": created,
            "created_at": created,
            "user_id": user + 1,
            "property_id": 1,
            "check_in_date": created.dt.normalize() + timedelta(days=20),
            "check_out_date": created.dt.normalize() + timedelta(days=23),
            "nights_booked": 3,
            "guests_count": 2,
            "total_amount": (value[user] * rng.lognormal(0, 0.5, len(user))).round(2),
            "status": "confirmed",
        }
    )
    lost = bookings[rng.random(len(bookings)) < 0.2]
    lost = lost.assign(status="cancelled", known_at=lost["created_at"] + timedelta(days=10))
    history = pd.concat([bookings, lost], ignore_index=True)
    users = pd.DataFrame({"user_id": np.arange(USERS) + 1, "country": rng.choice(["France", "Spain"], USERS)})
    registered = FIRST + pd.to_timedelta(born.astype(int), unit="D")
    users = users.assign(is_business=False, created_at=registered, effective_from=registered, is_current=True)
    looks = rng.poisson(rate * np.clip(np.minimum(leaves, days) - born, 0, None))
    user = np.repeat(np.arange(USERS), looks)
    at = born[user] + rng.random(len(user)) * (np.minimum(leaves, days) - born)[user]
    views = pd.DataFrame({"view_id": np.arange(len(user)) + 1, "user_id": user + 1, "property_id": 1})
    views = views.assign(
        page_url="/",
        device_type="mobile",
        referrer="",
        timestamp=FIRST + pd.to_timedelta((at * 86400).astype(int), "s"),
    )
    return {"fact_booking_history": history, "user_features": _features(history, users), "page_views": views}


def tables(frames: dict[str, pd.DataFrame]) -> dict[str, ibis.Table]:
    contracts = (FACT_BOOKING_HISTORY, USER_FEATURES, PAGE_VIEWS)
    return {
        contract.name: ibis.memtable(frames[contract.name], schema=contract.schema)
        for contract in contracts
        if contract.name in frames
    }


def with_noise_after(frames: dict[str, pd.DataFrame], moment: datetime) -> dict[str, pd.DataFrame]:
    """The same frames with everything that became known after the moment replaced by something else."""
    rng = np.random.default_rng(7)
    noisy = {}
    for name, frame in frames.items():
        time = next(name for name in ("known_at", "available_at", "timestamp") if name in frame)
        late = frame[time] > moment if time == "available_at" else frame[time] >= moment
        later = frame[late].sample(frac=0.6, random_state=1)
        for column in later.columns:
            if column == "user_id":
                later[column] = rng.permutation(later[column].to_numpy())
            elif pd.api.types.is_float_dtype(later[column]):
                later[column] = rng.uniform(1, 9, len(later))
        noisy[name] = pd.concat([later, frame[~late]], ignore_index=True)
    return noisy


def _features(history: pd.DataFrame, users: pd.DataFrame) -> pd.DataFrame:
    missing = {name: None for name in DIM_USER.schema.names if name not in users}
    given = users.assign(**missing)[list(DIM_USER.schema.names)]
    rows = user_features(
        ibis.memtable(given, schema=DIM_USER.schema),
        ibis.memtable(history[list(FACT_BOOKING_HISTORY.schema.names)], schema=FACT_BOOKING_HISTORY.schema),
        Window(FIRST, LAST, opens=True),
    )
    return USER_FEATURES.conform(rows).to_pandas()
