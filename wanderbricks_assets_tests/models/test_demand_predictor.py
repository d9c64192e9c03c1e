from datetime import timedelta
from itertools import pairwise

import ibis
import numpy as np
import pandas as pd
import pytest

from wanderbricks_assets.contracts.features import ENGAGEMENT_FEATURES
from wanderbricks_assets.contracts.predictions import DEMAND_FORECAST, MADE_COLUMNS
from wanderbricks_assets.models.backtest import backtest
from wanderbricks_assets.models.count_boosters import COUNT_BOOSTERS, poisson_deviance
from wanderbricks_assets.models.demand_features import cells, read_market
from wanderbricks_assets.models.demand_predictor import (
    DemandPredictor,
    per_property,
    rmse_destination_day,
    scores,
)
from wanderbricks_assets.models.model import CannotLearn
from wanderbricks_assets.window import midnight
from wanderbricks_assets_tests.models.booked_market import FIRST_DAY, booked_market, with_noise_from

DAYS = 550
CUTOFF = midnight(FIRST_DAY + timedelta(days=DAYS))


@pytest.fixture(scope="module")
def tables() -> dict[str, ibis.Table]:
    # Twenty days more than are known at the cutoff, so that there is something to turn into noise.
    return booked_market(days=DAYS + 20)


@pytest.fixture(scope="module")
def training(tables) -> pd.DataFrame:
    return DemandPredictor.training_set(tables, CUTOFF)


@pytest.fixture(scope="module")
def inputs(tables) -> pd.DataFrame:
    return DemandPredictor.inputs(tables, CUTOFF)


@pytest.fixture(scope="module")
def model(training) -> DemandPredictor:
    return DemandPredictor(seed=3).fit(training)


@pytest.fixture(scope="module")
def evaluation(tables):
    return DemandPredictor.evaluate(tables, CUTOFF)


def test_the_grid_has_every_listed_property_and_day_and_zeros_where_nobody_checked_in(tables):
    origin = FIRST_DAY + timedelta(days=200)
    grid = cells(read_market(tables, CUTOFF, [origin]), origin)
    assert len(grid) == 20 * 30
    daily = tables["fact_booking_daily"].to_pandas()
    daily["check_in_date"] = pd.to_datetime(daily["check_in_date"])
    found = grid.merge(daily, left_on=["property_id", "ds"], right_on=["property_id", "check_in_date"], how="left")
    assert (found["bookings"] == found["booking_count"].fillna(0)).all()
    assert (found["bookings"] == 0).any()
    assert (grid["on_the_books"] <= grid["bookings"]).all(), "no booking of this market moves to another day"
    assert (grid["on_the_books"] < grid["bookings"]).any()


def test_nothing_after_the_cutoff_changes_training_model_or_evaluation(tables, training, inputs, model, evaluation):
    noisy = with_noise_from(tables, CUTOFF)
    noisy_training = DemandPredictor.training_set(noisy, CUTOFF)
    pd.testing.assert_frame_equal(noisy_training, training, check_exact=True)
    noisy_inputs = DemandPredictor.inputs(noisy, CUTOFF)
    pd.testing.assert_frame_equal(noisy_inputs, inputs, check_exact=True)
    found = DemandPredictor(seed=3).fit(noisy_training).predict(noisy_inputs)
    pd.testing.assert_frame_equal(found, model.predict(inputs), check_exact=True)
    pd.testing.assert_frame_equal(DemandPredictor.evaluate(noisy, CUTOFF).rows, evaluation.rows, check_exact=True)


def test_a_cell_at_an_origin_is_the_same_when_more_of_its_future_is_known(tables):
    origin = FIRST_DAY + timedelta(days=400)
    then, later = (cells(read_market(tables, moment, [origin]), origin) for moment in (midnight(origin), CUTOFF))
    pd.testing.assert_frame_equal(later.drop(columns="bookings"), then.drop(columns="bookings"), check_exact=True)
    assert then["bookings"].isna().all()
    assert later["bookings"].notna().all()


def test_the_forecast_keeps_to_its_contract_and_holds_what_is_booked(inputs, model):
    forecast = model.predict(inputs)
    expected = [column.name for column in DEMAND_FORECAST.columns if column.name not in MADE_COLUMNS]
    assert list(forecast.columns) == expected
    assert forecast.notna().all().all()
    assert not forecast.duplicated(["property_id", "ds"]).any()
    assert forecast["horizon_days"].between(1, 30).all()
    assert forecast["ds"].min() == pd.Timestamp(CUTOFF)
    assert (forecast["expected_bookings"] >= inputs["on_the_books"]).all()


def test_forecasts_of_properties_destinations_and_countries_add_up(inputs, model):
    forecast = model.predict(inputs)
    destinations = forecast.groupby(["country", "destination_id", "ds"])["expected_bookings"].sum()
    countries = destinations.groupby(["country", "ds"]).sum()
    assert not forecast.groupby("property_id")[["destination_id", "country"]].nunique().gt(1).any(axis=None)
    np.testing.assert_allclose(countries.sum(), forecast["expected_bookings"].sum(), rtol=1e-12)
    np.testing.assert_allclose(countries, forecast.groupby(["country", "ds"])["expected_bookings"].sum(), rtol=1e-12)


def test_the_better_library_on_later_days_is_kept_and_both_are_recorded(training, model):
    deviance = {library: model.params[f"deviance_{library}"] for library in COUNT_BOOSTERS}
    assert model.library == min(deviance, key=deviance.get)
    assert all(value > 0 for value in deviance.values())
    told = DemandPredictor(seed=3, library="xgboost").fit(training)
    assert told.params["objective"] == "count:poisson"


def test_a_thinned_grid_weighs_as_much_as_the_whole(tables):
    origin = FIRST_DAY + timedelta(days=400)
    market = read_market(tables, CUTOFF, [origin])
    whole, thinned = cells(market, origin), cells(market, origin, share=0.5)
    came = whole["bookings"] > whole["on_the_books"]
    assert (whole["weight"] == 1).all()
    assert (thinned["bookings"] > thinned["on_the_books"]).sum() == came.sum(), "no booking to come is left out"
    assert len(thinned) < len(whole)
    assert thinned["weight"].sum() == pytest.approx(len(whole), rel=0.1)


@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_a_higher_price_never_raises_demand(training, inputs, library):
    model = DemandPredictor(seed=3, library=library).fit(training)
    demand = [
        model.predict(inputs.assign(base_price=inputs["base_price"] * factor))["expected_bookings"]
        for factor in (0.5, 0.8, 1.0, 1.25, 2.0)
    ]
    for cheaper, dearer in pairwise(demand):
        assert (dearer <= cheaper + 1e-12).all()


def test_demand_is_predicted_without_engagement_and_from_it_where_there_is_some(tables, inputs, model):
    assert inputs["views_7d"].isna().all()
    row = {column.name: 0 for column in ENGAGEMENT_FEATURES.columns}
    row |= {"property_id": 1, "views_7d": 12, "clicks_7d": 3, "conversion_rate": 0.25}
    before, at = (
        row | {"available_at": moment, "feature_hour": moment - timedelta(hours=1), "views_7d": views}
        for moment, views in ((CUTOFF - timedelta(days=1), 12), (CUTOFF + timedelta(hours=1), 99))
    )
    engagement = ibis.memtable(pd.DataFrame([before, at]), schema=ENGAGEMENT_FEATURES.schema)
    viewed = DemandPredictor.inputs({**tables, "engagement_features": engagement}, CUTOFF)
    assert (viewed.loc[viewed["property_id"] == 1, "views_7d"] == 12).all(), "a later row is not known yet"
    assert viewed.loc[viewed["property_id"] != 1, "views_7d"].isna().all()
    assert model.predict(viewed)["expected_bookings"].notna().all()


@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_a_saved_model_predicts_the_same_to_the_last_bit(tmp_path, training, inputs, library):
    model = DemandPredictor(seed=3, library=library).fit(training)
    model.save(tmp_path)
    pd.testing.assert_frame_equal(
        DemandPredictor.load(tmp_path).predict(inputs), model.predict(inputs), check_exact=True
    )


def test_same_data_and_seed_give_the_same_model(training, inputs, model):
    again = DemandPredictor(seed=3).fit(training.sample(frac=1, random_state=1))
    assert again.params == model.params
    assert again.predict(inputs).equals(model.predict(inputs))


def test_the_evaluation_beats_the_better_baseline_on_every_listed_property(evaluation):
    assert evaluation.metric.value < evaluation.baseline
    assert evaluation.baseline == min(evaluation.metrics["last_30_days_rmse"], evaluation.metrics["last_year_rmse"])
    assert len(evaluation.rows) == 6 * 20
    assert evaluation.metric.value == pytest.approx(np.sqrt(evaluation.losses.mean()))
    assert evaluation.losses.index.is_unique
    assert {"rmse_7d", "rmse_destination_day", "poisson_deviance"} <= set(evaluation.metrics)
    assert all(np.isfinite(value) for value in evaluation.metrics.values())


def test_slices_show_the_worst_destination_and_type_first(evaluation):
    found = evaluation.slices
    assert set(found["slice"]) == {"destination", "property_type"}
    assert found["metric"].is_monotonic_decreasing
    for _, kind in found.groupby("slice"):
        assert np.sqrt(np.average(kind["metric"] ** 2, weights=kind["rows"])) == pytest.approx(evaluation.metric.value)


def test_rmse_is_of_sums_over_the_horizon_per_property_with_zeros():
    rows = pd.DataFrame(
        {
            "origin": pd.Timestamp("2024-01-01"),
            "property_id": np.repeat([1, 2], 30),
            "ds": [*pd.date_range("2024-01-01", periods=30)] * 2,
            "horizon_days": [*range(1, 31)] * 2,
            "destination_id": 7,
            "destination": "Here",
            "property_type": "Urban Year-Round",
            "actual": [1.0] + [0.0] * 59,
            "predicted": [0.1] * 30 + [0.0] * 30,
        }
    ).assign(last_30_days=0.0, last_year=np.nan)
    table = scores(rows).set_index(["method", "metric", "horizon"])["value"]
    assert table["demand_predictor", "rmse", 30] == pytest.approx(np.sqrt((2.0**2 + 0) / 2))
    assert table["demand_predictor", "rmse", 7] == pytest.approx(np.sqrt((0.3**2 + 0) / 2))
    assert table["last_30_days", "rmse", 30] == pytest.approx(np.sqrt(1 / 2))
    assert np.isnan(table["last_year", "rmse", 30]), "a baseline that the data do not reach is not a good one"
    assert rmse_destination_day(rows) == pytest.approx(np.sqrt((0.9**2 + 29 * 0.1**2) / 30))
    assert per_property(rows[rows["horizon_days"] <= 20], 30).empty, "an origin whose days are not over does not count"


def test_poisson_deviance_is_zero_for_the_truth():
    assert poisson_deviance(pd.Series([2.0, 0.0]), pd.Series([2.0, 0.01])) == pytest.approx(0.01)
    assert poisson_deviance(pd.Series([2.0]), pd.Series([1.0])) == pytest.approx(2 * (2 * np.log(2) - 1))


def test_too_little_history_is_said_and_not_learned_from(tables):
    with pytest.raises(CannotLearn, match=r"\d+ days of bookings are known; the predictor needs 119"):
        DemandPredictor.training_set(tables, midnight(FIRST_DAY + timedelta(days=60)))
    with pytest.raises(CannotLearn, match="6 are needed"):
        DemandPredictor.evaluate(tables, midnight(FIRST_DAY + timedelta(days=400)))
    with pytest.raises(CannotLearn, match="no day with a check-in"):
        DemandPredictor.training_set({**tables, "fact_booking_daily": tables["fact_booking_daily"].limit(0)}, CUTOFF)
    with pytest.raises(CannotLearn, match="no property is listed"):
        DemandPredictor.inputs({**tables, "property_features": tables["property_features"].limit(0)}, CUTOFF)


def test_a_backtest_scores_the_methods_at_the_origins_asked_for(tables):
    found = backtest(DemandPredictor, tables, [FIRST_DAY + timedelta(days=450)])
    assert set(found["method"]) == {"demand_predictor", "last_30_days", "last_year"}
    assert set(found["horizon"]) == {7, 30}
    assert set(found["metric"]) == {"rmse", "poisson_deviance"}
    assert found["value"].notna().all()


def test_the_figure_shows_an_evaluation(evaluation, tmp_path):
    DemandPredictor.figure(evaluation).savefig(tmp_path / "figure.png", dpi=60)
    assert 2_000 < (tmp_path / "figure.png").stat().st_size < 100_000
