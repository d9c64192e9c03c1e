"""What is missing, asked of a real registry and a real Dagster instance."""

from datetime import datetime

import dagster as dg

from wanderbricks_assets.automation.plans import Planner
from wanderbricks_assets_tests.models.test_lifecycle import FIRST_WEEK, Pipeline, pipeline

__all__ = ["pipeline"]
BEFORE_ITS_END, AT_ITS_END, LATER = datetime(2024, 1, 14), datetime(2024, 1, 15), datetime(2024, 1, 20)


def planner(of: Pipeline) -> Planner:
    repository = dg.Definitions().get_repository_def()
    return Planner(repository, of.instance, of.lake, of.source, of.registry)


def predictions(of: Pipeline, moment: datetime) -> list[tuple]:
    return [(plan.assets, plan.first) for plan in planner(of).predictions(moment)]


def predicted(of: Pipeline, day: str) -> None:
    of.instance.report_runless_asset_event(dg.AssetMaterialization("revenue_forecast", partition=day))


def test_nothing_is_predicted_while_no_version_serves(pipeline: Pipeline):
    assert predictions(pipeline, AT_ITS_END) == []


def test_a_first_champion_is_given_the_newest_day_and_no_day_that_it_has_seen(pipeline: Pipeline):
    pipeline.train(FIRST_WEEK)
    assert predictions(pipeline, BEFORE_ITS_END) == []
    assert predictions(pipeline, AT_ITS_END) == [(("revenue_forecast",), "2024-01-14")]
    assert predictions(pipeline, LATER) == [(("revenue_forecast",), "2024-01-19")]


def test_a_day_that_was_predicted_is_not_planned_again(pipeline: Pipeline):
    pipeline.train(FIRST_WEEK)
    predicted(pipeline, "2024-01-19")
    assert predictions(pipeline, LATER) == []


def test_days_missed_since_the_last_prediction_are_made_up_for_a_week_back(pipeline: Pipeline):
    pipeline.train(FIRST_WEEK)
    predicted(pipeline, "2024-01-17")
    assert predictions(pipeline, LATER) == [
        (("revenue_forecast",), "2024-01-18"),
        (("revenue_forecast",), "2024-01-19"),
    ]
    assert [day for _, day in predictions(pipeline, datetime(2024, 2, 10))] == [
        f"2024-02-0{number}" for number in range(3, 10)
    ]


def test_while_training_is_planned_all_predictions_are_and_their_turn_decides(pipeline: Pipeline):
    [plan] = planner(pipeline).predictions(LATER, may_promote=True)
    assert len(plan.assets) == 5
    assert plan.settle(plan).assets == ()
    pipeline.train(FIRST_WEEK)
    assert plan.settle(plan).assets == ("revenue_forecast",)
