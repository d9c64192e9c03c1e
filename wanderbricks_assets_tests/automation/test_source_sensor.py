"""Late data, found in real files beside a real lake: exactly what it touches is materialized again."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wanderbricks_assets.automation.catch_up import catch_up
from wanderbricks_assets.contracts.source import SOURCE
from wanderbricks_assets_tests.automation.clockwork import Clockwork, asked, clockwork
from wanderbricks_assets_tests.marketplace import (
    arrow_of,
    at,
    booking,
    day,
    deliver,
    random_marketplace,
    update,
)

NOW = "2024-01-07 01:10"
BOOKED = booking(5001, "2024-01-02 10:00", check_in="2024-01-05", check_out="2024-01-08")
CANCELLED = update(5002, 5001, "2024-01-04 12:30", status="cancelled") | {
    name: BOOKED[name] for name in ("check_in", "check_out")
}
UP_TO_NOW = ("2024-01-04", "2024-01-06")


def late(clock: Clockwork, table: str, *rows: dict) -> None:
    """Rows that arrive in a file of their own, in the folder of the day on which they happened."""
    on = rows[0][SOURCE[table].time_column].date()
    folder = Path(clock.source.folder) / table / f"date={on}"
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(arrow_of(SOURCE[table], rows), folder / "part-late.parquet")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A home that was materialized up to 2024-01-07 01:00, and predicted the last whole day."""
    folder = tmp_path_factory.mktemp("made")
    tables = random_marketplace(seed=3)
    tables["bookings"] = pa.concat_tables([tables["bookings"], arrow_of(SOURCE["bookings"], [BOOKED])])
    deliver(folder / "source", tables, None, day("2024-01-06"))
    with clockwork(folder) as clock:
        outcome = catch_up(clock.defs, clock.instance, at("2024-01-07 01:00"), show=lambda step: None)
        assert not outcome.broken
        clock.materialized(["revenue_forecast"], "2024-01-06")
    return folder


@pytest.fixture
def clock(made: Path, tmp_path: Path) -> Iterator[Clockwork]:
    folder = shutil.copytree(made, tmp_path / "home")
    with clockwork(folder) as copied:
        yield copied


def followed(clock: Clockwork) -> list[set[tuple]]:
    """What the sensor asks for, stage by stage, until it asks for no more; every run is executed."""
    stages = []
    for _ in range(12):
        found = clock.look("source_sensor", NOW)
        if found.run_requests:
            stages.append({(assets, first, last) for _, assets, first, last in asked(found)})
            clock.execute(found)
        elif "Nothing has changed" in (found.skip_message or ""):
            return stages
    raise AssertionError("the sensor finds no end")


def together(*assets: str) -> frozenset[str]:
    return frozenset(assets)


def test_nothing_is_asked_for_while_nothing_changes(clock: Clockwork):
    assert followed(clock) == []


def test_a_cancellation_three_days_late_touches_its_day_the_booking_the_stay_and_the_features_since(clock: Clockwork):
    late(clock, "booking_updates", CANCELLED)
    first, second = followed(clock)[:2]
    assert first == {(together("fact_booking_history", "quarantine"), "2024-01-04", "2024-01-04")}
    assert second == {
        (together("fact_booking_detail"), "2024-01-02", "2024-01-02"),
        (together("fact_booking_daily"), "2024-01-05", "2024-01-05"),
        (together("property_features", "user_features"), *UP_TO_NOW),
    }
