from datetime import timedelta

import pandas as pd
import pytest

from wanderbricks_assets.contracts.tables import LAKE
from wanderbricks_assets.dashboard.queries import revenue
from wanderbricks_assets_tests.dashboard.small_lake import LAST_WEEK, TODAY, day, forecast, stays
from wanderbricks_assets_tests.marketplace import at, table_of


def forecasts(*rows: dict):
    return table_of(LAKE["revenue_forecast"], *rows)


def daily(*rows: dict):
    return table_of(LAKE["fact_booking_daily"], *rows)


def test_the_day_that_is_not_over_follows_the_newest_forecast_or_else_the_newest_check_ins():
    came = daily(stays(day(-1)), stays(day(-9)))
    assert revenue.known_until(forecasts(forecast(TODAY), forecast(LAST_WEEK, LAST_WEEK)), came) == TODAY
    assert revenue.known_until(forecasts(), daily(stays(day(-3)))) == day(-2)
    assert revenue.known_until(forecasts(), daily()) is None


def test_a_forecast_is_that_of_its_day_and_of_no_other():
    made = forecasts(forecast(day(1), pick_up=2.0), forecast(TODAY, pick_up=1.0), forecast(LAST_WEEK, LAST_WEEK))
    found = revenue.forecast_of(made, TODAY)
    assert found["ds"].dt.date.tolist() == [TODAY, day(1)]
    assert found["yhat"].tolist() == [1.0, 2.0]
    assert revenue.forecast_of(made, day(-3)).empty


def test_days_without_a_stay_are_zero_but_days_before_the_first_stay_are_not_known():
    came = daily(stays(day(-4), value=5.0), stays(day(-4), 2, value=2.0), stays(day(-2)), stays(day(0), value=99.0))
    found = revenue.revenue_by_day(came, day(-30), TODAY)
    assert found["ds"].dt.date.tolist() == [day(-4), day(-3), day(-2), day(-1)]
    assert found["revenue"].tolist() == [7.0, 0.0, 100.0, 0.0]
    assert revenue.revenue_by_day(daily(), day(-30), TODAY).empty


def test_the_books_hold_what_is_to_come_and_not_cancelled():
    def booking(number: int, check_in, cancelled: bool = False) -> dict:
        times = {"created_at": at("2024-01-01"), "updated_at": at("2024-01-01")}
        row = {"booking_id": number, "check_in_date": check_in, "total_amount": 10.0 * number}
        return row | times | {"is_cancelled": cancelled}

    rows = [booking(1, day(0)), booking(2, day(0)), booking(3, day(1), True), booking(4, day(-1)), booking(5, day(3))]
    found = revenue.books_by_day(table_of(LAKE["fact_booking_detail"], *rows), TODAY, 3)
    assert found["on_the_books"].tolist() == [30.0, 0.0, 0.0]


def test_totals_compare_with_the_same_weekdays_a_year_before_and_with_nothing_where_that_year_is_not_known():
    now = pd.DataFrame([forecast(day(ahead), on_the_books=2.0, trend=1.0) for ahead in range(90)])
    now["ds"] = pd.to_datetime(now["ds"])
    last_year = pd.date_range(TODAY - revenue.LAST_YEAR, periods=60)
    actual = pd.DataFrame({"ds": last_year, "revenue": 2.0})
    found = revenue.totals(now, actual, TODAY).set_index("days")
    assert found["expected"].to_dict() == {30: 90.0, 60: 180.0, 90: 270.0}
    assert found["on_the_books"].to_dict() == {30: 60.0, 60: 120.0, 90: 180.0}
    assert found["last_year"][30] == 60.0
    assert found["last_year"][60] == 120.0
    assert pd.isna(found["last_year"][90])


def test_what_moved_is_the_change_of_the_parts_on_days_that_both_forecasts_cover():
    now = revenue.forecast_of(forecasts(*(forecast(day(d), on_the_books=5.0, trend=1.0) for d in range(90))), TODAY)
    last = forecasts(*(forecast(day(d - 7), LAST_WEEK, on_the_books=3.0, trend=2.0) for d in range(90)))
    before = revenue.forecast_of(last, LAST_WEEK)
    month = revenue.moved(now, before, 30).set_index("part")["change"]
    assert month.to_dict() == {"on_the_books": 60.0, "trend": -30.0, "season": 0.0, "holiday": 0.0, "pick_up": 0.0}
    assert revenue.moved(now, before, 90)["change"].sum() == 83.0
    assert month.sum() == pytest.approx(now["yhat"].head(30).sum() - before["yhat"].iloc[7:37].sum())


def test_an_earlier_forecast_is_held_against_the_days_that_are_over():
    before = revenue.forecast_of(forecasts(*(forecast(day(d - 7), LAST_WEEK, trend=4.0) for d in range(30))), LAST_WEEK)
    came = revenue.revenue_by_day(daily(*(stays(day(-d), value=5.0) for d in range(1, 20))), day(-30), TODAY)
    assert revenue.since(before, came) == (28.0, 35.0, 7)
    assert LAST_WEEK + timedelta(days=7) == TODAY
