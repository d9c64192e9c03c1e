from datetime import timedelta

import ibis
import numpy as np
import pandas as pd
import pytest

from wanderbricks_assets.models.backtest import backtest, origins_from
from wanderbricks_assets.models.model import CannotLearn
from wanderbricks_assets.models.revenue_evaluation import coverage, evaluation_origins, scores, weekly_forecasts
from wanderbricks_assets.models.revenue_features import read_books
from wanderbricks_assets.models.revenue_forecaster import RevenueForecaster
from wanderbricks_assets.window import midnight
from wanderbricks_assets_tests.models.booked_market import FIRST_DAY, booked_market

CUTOFF = midnight(FIRST_DAY + timedelta(days=600))


@pytest.fixture(scope="module")
def tables() -> dict[str, ibis.Table]:
    return booked_market()


@pytest.fixture(scope="module")
def evaluation(tables):
    return RevenueForecaster.evaluate(tables, CUTOFF)


def test_the_evaluation_beats_the_seasonal_naive_and_names_its_origins(evaluation):
    assert evaluation.metric.value < evaluation.baseline
    assert evaluation.metric.lower <= evaluation.metric.value <= evaluation.metric.upper
    assert len(evaluation.losses) >= 6
    assert evaluation.losses.mean() == pytest.approx(evaluation.metric.value)
    assert {"mape_60", "mape_90", "total_error_30", "coverage_80", "seasonal_naive_mape", "prophet_mape"} <= set(
        evaluation.metrics
    )
    assert all(np.isfinite(value) for value in evaluation.metrics.values())


def test_slices_show_where_the_forecast_is_worst_first(evaluation):
    found = evaluation.slices
    assert list(found.columns) == ["slice", "value", "rows", "metric"]
    assert found.metric.is_monotonic_decreasing
    assert set(found["slice"]) == {"horizon", "weekday", "month"}
    assert {"1 to 7 days", "61 to 90 days", "Sunday"} <= set(found.value)
    weekdays = found[found["slice"] == "weekday"]
    assert weekdays.rows.sum() == len(evaluation.rows)
    error = (evaluation.rows.predicted / evaluation.rows.actual - 1).abs()
    assert np.average(weekdays.metric, weights=weekdays.rows) == pytest.approx(error.mean())


def test_intervals_must_cover_their_share_in_every_band_of_the_horizon(evaluation):
    assert evaluation.calibration.holds
    right = evaluation.rows.assign(fitted_at=evaluation.rows["origin"])
    narrow = right.assign(lower=right.predicted * 0.999, upper=right.predicted * 1.001)
    far = right["horizon_days"] > 60
    for rows, where in ((narrow, "to day 7 (too far off)"), (right.where(~far, narrow), "90 (too far off)")):
        calibration, _ = coverage(rows)
        assert not calibration.holds
        assert where in calibration.statement


def test_the_intervals_of_every_week_count_each_of_the_model_fitted_last_before_it(tables, evaluation):
    books = read_books(tables, CUTOFF)
    origins = evaluation_origins(books)
    models = {origin: RevenueForecaster._fitted_at(books, [origin], seed=0)[origin] for origin in origins[-2:]}
    weekly = weekly_forecasts(books, models)
    begun = [books.index(day.date()) for day in weekly.origin.drop_duplicates()]
    assert begun == [origins[-2] + 7 * week for week in range(8)]
    assert list(weekly.drop_duplicates("origin").fitted_at) == [origins[-2]] * 4 + [origins[-1]] * 4
    assert weekly.ds.max() < pd.Timestamp(books.day(books.days)), "what is not realized says nothing"
    # On the day of a fit it is the forecast that the error is measured on.
    one = weekly[weekly.origin == pd.Timestamp(books.day(origins[-1]))].reset_index(drop=True)
    other = evaluation.rows[evaluation.rows.origin == one.origin[0]].reset_index(drop=True)
    pd.testing.assert_frame_equal(one[["ds", "lower", "upper"]], other[["ds", "lower", "upper"]])


def test_days_that_are_surely_closed_are_counted_and_may_be_covered_more_often():
    day = np.arange(1, 91)
    rows = pd.concat(
        pd.DataFrame({"fitted_at": number, "horizon_days": day, "day": day + number}) for number in range(6)
    )
    closed = (rows["day"] % 2 == 0).to_numpy()
    rows = rows.assign(
        actual=np.where(closed, 0.0, 100.0),
        lower=np.where(closed, 0.0, 50.0),
        upper=np.where(closed, 0.0, np.where(rows["day"] % 10 == 1, 60.0, 150.0)),
        stated_coverage=np.where(closed, 1.0, 0.8),
    )
    calibration, shares = coverage(rows)
    assert calibration.holds
    assert shares["coverage_80"] == pytest.approx(0.9)
    assert not coverage(rows.assign(stated_coverage=0.8))[0].holds
    assert not coverage(rows.assign(lower=np.where(closed, 1.0, 50.0)))[0].holds, "an interval that leaves out 0"


def test_next_weeks_evaluation_shares_its_origins_with_this_one(tables, evaluation):
    earlier = evaluation_origins(read_books(tables, CUTOFF - timedelta(days=7)))
    books = read_books(tables, CUTOFF)
    assert len({*earlier} & {*evaluation_origins(books)}) >= len(earlier) - 1


def test_a_market_of_less_than_a_year_is_evaluated_against_its_last_weeks(tables):
    books = read_books(tables, midnight(FIRST_DAY + timedelta(days=345)))
    origins = evaluation_origins(books)
    assert len(origins) >= 6
    assert set(np.diff(origins)) == {14}
    assert origins[0] >= 224
    assert origins[-1] + 30 <= books.days
    evaluation = RevenueForecaster.evaluate(tables, midnight(FIRST_DAY + timedelta(days=345)))
    assert np.isfinite([evaluation.metric.value, evaluation.metric.upper, evaluation.baseline]).all()
    assert evaluation.metrics["baseline_from_last_four_weeks"] == 1
    day = evaluation.rows.iloc[9]
    weeks = [books.index(day.origin.date()) + 9 % 7 - 7 * week for week in range(1, 5)]
    assert day.seasonal_naive == pytest.approx(books.revenue[weeks].mean())


def test_few_or_unlike_fits_do_not_excuse_an_interval_that_covers_too_little():
    def origin(number: int, covered: bool) -> pd.DataFrame:
        rows = pd.DataFrame({"fitted_at": number, "horizon_days": range(1, 91), "actual": 100.0, "lower": 50.0})
        rows["stated_coverage"] = 0.8
        # Four of five days where the interval is right, or none.
        is_inside = covered & ((rows["horizon_days"] + number) % 5 > 0)
        return rows.assign(upper=np.where(is_inside, 150.0, 60.0))

    def holds(*covered: bool) -> bool:
        return coverage(pd.concat(origin(number, right) for number, right in enumerate(covered)))[0].holds

    assert holds(*[True] * 6)
    assert not holds(*[True, False] * 3), "half covered and half not is half covered"
    assert not holds(False)
    assert not holds(True), "one fit shows nothing"
    near = pd.concat(origin(number, covered=True) for number in range(6)).query("horizon_days <= 60")
    assert not coverage(near)[0].holds, "a band that nothing was forecast for shows nothing"


def test_mape_is_the_mean_over_origins_of_days_with_revenue():
    rows = pd.DataFrame(
        {
            "origin": np.repeat(pd.to_datetime(["2024-01-01", "2024-02-01"]), 30),
            "horizon_days": [*range(1, 31)] * 2,
            "actual": [100.0] * 29 + [0.0] + [200.0] * 30,
        }
    )
    rows["predicted"] = np.where(rows.origin == rows.origin.min(), 110.0, 150.0)
    rows = rows.assign(seasonal_naive=rows.actual, prophet=0.0, pickup=rows.actual)
    table = scores(rows).set_index(["method", "metric", "horizon"])["value"]
    assert table["revenue_forecaster", "mape", 30] == pytest.approx((0.10 + 0.25) / 2)
    assert table["revenue_forecaster", "total_error", 30] == pytest.approx((abs(3300 / 2900 - 1) + 0.25) / 2)
    assert table["prophet", "mape", 30] == 1
    assert np.isnan(table["prophet", "mape", 60]), "an origin without 60 realized days says nothing about 60 days"


def test_a_backtest_scores_the_methods_at_the_origins_asked_for(tables):
    found = backtest(RevenueForecaster, tables, origins_from(FIRST_DAY + timedelta(days=500), "month", 2))
    assert list(found.columns) == ["method", "horizon", "metric", "value", "lower", "upper"]
    month = found[found.horizon == 30]
    assert (month.lower < month.value).all()
    assert (month.value < month.upper).all()
    assert set(found.method) == {"revenue_forecaster", "seasonal_naive", "prophet", "pickup"}
    assert set(found.horizon) == {30, 60, 90}
    assert set(found.metric) == {"mape", "total_error"}
    with pytest.raises(CannotLearn, match="days of known revenue before it"):
        backtest(RevenueForecaster, tables, [FIRST_DAY])


def test_the_figure_shows_an_evaluation(evaluation, tmp_path):
    RevenueForecaster.figure(evaluation).savefig(tmp_path / "figure.png", dpi=60)
    assert 2_000 < (tmp_path / "figure.png").stat().st_size < 100_000
