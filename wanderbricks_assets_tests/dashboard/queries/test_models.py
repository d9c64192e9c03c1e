from wanderbricks_assets.contracts.tables import LAKE
from wanderbricks_assets.dashboard import place
from wanderbricks_assets.dashboard.queries import models
from wanderbricks_assets.targets import TARGETS
from wanderbricks_assets_tests.dashboard.small_lake import LAST_WEEK, TODAY, day, forecast, made
from wanderbricks_assets_tests.marketplace import table_of

REVENUE, CONVERSION = TARGETS["revenue_forecaster"], TARGETS["conversion_predictor"]


def test_a_version_predicts_since_the_day_of_its_first_prediction():
    second = [forecast(day(0)) | made(TODAY, version="2"), forecast(day(1)) | made(day(-1), version="2")]
    rows = table_of(LAKE["revenue_forecast"], forecast(day(0), LAST_WEEK), *second)
    assert models.predicts_since(rows, "2") == day(-1)
    assert models.predicts_since(rows, "1") == LAST_WEEK
    assert models.predicts_since(rows, "3") is None


def test_what_serves_is_told_apart_from_the_newest_version_that_missed_its_gates(trained_home):
    found = models.service(place.registry(), REVENUE)
    assert found.serving.version == "1"
    assert found.versions["version"].tolist() == ["2", "1"]
    assert found.versions["promoted"].tolist() == [False, True]
    assert found.versions["value"].tolist() == [0.3, 0.1]


def test_a_version_that_missed_its_gates_says_which_although_no_promotion_decided_about_it(trained_home):
    missed, _ = models.service(place.registry(), REVENUE).versions["decision"]
    assert missed.startswith("Not promoted (")
    assert "mape" in missed


def test_a_model_that_was_never_trained_has_no_version_and_says_so(trained_home):
    found = models.service(place.registry(), CONVERSION)
    assert found.serving is None
    assert found.versions.empty
    assert "has not been trained yet" in models.why_no_predictions(place.registry(), CONVERSION)


def test_a_model_with_a_serving_version_predicts_with_the_next_run(trained_home):
    assert "Version 1 serves and predicts" in models.why_no_predictions(place.registry(), REVENUE)


def test_realized_accuracy_comes_by_day():
    rows = [{"day": day(-offset), "model": "demand_predictor", "metric": "rmse", "value": 1.0} for offset in (1, 3, 2)]
    found = models.realized(table_of(LAKE["realized_accuracy"], *rows))
    assert found["day"].dt.date.tolist() == [day(-3), day(-2), day(-1)]
