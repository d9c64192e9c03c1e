"""Which runs a catch-up plans, asked of a real registry and a real Dagster instance."""

from datetime import datetime

import dagster as dg

from wanderbricks_assets.automation.catch_up import _depending_on, _of_predictions
from wanderbricks_assets.predictions.assets import TARGET_OF
from wanderbricks_assets_tests.models.test_lifecycle import FIRST_WEEK, Pipeline, pipeline

__all__ = ["pipeline"]
BEFORE_ITS_END, AT_ITS_END, LATER = datetime(2024, 1, 14), datetime(2024, 1, 15), datetime(2024, 1, 20)


def predictions(of: Pipeline, moment: datetime, may_promote: bool = False) -> list[tuple]:
    """Of each plan the tables that models predict, and its day."""
    defs = dg.Definitions(resources={"registry": of.registry})
    plans = [*_of_predictions(defs, of.instance, moment, may_promote)]
    found = [(tuple(key for key in plan.assets if key in TARGET_OF), plan.first) for plan in plans]
    return [plan for plan in found if plan[0]]


def test_nothing_is_predicted_while_no_version_serves(pipeline: Pipeline):
    assert predictions(pipeline, AT_ITS_END) == []


def test_a_first_champion_is_given_the_newest_day_and_no_day_that_it_has_seen(pipeline: Pipeline):
    pipeline.train(FIRST_WEEK)
    assert predictions(pipeline, BEFORE_ITS_END) == []
    assert predictions(pipeline, AT_ITS_END) == [(("revenue_forecast",), "2024-01-14")]
    assert predictions(pipeline, LATER) == [(("revenue_forecast",), "2024-01-19")]


def test_a_day_that_was_predicted_is_not_planned_again(pipeline: Pipeline):
    pipeline.train(FIRST_WEEK)
    made = dg.AssetMaterialization("revenue_forecast", partition="2024-01-19")
    pipeline.instance.report_runless_asset_event(made)
    assert predictions(pipeline, LATER) == []


def test_while_training_is_planned_all_predictions_are_and_their_turn_decides(pipeline: Pipeline):
    defs = dg.Definitions(resources={"registry": pipeline.registry})
    [plan] = _of_predictions(defs, pipeline.instance, LATER, may_promote=True)
    activated = tuple(key for key in plan.assets if key not in TARGET_OF)
    assert len(plan.assets) == 5 + len(activated)
    assert plan.settle(plan).assets == activated
    pipeline.train(FIRST_WEEK)
    assert plan.settle(plan).assets == ("revenue_forecast", *activated)


def test_a_failed_step_stops_what_waits_for_it_and_what_waits_for_that():
    steps = {"a": set(), "b": {"a"}, "c": {"b", "d"}, "d": set(), "e": {"d"}}
    assert _depending_on("a", steps) == {"b", "c"}
    assert _depending_on("c", steps) == set()
