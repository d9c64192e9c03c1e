"""Nothing that happens after a day changes what is said about that day."""

from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pytest

from wanderbricks_assets.contracts.source import SOURCE
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.resources.source import FilesSource
from wanderbricks_assets.window import Window
from wanderbricks_assets_tests.marketplace import (
    LAST,
    arrow_of,
    assert_same,
    at,
    day,
    deliver,
    listing,
    random_marketplace,
    until,
)
from wanderbricks_assets_tests.whole_pipeline import DAILY, compute_all, compute_dimensions, rows_of

DAY = day("2024-01-06")
THEN = at("2024-01-07 00:00")
DAYS = Window.of_days(day("2024-01-01"), day("2024-01-10"), opens=True)
HOURS = Window(at("2024-01-01"), at("2024-01-11"))


def with_another_future(tables: dict[str, pa.Table], moment: datetime) -> dict[str, pa.Table]:
    """What came before the moment stays; after it comes what happened in another marketplace.

    That marketplace uses the same numbers, so its changes and payments are of bookings made before the moment.
    """
    past, other = until(tables, moment), random_marketplace(seed=99, bookings=400, events=2000)
    over = until(other, moment)
    mixed = {}
    for name, rows in past.items():
        if SOURCE[name].time_column is not None:
            later = other[name].to_pylist()
            before = over[name].num_rows
            time = SOURCE[name].time_column
            later = [row for row in later if row[time] >= moment]
            assert len(later) + before == other[name].num_rows
            mixed[name] = pa.concat_tables([rows, arrow_of(SOURCE[name], later)])
        else:
            mixed[name] = rows
    images = [{"image_id": key, "property_id": 1, "uploaded_at": moment.date()} for key in range(1000, 1010)]
    images += [row for row in past["property_images"].to_pylist() if not (row["uploaded_at"] or DAY) > DAY]
    mixed["property_images"] = arrow_of(SOURCE["property_images"], images)
    homes = [listing(key, str(moment.date()), base_price=5000.0, host_id=101) for key in range(100, 110)]
    mixed["properties"] = pa.concat_tables([past["properties"], arrow_of(SOURCE["properties"], homes)])
    moved = [row | {"country": "Elsewhere", "is_business": True} for row in past["users"].to_pylist()]
    mixed["users"] = arrow_of(SOURCE["users"], moved)
    return mixed


def computed(folder: Path, past: dict[str, pa.Table], tables: dict[str, pa.Table]) -> Lake:
    """The dimensions as of the day, then everything once all of the tables have come."""
    deliver(folder / "past", past, None, LAST)
    deliver(folder / "source", tables, None, LAST)
    lake, source = Lake(folder=str(folder / "lake")), FilesSource(folder=str(folder / "source"))
    compute_dimensions(lake, FilesSource(folder=str(folder / "past")))
    compute_all(lake, source, DAYS, HOURS)
    return lake


@pytest.fixture(scope="module")
def lakes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, Lake]:
    """The same past with two futures."""
    tables = random_marketplace(seed=9)
    past = until(tables, THEN)
    one = computed(tmp_path_factory.mktemp("one"), past, tables)
    return one, computed(tmp_path_factory.mktemp("other"), past, with_another_future(tables, THEN))


# fact_booking_detail holds the latest state, and so the future of its bookings: models read the history instead.
@pytest.mark.parametrize("name", [*(name for name in DAILY if name != "fact_booking_detail"), "engagement_features"])
def test_another_future_leaves_every_row_up_to_the_day_as_it_was(name: str, lakes: tuple[Lake, Lake]):
    one, other = lakes
    if name == "engagement_features":
        before, after = Window(HOURS.start, THEN), Window(THEN, HOURS.end)
    else:
        before, after = Window.of_days(DAYS.first_day, DAY, opens=True), Window(THEN, DAYS.end)
    rows = rows_of(one, name, before)
    assert len(rows) > (15 if name == "fact_review" else 30)
    assert_same(rows_of(other, name, before), rows)
    assert not rows_of(other, name, after).equals(rows_of(one, name, after))
