from dataclasses import replace
from datetime import date, timedelta

import ibis
import numpy as np
import pandas as pd
import pytest

from wanderbricks_assets.contracts.predictions import MADE_COLUMNS, REVENUE_FORECAST
from wanderbricks_assets.models.backtest import backtest, origins_from
from wanderbricks_assets.models.model import CannotLearn, Model
from wanderbricks_assets.models.revenue_features import HORIZON_DAYS, Books, feature_rows, prophet_forecast, read_books
from wanderbricks_assets.models.revenue_forecaster import RevenueForecaster, predict_revenue, training_rows
from wanderbricks_assets.window import midnight
from wanderbricks_assets_tests.models.booked_market import FIRST_DAY, booked_market, with_noise_from

CUTOFF = midnight(FIRST_DAY + timedelta(days=600))


@pytest.fixture(scope="module")
def tables() -> dict[str, ibis.Table]:
    return booked_market()


@pytest.fixture(scope="module")
def books(tables):
    return read_books(tables, CUTOFF)


@pytest.fixture(scope="module")
def training(books) -> pd.DataFrame:
    return training_rows(books)


@pytest.fixture(scope="module")
def model(training) -> RevenueForecaster:
    return RevenueForecaster(seed=3).fit(training)


@pytest.fixture(scope="module")
def evaluation(tables):
    return RevenueForecaster.evaluate(tables, CUTOFF)


def test_the_books_at_horizon_0_are_the_realized_revenue(books):
    np.testing.assert_allclose(books.value[: books.days, 0], books.revenue, atol=0.01)


def test_the_books_are_what_was_booked_and_not_cancelled_at_each_origin():
    history = pd.DataFrame(
        [
            # Made on 1 March for 10 March, cancelled on 5 March; another one made on 8 March at midnight and kept.
            (1, pd.Timestamp(2024, 3, 1, 9), "confirmed", 100.0),
            (1, pd.Timestamp(2024, 3, 5, 12), "cancelled", 100.0),
            (2, pd.Timestamp(2024, 3, 8), "confirmed", 70.0),
        ],
        columns=["booking_id", "known_at", "status", "total_amount"],
    ).assign(check_in_date=pd.Timestamp("2024-03-10"))
    daily = pd.DataFrame(
        {"check_in_date": pd.to_datetime(["2024-02-01", "2024-03-10"]), "total_booking_value": [1.0, 70.0]}
    )
    calendar = pd.DataFrame({"date": [pd.Timestamp("2024-03-10")] * 3, "is_holiday": [True, False, None]})
    books = read_books(
        {
            "fact_booking_history": ibis.memtable(history),
            "fact_booking_daily": ibis.memtable(daily).mutate(check_in_date=ibis._.check_in_date.date()),
            "dim_date": ibis.memtable(calendar).mutate(
                date=ibis._.date.date(), is_holiday=ibis._.is_holiday.cast(bool)
            ),
        },
        midnight(date(2024, 3, 20)),
    )
    day = books.index(date(2024, 3, 10))

    def on_the_books(origin: date) -> float:
        return books.value[day, (date(2024, 3, 10) - origin).days + 1]

    assert on_the_books(date(2024, 3, 1)) == 0, "a booking of the day is not known at the midnight that begins it"
    assert on_the_books(date(2024, 3, 2)) == 100
    assert on_the_books(date(2024, 3, 5)) == 100
    assert on_the_books(date(2024, 3, 6)) == 0
    assert on_the_books(date(2024, 3, 8)) == 0, "what happens at the origin itself is not known yet"
    assert on_the_books(date(2024, 3, 9)) == 70
    assert books.bookings[day, 2] == 1
    assert books.revenue[day] == 70
    assert books.holiday_share[day] == 0.5, "a country whose holidays nobody knows does not count"


def test_nothing_after_the_cutoff_changes_training_model_or_evaluation(tables, training, model, evaluation):
    noisy = with_noise_from(tables, CUTOFF)
    noisy_training = RevenueForecaster.training_set(noisy, CUTOFF)
    pd.testing.assert_frame_equal(noisy_training, training, check_exact=True)
    expected = model.predict(RevenueForecaster.inputs(tables, CUTOFF))
    found = RevenueForecaster(seed=3).fit(noisy_training).predict(RevenueForecaster.inputs(noisy, CUTOFF))
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    again = RevenueForecaster.evaluate(noisy, CUTOFF)
    pd.testing.assert_frame_equal(again.rows, evaluation.rows, check_exact=True)
    assert again.metric == evaluation.metric


def test_a_row_at_an_origin_is_the_same_when_more_of_its_future_is_known(tables, books):
    origin = books.days - 150
    then = read_books(tables, midnight(books.day(origin)))
    known_then = feature_rows(then, [origin]).drop(columns="revenue")
    pd.testing.assert_frame_equal(feature_rows(books, [origin]).drop(columns="revenue"), known_then, check_exact=True)


def test_the_forecast_keeps_to_its_contract(tables, model):
    forecast = model.predict(RevenueForecaster.inputs(tables, CUTOFF))
    expected = [column.name for column in REVENUE_FORECAST.columns if column.name not in MADE_COLUMNS]
    assert list(forecast.columns) == expected
    assert forecast.notna().all().all()
    assert forecast.horizon_days.tolist() == list(range(1, HORIZON_DAYS + 1))
    assert forecast.ds.iloc[0] == pd.Timestamp(CUTOFF)
    assert (forecast.yhat_lower <= forecast.yhat).all()
    assert (forecast.yhat <= forecast.yhat_upper).all()


def test_the_parts_of_a_forecast_add_up_to_it(tables, books, model):
    inputs = RevenueForecaster.inputs(tables, CUTOFF)
    parts, forecast = model.explain(inputs), model.predict(inputs)
    assert list(parts.columns) == ["ds", "trend", "season", "holiday", "on_the_books", "pick_up"]
    np.testing.assert_allclose(parts.drop(columns="ds").sum(axis=1), forecast.yhat, rtol=1e-12)
    np.testing.assert_array_equal(parts.on_the_books, books.value[books.days + np.arange(90), np.arange(1, 91)])
    assert parts.trend.iloc[80] > parts.trend.iloc[0] > 0, "the further ahead, the more is still to come"
    busy = parts.ds.dt.dayofweek.isin([3, 4])  # Thursdays and Fridays of this market
    assert parts.season[busy].mean() > parts.season[~busy].mean()


def test_a_saved_model_predicts_the_same_to_the_last_bit(tmp_path, tables, model):
    inputs = RevenueForecaster.inputs(tables, CUTOFF)
    model.save(tmp_path)
    pd.testing.assert_frame_equal(
        RevenueForecaster.load(tmp_path).predict(inputs), model.predict(inputs), check_exact=True
    )


def test_same_data_and_seed_give_the_same_model(training, model):
    again = RevenueForecaster(seed=3).fit(training.sample(frac=1, random_state=1))
    assert again.booster.save_raw() == model.booster.save_raw()
    assert (again.spread == model.spread).all()


def test_prophet_forecasts_the_same_when_fitted_again(books):
    first = books.prophet(400)
    prophet_forecast.cache_clear()
    np.testing.assert_array_equal(books.prophet(400), first)


def test_too_little_history_is_said_and_not_learned_from(tables):
    early = midnight(FIRST_DAY + timedelta(days=100))
    with pytest.raises(CannotLearn, match=r"1\d\d days of revenue are known; the forecaster needs at least 224"):
        RevenueForecaster.training_set(tables, early)
    with pytest.raises(CannotLearn, match="5 origins with 224 days before and 30 days after them; 6 are needed"):
        RevenueForecaster.evaluate(tables, midnight(FIRST_DAY + timedelta(days=320)))
    empty = {**tables, "fact_booking_daily": tables["fact_booking_daily"].limit(0)}
    with pytest.raises(CannotLearn, match="no day with a check-in"):
        RevenueForecaster.training_set(empty, CUTOFF)


def test_a_market_that_has_been_shut_lately_has_the_interval_of_the_days_before(training, model):
    lately = training["ds"] >= CUTOFF - timedelta(days=112)
    shut = RevenueForecaster().fit(training.assign(revenue=training["revenue"].where(~lately, 0.0)))
    np.testing.assert_allclose(shut.spread, model.spread, rtol=0.5)
    first_weeks = training["ds"] < training["ds"].min() + timedelta(days=56)
    with pytest.raises(CannotLearn, match="too few days with revenue"):
        RevenueForecaster().fit(training.assign(revenue=training["revenue"].where(first_weeks, 0.0)))


def test_less_than_a_year_of_history_is_enough_to_forecast(tables):
    cutoff = midnight(FIRST_DAY + timedelta(days=240))
    model = RevenueForecaster().fit(RevenueForecaster.training_set(tables, cutoff))
    assert model.predict(RevenueForecaster.inputs(tables, cutoff)).yhat.between(500, 50_000).all()
    assert "last_year_pickup" not in model.booster.feature_names


def closed_on(books: Books, closed: np.ndarray) -> Books:
    """The books if nobody could ever have come on some days: [days + HORIZON_DAYS]."""
    value, bookings = (np.where(closed[:, None], 0, held) for held in (books.value, books.bookings))
    return replace(books, revenue=np.where(closed[: books.days], 0.0, books.revenue), value=value, bookings=bookings)


@pytest.mark.parametrize("when", ["Sundays", "half of all days"])
def test_closed_days_are_forecast_as_closed_and_leave_the_others_as_they_were(books, model, when):
    usual = model.predict(feature_rows(books, [books.days]))
    weekday = np.array([books.day(index).weekday() for index in range(len(books.value))])
    closed = weekday == 6 if when == "Sundays" else np.random.default_rng(0).random(len(weekday)) < 0.5
    quiet = closed_on(books, closed)
    forecast = RevenueForecaster(seed=3).fit(training_rows(quiet)).predict(feature_rows(quiet, [quiet.days]))
    month, is_closed = forecast.head(30), closed[books.days :][:30]
    assert (month.yhat[is_closed] < 0.05 * month.yhat[~is_closed].mean()).all()
    assert (month.yhat_lower[is_closed] == 0).all()
    assert month.yhat[~is_closed].sum() == pytest.approx(usual.yhat.head(30)[~is_closed].sum(), rel=0.1)
    assert (month.yhat_lower[~is_closed] > 0).mean() > 0.8
    assert ((forecast.yhat_lower <= forecast.yhat) & (forecast.yhat <= forecast.yhat_upper)).all()


def test_where_every_day_had_revenue_every_day_is_open_for_sure(books):
    busy = replace(books, revenue=np.maximum(books.revenue, 1.0))
    assert (feature_rows(busy, [100, 250, busy.days])["open_probability"] == 1).all()


def test_a_day_that_may_be_closed_has_an_interval_that_begins_at_0(books, model):
    rows = pd.concat([feature_rows(books, [books.days]).head(1)] * 4, ignore_index=True)
    forecast = model.predict(rows.assign(open_probability=[1.0, 0.95, 0.5, 0.0]))
    open_, likely, half, closed = forecast.itertuples()
    assert half.yhat == pytest.approx(open_.yhat / 2)
    assert (closed.yhat, closed.yhat_lower, closed.yhat_upper) == (0, 0, 0)
    assert 0 == half.yhat_lower < likely.yhat_lower < open_.yhat_lower
    # Of a day that is closed half of the time, the interval ends where 60% of the open days do.
    assert open_.yhat < half.yhat_upper < likely.yhat_upper < open_.yhat_upper


@pytest.mark.parametrize("times", [20, 100])
def test_a_spike_at_the_end_of_history_does_not_carry_the_forecast_away(books, model, times):
    usual = model.predict(feature_rows(books, [books.days])).yhat
    revenue = books.revenue.copy()
    revenue[-1] *= times
    value = books.value.copy()
    value[books.days - 1, 0] = revenue[-1]  # booked on the day itself: all of it is pick-up
    spiked = replace(books, revenue=revenue, value=value)
    forecast = RevenueForecaster(seed=3).fit(training_rows(spiked)).predict(feature_rows(spiked, [books.days])).yhat
    assert forecast.head(30).sum() == pytest.approx(usual.head(30).sum(), rel=0.1)


def test_predict_revenue_answers_for_days_within_its_horizon_only(tables, model):
    first, last = CUTOFF.date() + timedelta(days=3), CUTOFF.date() + timedelta(days=12)
    forecast = predict_revenue(model, tables, CUTOFF, first, last)
    assert list(forecast.columns) == ["ds", "yhat", "yhat_lower", "yhat_upper"]
    assert len(forecast) == 10
    with pytest.raises(ValueError, match="covers"):
        predict_revenue(model, tables, CUTOFF, first, CUTOFF.date() + timedelta(days=90))


def test_a_model_without_a_backtest_says_so():
    class Other(Model):
        name = "other"

    with pytest.raises(NotImplementedError, match="other"):
        backtest(Other, {}, [])


def test_origins_are_a_month_or_a_week_apart():
    assert origins_from(date(2024, 1, 31), "month", 3) == [date(2024, 1, 31), date(2024, 2, 29), date(2024, 3, 31)]
    assert origins_from(date(2024, 1, 1), "week", 2) == [date(2024, 1, 1), date(2024, 1, 8)]
    with pytest.raises(ValueError, match="week"):
        origins_from(date(2024, 1, 1), "day", 2)
