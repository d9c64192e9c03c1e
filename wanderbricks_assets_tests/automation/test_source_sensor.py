"""Late data, found in real files beside a real lake: exactly what it touches is materialized again."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wanderbricks_assets.automation import journal
from wanderbricks_assets.automation.asking import Asking
from wanderbricks_assets.automation.late_data import MOST_RUNS, LateData, _ranges
from wanderbricks_assets.contracts.source import SOURCE
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.window import Window
from wanderbricks_assets_tests.automation.clockwork import Clockwork, asked, clockwork
from wanderbricks_assets_tests.marketplace import (
    arrow_of,
    assert_same,
    at,
    booking,
    day,
    deliver,
    payment,
    random_marketplace,
    review,
    update,
    view,
)
from wanderbricks_assets_tests.whole_pipeline import DAILY, compute_all, rows_of

NOW = "2024-01-07 01:10"
BOOKED = booking(5001, "2024-01-02 10:00", check_in="2024-01-05", check_out="2024-01-08")
CANCELLED = update(5002, 5001, "2024-01-04 12:30", status="cancelled") | {
    name: BOOKED[name] for name in ("check_in", "check_out")
}
HOURS = Window(at("2024-01-01 00:00"), at("2024-01-07 01:00"))
TABLES = random_marketplace(seed=3)
TABLES["bookings"] = pa.concat_tables([TABLES["bookings"], arrow_of(SOURCE["bookings"], [BOOKED])])
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
    deliver(folder / "source", TABLES, None, day("2024-01-06"))
    with clockwork(folder) as clock:
        clock.journal.observe(clock.source)  # as a catch-up does before it reads
        planner, moment = clock.planner(), at("2024-01-07 01:00")
        asking = Asking(planner, moment)
        clock.execute(
            asking.request(plan) for plan in (*planner.gold_and_features(moment), *planner.engagement(moment))
        )
        clock.materialized(["revenue_forecast"], "2024-01-06")
    return folder


@pytest.fixture
def clock(made: Path, tmp_path: Path) -> Iterator[Clockwork]:
    folder = shutil.copytree(made, tmp_path / "home")
    with clockwork(folder) as copied:
        yield copied


def followed(clock: Clockwork, now: str = NOW) -> list[set[tuple]]:
    """What the sensor asks for, stage by stage, until it asks for no more; every run is executed."""
    stages = []
    for _ in range(12):
        found = clock.look("source_sensor", now)
        if found.run_requests:
            stages.append({(assets, first, last) for _, assets, first, last in asked(found)})
            clock.execute(found.run_requests)
        elif "Nothing has changed" in (found.skip_message or ""):
            return stages
    raise AssertionError("the sensor finds no end")


def together(*assets: str) -> frozenset[str]:
    return frozenset(assets)


def test_nothing_is_asked_for_while_nothing_changes(clock: Clockwork):
    assert followed(clock) == []


def test_a_cancellation_three_days_late_touches_its_day_the_booking_the_stay_and_the_features_since(
    clock: Clockwork, tmp_path: Path
):
    late(clock, "booking_updates", CANCELLED)
    assert followed(clock) == [
        {(together("fact_booking_history", "quarantine"), "2024-01-04", "2024-01-04")},
        {
            (together("fact_booking_detail"), "2024-01-02", "2024-01-02"),
            (together("fact_booking_daily"), "2024-01-05", "2024-01-05"),
            (together("property_features", "user_features"), *UP_TO_NOW),
        },
        {(together("revenue_forecast"), "2024-01-06", "2024-01-06")},
    ]
    as_if_in_time = Lake(folder=str(tmp_path / "anew"))
    compute_all(as_if_in_time, clock.source, Window.of_days(day("2024-01-01"), day("2024-01-06"), opens=True), HOURS)
    for name in (*DAILY, "engagement_features"):
        assert_same(rows_of(clock.lake, name), rows_of(as_if_in_time, name))


def found_late(clock: Clockwork) -> set[tuple]:
    """What would be materialized again, in no order."""
    before, newer = clock.journal.read(clock.journal.names()[0]), clock.journal.observe(clock.source)
    found = LateData(clock.planner(), newer.changes_since(before), newer.at, at(NOW))
    return {(planned.assets, planned.first, planned.last) for stage in found.stages() for planned in stage}


def test_what_the_schedules_ask_for_gives_the_rows_of_one_computation(clock: Clockwork, tmp_path: Path):
    deliver(Path(clock.source.folder), TABLES, day("2024-01-07"), day("2024-01-07"))
    clock.execute(clock.tick("engagement_schedule", "2024-01-08 00:05").run_requests)
    clock.execute(clock.tick("gold_and_features_schedule", "2024-01-08 00:20").run_requests)
    details = clock.tick("gold_and_features_schedule", "2024-01-08 00:25")
    assert [assets for _, assets, _, _ in asked(details)] == [{"fact_booking_detail"}]
    clock.execute(details.run_requests)
    followed(clock, "2024-01-08 00:30")  # the first hour of the day had been computed before its events came
    at_once, hours = Lake(folder=str(tmp_path / "anew")), Window(HOURS.start, at("2024-01-08 00:00"))
    compute_all(at_once, clock.source, Window.of_days(day("2024-01-01"), day("2024-01-07"), opens=True), hours)
    for name in (*DAILY, "engagement_features"):
        assert_same(rows_of(clock.lake, name), rows_of(at_once, name))


def test_a_status_told_after_the_stay_began_does_not_touch_the_stay(clock: Clockwork):
    late(clock, "booking_updates", CANCELLED | {"status": "completed", "updated_at": at("2024-01-06 09:00")})
    assert not any("fact_booking_daily" in assets for assets, _, _ in found_late(clock))


def test_a_view_that_comes_late_touches_its_day_and_its_hour_with_the_week_after_it(clock: Clockwork):
    late(clock, "page_views", view(9999, "2024-01-05 03:30"))
    assert found_late(clock) == {
        (("fact_property_engagement", "quarantine"), "2024-01-05", "2024-01-05"),
        (("engagement_features",), "2024-01-05-03:00", "2024-01-07-00:00"),
    }


def test_a_payment_that_comes_late_touches_the_day_on_which_its_booking_was_made_and_the_stay(clock: Clockwork):
    late(clock, "payments", payment(9999, 5001, "2024-01-03 03:30"))
    assert found_late(clock) == {
        (("quarantine",), "2024-01-03", "2024-01-03"),
        (("fact_booking_detail",), "2024-01-02", "2024-01-02"),
        (("fact_booking_daily",), "2024-01-05", "2024-01-05"),
        (("revenue_forecast",), "2024-01-06", "2024-01-06"),
    }


def test_a_booking_that_comes_late_touches_its_day_its_stay_and_its_hours(clock: Clockwork):
    late(clock, "bookings", booking(6001, "2024-01-04 08:15", check_in="2024-01-06", check_out="2024-01-07"))
    assert found_late(clock) == {
        (("fact_booking_history", "fact_property_engagement", "quarantine"), "2024-01-04", "2024-01-04"),
        (("engagement_features",), "2024-01-04-08:00", "2024-01-07-00:00"),
        (("fact_booking_detail",), "2024-01-04", "2024-01-04"),
        (("fact_booking_daily",), "2024-01-06", "2024-01-06"),
        (("property_features", "user_features"), *UP_TO_NOW),
        (("revenue_forecast",), "2024-01-06", "2024-01-06"),
    }


def test_a_review_that_comes_late_touches_its_day_and_the_ratings_since(clock: Clockwork):
    late(clock, "reviews", review(9999, "2024-01-04 12:00", rating=1.0))
    assert found_late(clock) == {
        (("fact_review", "quarantine"), "2024-01-04", "2024-01-04"),
        (("property_features",), *UP_TO_NOW),
    }


def test_rows_of_a_day_that_has_not_been_materialized_are_left_to_the_clock(clock: Clockwork):
    late(clock, "page_views", view(9999, "2024-01-07 03:30"))
    late(clock, "bookings", booking(6001, "2024-01-07 02:15"))
    assert found_late(clock) == set()


def test_dimensions_follow_a_table_without_days(clock: Clockwork):
    file = Path(clock.source.folder) / "hosts.parquet"
    pq.write_table(pq.read_table(file).slice(1), file)
    [[(assets, first, last)]] = map(list, followed(clock))
    assert (first, last) == (None, None)
    assert {"dim_host", "dim_property", "quarantine_without_day"} <= assets
    assert "dim_user" not in assets
    assert len(rows_of(clock.lake, "dim_host")) == 6


def test_a_file_written_again_with_the_same_rows_touches_nothing(clock: Clockwork):
    file = Path(clock.source.folder) / "users.parquet"
    pq.write_table(pq.read_table(file), file, compression="none")
    assert found_late(clock) == set()


def test_a_source_that_nobody_touched_costs_only_a_look_at_its_files(clock: Clockwork, monkeypatch):
    monkeypatch.setattr(journal, "_digests", lambda *_: pytest.fail("a file was read"))
    assert clock.journal.observe(clock.source).name == clock.journal.names()[0]


def test_a_daemon_killed_before_its_cursor_is_stored_asks_for_the_same(clock: Clockwork):
    late(clock, "booking_updates", CANCELLED)
    clock.look("source_sensor", NOW, store=False)
    assert clock.look("source_sensor", NOW).run_requests == []  # it has looked, and stored what is to be done
    killed = clock.look("source_sensor", NOW, store=False)
    again = clock.look("source_sensor", NOW)
    assert [request.run_key for request in killed.run_requests] == [request.run_key for request in again.run_requests]
    assert asked(again) == [
        ("gold_and_features", {"fact_booking_history", "quarantine"}, "2024-01-04", "2024-01-04"),
    ]


def test_data_that_came_while_a_catch_up_ran_is_late_and_what_it_read_is_not(clock: Clockwork):
    late(clock, "page_views", view(9999, "2024-01-05 03:30"))
    clock.journal.observe(clock.source)  # as a catch-up does before it reads
    clock.materialized(["fact_property_engagement", "quarantine"], "2024-01-05")
    clock.materialized(["engagement_features"], "2024-01-05-03:00", "2024-01-07-00:00")
    late(clock, "page_views", view(9998, "2024-01-06 20:30"))
    days = [{day for assets, day, _ in stage if "quarantine" in assets} for stage in followed(clock)]
    assert days == [{"2024-01-06"}]


def test_many_scattered_days_are_joined_where_they_are_nearest():
    days = [f"2024-01-{number:02}" for number in range(1, 32)]
    assert _ranges(days[::2], days)[0] == ("2024-01-01", "2024-01-13")
    assert len(_ranges(days[::2], days)) == MOST_RUNS
