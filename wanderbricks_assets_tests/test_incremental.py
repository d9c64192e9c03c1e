"""A backfill and the daily runs give the same rows, bit for bit."""

from datetime import timedelta

import pytest

from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.resources.source import FilesSource
from wanderbricks_assets.window import Window
from wanderbricks_assets_tests.marketplace import (
    assert_same,
    at,
    day,
    deliver,
    random_marketplace,
)
from wanderbricks_assets_tests.whole_pipeline import (
    DAILY,
    compute,
    compute_all,
    compute_dimensions,
    days_of_bookings_touched,
    hours_of,
    rows_of,
)

BEGIN, END = day("2024-01-01"), day("2024-01-05")
ALL_DAYS = Window.of_days(BEGIN, END, opens=True)
HOURS = Window(at("2024-01-04 16:00"), at("2024-01-05 08:00"))


@pytest.fixture(scope="module")
def backfilled(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """All days in one window, features in pieces of it, after everything has come."""
    folder = tmp_path_factory.mktemp("backfilled")
    deliver(folder / "source", random_marketplace(seed=8), None, END)
    lake, source = Lake(folder=str(folder / "lake")), FilesSource(folder=str(folder / "source"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wanderbricks_assets.resources.lake.MOST_ROWS", 20)
        patch.setattr("wanderbricks_assets.resources.lake.FILLED_AT_ONCE", timedelta(hours=1))
        compute_all(lake, source, ALL_DAYS, HOURS)
    return lake


@pytest.fixture(scope="module")
def day_by_day(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Each day when it has come, and the hours of two days one by one."""
    folder = tmp_path_factory.mktemp("day_by_day")
    tables = random_marketplace(seed=8)
    lake, source = Lake(folder=str(folder / "lake")), FilesSource(folder=str(folder / "source"))
    for number in range((END - BEGIN).days + 1):
        today = BEGIN + timedelta(days=number)
        window = Window.of_days(today, today, opens=number == 0)
        deliver(folder / "source", tables, None if number == 0 else today, today)
        compute_dimensions(lake, source)
        for name in DAILY:
            if name == "fact_booking_detail":
                compute(name, lake, source, days_of_bookings_touched(lake, source, window))
            else:
                compute(name, lake, source, window)
        for hour in hours_of(window):
            if HOURS.start <= hour.start < HOURS.end:
                compute("engagement_features", lake, source, hour)
    return lake


@pytest.mark.parametrize("name", [*DAILY, "engagement_features"])
def test_a_backfill_gives_what_the_daily_runs_gave(name: str, backfilled: Lake, day_by_day: Lake):
    rows = rows_of(backfilled, name)
    assert len(rows) > (15 if name == "fact_review" else 30)
    assert_same(rows_of(day_by_day, name), rows)
