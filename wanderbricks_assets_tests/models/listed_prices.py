"""A small market with a known elasticity, whose prices partly follow the season that its demand follows."""

from datetime import date, timedelta

import ibis
import numpy as np
import pandas as pd

from wanderbricks_assets.contracts.features import PROPERTY_FEATURES
from wanderbricks_assets.contracts.gold import FACT_BOOKING_HISTORY
from wanderbricks_assets_tests.models.decided_prices import decisions_of

END = date(2024, 6, 3)


def market(
    elasticity: float = -1.6,
    listings: int = 120,
    weeks: int = 104,
    follows_season: float = 0.25,
    whim: float = 0.12,
    bookings_per_week: float = 2.0,
    days_between_changes: int = 70,
    unseen: tuple[float, float] = (0.0, 0.0),
    seed: int = 0,
) -> dict[str, ibis.Table]:
    """property_features, fact_booking_history and price_decisions (nobody decided) of `weeks` weeks before END.

    Prices are set anew every `days_between_changes` or so: by the season of the day, and by `whim` (standard deviation
    of the log). `unseen`: by how much hosts price on, and guests feel, a demand of each listing that no table records
    and that lasts about two months (log points per standard deviation).
    """
    rng = np.random.default_rng(seed)
    days = weeks * 7
    day = np.arange(days)
    season = 0.6 * np.sin(2 * np.pi * (day[:, None] / 365.25 + np.array([0.0, 0.3])))  # [days, destinations]
    place = rng.integers(0, 2, listings)
    kind = rng.integers(0, 2, listings)
    usual = np.exp(rng.normal(5.0, 0.2, listings))
    is_set = rng.random((days, listings)) < 1 / days_between_changes
    is_set[0] = True
    chosen = follows_season * season[:, place] + rng.normal(0, whim, (days, listings))
    if any(unseen):
        hidden = _lasting(rng, days, listings)
        chosen += unseen[0] * hidden
        season_of = season[:, place] + unseen[1] * hidden
    else:
        season_of = season[:, place]
    last_set = np.maximum.accumulate(np.where(is_set, day[:, None], 0), axis=0)
    price = np.round(usual * np.exp(np.take_along_axis(chosen, last_set, axis=0)), 2)
    popularity = rng.gamma(4.0, 0.25, listings)
    rate = bookings_per_week / 7 * popularity * np.exp(season_of) * (price / usual) ** elasticity
    first = END - timedelta(days=days)
    dates = np.array([np.datetime64(first) + np.timedelta64(int(d), "D") for d in day])

    at, who = (index.ravel() for index in np.meshgrid(day, np.arange(listings), indexing="ij"))
    everyone = pd.DataFrame({"at": at, "cell": place[who] * 2 + kind[who], "price": price.ravel()})
    cell = everyone.groupby(["at", "cell"]).price
    others = cell.transform("sum") - everyone.price
    features = pd.DataFrame(
        {
            "property_id": who + 1,
            "feature_date": dates[at],
            "property_type": np.array(["Summer Getaway", "Urban Year-Round"])[kind[who]],
            "destination": np.array(["Here", "There"])[place[who]],
            "bedrooms": 1 + who % 3,
            "max_guests": 2 + 2 * (who % 3),
            "base_price": price.ravel(),
            "rating": 3.5,
            "photos_count": 3,
            "competitor_price": others / (cell.transform("size") - 1),
            "available_at": dates[at].astype("datetime64[us]") + np.timedelta64(1, "D"),
        }
    )
    made = np.repeat(np.arange(days * listings), rng.poisson(rate.ravel()))
    lead, nights = rng.integers(1, 60, len(made)), rng.integers(1, 6, len(made))
    created = dates[at[made]].astype("datetime64[s]") + rng.integers(3600, 80_000, len(made)).astype("timedelta64[s]")
    bookings = pd.DataFrame(
        {
            "booking_id": np.arange(len(made)) + 1,
            "known_at": created,
            "created_at": created,
            "user_id": np.arange(len(made)) + 1,
            "property_id": who[made] + 1,
            "check_in_date": dates[at[made]] + lead.astype("timedelta64[D]"),
            "check_out_date": dates[at[made]] + (lead + nights).astype("timedelta64[D]"),
            "nights_booked": nights,
            "guests_count": 2,
            "total_amount": nights * price.ravel()[made],
            "status": "confirmed",
        }
    )
    tables = {
        "property_features": (PROPERTY_FEATURES, features),
        "fact_booking_history": (FACT_BOOKING_HISTORY, bookings),
    }
    made = {name: _table(contract, rows) for name, (contract, rows) in tables.items()}
    return made | {"price_decisions": decisions_of()}


def _lasting(rng: np.random.Generator, days: int, listings: int, life: float = 60.0) -> np.ndarray:
    """[days, listings] of variance 1, each day drawn to 0 by 1 / life (an autoregressive process)."""
    kept, steps = np.exp(-1 / life), rng.standard_normal((days, listings))
    values = np.zeros((days, listings))
    for day in range(1, days):
        values[day] = kept * values[day - 1] + np.sqrt(1 - kept**2) * steps[day]
    return values


def _table(contract, rows: pd.DataFrame) -> ibis.Table:
    rows = rows.reindex(columns=list(contract.schema.names))
    return contract.conform(ibis.memtable(rows))
