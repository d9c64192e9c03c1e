"""A marketplace of twelve guests in which every day is like the one before, but for what the story of three weeks
needs, and stand-ins of the models that live in it.

Each day every guest looks at two homes, one by the sea and one in the town, and on the next day books one of them.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from wanderbricks_assets.contracts.source import SOURCE
from wanderbricks_assets.models.model import Interval, Model
from wanderbricks_assets_tests.marketplace import arrow_of, at, booking, listing, payment, update, user, view
from wanderbricks_assets_tests.models.small_models import SMALL_MODELS, SmallModel

FIRST, DAY_0 = at("2024-01-01"), at("2024-01-22")  # Mondays
GUESTS = range(1, 13)
PAIRS = 8  # so that no pair is looked at again within the seven days in which a view may turn into a booking
# The days on whose views homes in the town were booked instead of those by the sea: bookings of the first four of them
# come late, all at once.
IN_TOWN = {3, 4, 5, 6, *range(11, 22)}
COMES_LATE = range(3, 7)


def day(number: int, hour: str = "00:00") -> datetime:
    return at(f"{DAY_0 + timedelta(days=number):%Y-%m-%d} {hour}")


LATE_BOOKINGS = day(11, "15:00")
LATE_UPDATE = day(5, "10:30")  # of a booking that was made on day 1 and cancelled on day 2


def by_the_sea(number: int) -> int:
    return 2 * (number % PAIRS) + 1


def in_town(number: int) -> int:
    return by_the_sea(number) + 1


def _events() -> Iterator[tuple[datetime, str, dict]]:
    """(arrival, table, row)"""
    for number in range((FIRST - DAY_0).days, 21):
        for guest in GUESTS:
            id_ = (number + 100) * 100 + guest
            for which, home in enumerate((by_the_sea(number), in_town(number))):
                seen = day(number, f"{8 + guest // 2:02}:{5 * which:02}")
                yield seen, "page_views", view(2 * id_ + which, str(seen), guest, home)
            made = day(number + 1, f"10:{guest:02}")
            home = in_town(number) if number in IN_TOWN else by_the_sea(number)
            check_in = f"{made + timedelta(days=2):%Y-%m-%d}"
            stay = {"check_in": check_in, "check_out": f"{made + timedelta(days=5):%Y-%m-%d}"}
            row = booking(id_, str(made), user_id=guest, property_id=home, **stay)
            arrives = LATE_BOOKINGS if number in COMES_LATE else made
            yield arrives, "bookings", row
            yield arrives, "payments", payment(id_, id_, str(made))
            if number == 0 and guest == 1:
                cancelled = day(2, "15:00")
                changed = update(1, id_, str(cancelled)) | row | {"booking_update_id": 1, "status": "cancelled"}
                yield LATE_UPDATE, "booking_updates", changed | {"updated_at": cancelled}


class Deliveries:
    """Writes what arrives into the daily folders of a source."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._waiting = sorted(_events(), key=lambda event: event[0])
        self._arrived: dict[tuple[str, str], list[dict]] = {}
        folder.mkdir(parents=True)
        whole = {
            "destinations": [{"destination_id": 1, "destination": "Lisbon", "country": "Portugal"}],
            "users": [user(guest) for guest in GUESTS],
            "properties": [listing(key) for key in range(1, 2 * PAIRS + 1)],
        }
        for name, rows in whole.items():
            pq.write_table(arrow_of(SOURCE[name], rows), folder / f"{name}.parquet")

    def deliver(self, until: datetime) -> None:
        changed = set()
        while self._waiting and self._waiting[0][0] <= until:
            _, table, row = self._waiting.pop(0)
            place = table, f"{row[SOURCE[table].time_column]:%Y-%m-%d}"
            self._arrived.setdefault(place, []).append(row)
            changed.add(place)
        for table, date in sorted(changed):
            file = self.folder / table / f"date={date}" / "part-0.parquet"
            file.parent.mkdir(parents=True, exist_ok=True)
            unfinished = file.with_name(f".{file.name}")
            pq.write_table(arrow_of(SOURCE[table], self._arrived[table, date]), unfinished)
            unfinished.replace(file)


class SeaOrTown(SmallModel):
    """Thinks that guests book what most of them booked lately: after the views of the second to fourth day before the
    cutoff. Its loss falls with the bookings that it has learned from."""

    name = "conversion_predictor"
    reads = ("page_views", "fact_booking_history")
    value = 0.9

    @classmethod
    def training_set(cls, tables, cutoff):
        made = tables["fact_booking_history"].select("booking_id", "property_id", "created_at").distinct()
        return made.to_pandas().sort_values(["created_at", "booking_id"], ignore_index=True).assign(cutoff=cutoff)

    def fit(self, training):
        ago = training.cutoff - training.created_at.dt.normalize()
        lately = training[ago.between(timedelta(days=1), timedelta(days=3))]
        self.mean = float((lately.property_id % 2 == 0).mean() > 0.5) if len(lately) else 0.0
        return self

    @classmethod
    def inputs(cls, tables, moment):
        views = tables["page_views"].to_pandas()
        views = views[views.timestamp >= moment - timedelta(days=1)]
        pairs = views[["user_id", "property_id"]].drop_duplicates().sort_values(["user_id", "property_id"])
        return pairs.astype("int64").reset_index(drop=True)

    def predict_columns(self, inputs):
        town = np.asarray(inputs["property_id"]) % 2 == 0
        return {
            "property_id": inputs["property_id"],
            "user_id": inputs["user_id"],
            "conversion_probability": np.where(town == bool(self.mean), 0.8, 0.2),
            "confidence_interval": [[0.1, 0.9]] * len(town),
            "top_factors": [[{"factor": "a", "impact": 0.1}]] * len(town),
        }

    @classmethod
    def evaluate(cls, tables, cutoff, seed=0):
        loss = 1 / len(cls.training_set(tables, cutoff))
        found = super().evaluate(tables, cutoff, seed)
        return _with(found, losses=pd.Series(loss, index=list("abcdefgh")))


class MissesOnce(SmallModel):
    """Misses its gate when it has seen two weeks of the story."""

    name = "revenue_forecaster"
    value = 0.1
    MISSED: ClassVar[datetime] = day(14)

    @classmethod
    def inputs(cls, tables, moment):
        return pd.DataFrame({"ds": pd.date_range(moment, periods=5), "horizon_days": range(1, 6)})

    @classmethod
    def evaluate(cls, tables, cutoff, seed=0):
        found = super().evaluate(tables, cutoff, seed)
        return _with(found, metric=Interval(0.2, 0.19, 0.21)) if cutoff == cls.MISSED else found


class OfGuests(SmallModel):
    name = "customer_ltv"
    value = 0.1
    reads = ("fact_booking_daily", "dim_user")

    @classmethod
    def inputs(cls, tables, moment):
        return tables["dim_user"].select("user_id").order_by("user_id").to_pandas()


def _with(evaluation, **changes):
    from dataclasses import replace

    return replace(evaluation, **changes)


# One has nothing to learn from and one never keeps its target, from the first day on.
STAND_INS: dict[str, type[Model]] = SMALL_MODELS | {model.name: model for model in (SeaOrTown, MissesOnce, OfGuests)}
