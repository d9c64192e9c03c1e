"""Spans of time are half open, and the first is open to the past."""

import ibis
import pytest

from wanderbricks_assets.window import Window, add_days, midnight
from wanderbricks_assets_tests.marketplace import at, day

TWO_DAYS = Window.of_days(day("2024-02-28"), day("2024-02-29"))
MOMENTS = ["2024-02-27 23:59:59.999999", "2024-02-28 00:00:00", "2024-02-29 23:59:59.999999", "2024-03-01 00:00:00"]


def inside(window: Window, type_: str) -> list[bool]:
    values = ibis.memtable({"n": range(4), "moment": [at(moment) for moment in MOMENTS]})
    values = values.mutate(moment=values.moment.cast(type_))
    rows = values.select("n", found=window.contains(values.moment)).order_by("n")
    return rows.to_pyarrow()["found"].to_pylist()


def test_days_are_included_from_the_first_to_the_last():
    assert (TWO_DAYS.start, TWO_DAYS.end) == (at("2024-02-28 00:00"), at("2024-03-01 00:00"))
    assert (TWO_DAYS.first_day, TWO_DAYS.last_day) == (day("2024-02-28"), day("2024-02-29"))
    assert TWO_DAYS.opens is False


@pytest.mark.parametrize("type_", ["timestamp", "date"])
def test_a_window_contains_its_start_and_not_its_end(type_: str):
    assert inside(TWO_DAYS, type_) == [False, True, True, False]


@pytest.mark.parametrize("type_", ["timestamp", "date"])
def test_a_window_that_opens_contains_all_before_its_end(type_: str):
    assert inside(Window.of_days(day("2024-02-29"), day("2024-02-29"), opens=True), type_) == [True, True, True, False]


def test_an_hour_belongs_to_its_day():
    last_hour = Window(at("2024-02-29 23:00"), at("2024-03-01 00:00"))
    assert (last_hour.first_day, last_hour.last_day) == (day("2024-02-29"), day("2024-02-29"))
    assert inside(last_hour, "timestamp") == [False, False, True, False]


def test_a_window_reaches_back_without_moving_its_end():
    assert TWO_DAYS.back(days=28, hours=1) == Window(at("2024-01-30 23:00"), at("2024-03-01 00:00"))
    opening = Window.of_days(day("2024-01-01"), day("2024-01-01"), opens=True)
    assert opening.back(hours=168).opens is True


def test_days_are_added_to_a_date_over_the_end_of_a_month_and_backwards():
    rows = ibis.memtable({"day": [day("2024-02-28")] * 3, "days": [0, 2, -28]})
    rows = rows.mutate(by_column=add_days(rows.day, rows.days), fixed=add_days(rows.day, 366))
    assert rows.by_column.type().is_date()
    found = rows.order_by(ibis.desc("days")).to_pyarrow()
    assert found["by_column"].to_pylist() == [day("2024-03-01"), day("2024-02-28"), day("2024-01-31")]
    assert set(found["fixed"].to_pylist()) == {day("2025-02-28")}


def test_midnight_is_the_first_moment_of_a_day():
    assert midnight(day("2024-02-29")) == at("2024-02-29 00:00:00")
