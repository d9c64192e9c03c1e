"""Retraining after a broken bound, predictions after a promotion: on a registry in which a small model was trained."""

from collections.abc import Iterator

import dagster as dg
import pytest

from wanderbricks_assets.monitoring.assets import HOLDS_ITS_BOUND
from wanderbricks_assets.targets import TARGETS
from wanderbricks_assets_tests.automation.clockwork import Clockwork, asked, clockwork
from wanderbricks_assets_tests.models.test_lifecycle import FIRST_WEEK, SECOND_WEEK, Pipeline, pipeline

__all__ = ["pipeline"]
NOW = "2024-01-20 09:00"  # the first week has ended, the second has not
TRAINED = {"revenue_forecaster", "revenue_forecaster_champion"}


@pytest.fixture
def clock(pipeline: Pipeline, tmp_path) -> Iterator[Clockwork]:
    """With the registry, and the record of what was materialized, of a pipeline that trains."""
    with clockwork(tmp_path / "clock") as made:
        made.registry = pipeline.registry
        pipeline.instance = made.instance
        yield made


def evaluated(clock: Clockwork, passed: bool) -> None:
    clock.instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey("realized_accuracy"),
            check_name=HOLDS_ITS_BOUND["revenue_forecaster"],
            passed=passed,
            metadata={"value": 0.3, "bound": 0.15},
        )
    )


def test_a_bound_that_holds_starts_nothing(clock: Clockwork):
    evaluated(clock, passed=True)
    assert "holds its bound" in clock.look("degradation_sensor", NOW).skip_message


def test_a_broken_bound_trains_the_model_for_the_newest_week_once(clock: Clockwork, pipeline: Pipeline):
    pipeline.train(FIRST_WEEK)
    evaluated(clock, passed=False)
    after = "2024-01-23 09:00"  # the end of the second week
    assert asked(clock.look("degradation_sensor", after)) == [("training", TRAINED, SECOND_WEEK, SECOND_WEEK)]
    assert asked(clock.look("degradation_sensor", after)) == []


def test_a_daemon_killed_before_its_cursor_is_stored_asks_under_the_same_key(clock: Clockwork):
    evaluated(clock, passed=False)
    killed = clock.look("degradation_sensor", NOW, store=False)
    again = clock.look("degradation_sensor", NOW)
    assert killed.run_requests[0].run_key == again.run_requests[0].run_key


def test_a_version_that_knows_all_that_can_be_known_is_not_trained_again(clock: Clockwork, pipeline: Pipeline):
    pipeline.train(FIRST_WEEK)
    evaluated(clock, passed=False)
    found = clock.look("degradation_sensor", "2024-01-16 09:00")
    assert found.run_requests == []
    assert found.skip_message == (
        "revenue_forecaster has left its bound, but version 1 has already learned from all that was known on "
        "2024-01-15; the next week ends on 2024-01-22."
    )


def test_it_is_trained_again_when_late_data_changed_what_was_known(clock: Clockwork, pipeline: Pipeline):
    pipeline.train(FIRST_WEEK)
    clock.materialized(["fact_booking_daily"], "2024-01-12")
    evaluated(clock, passed=False)
    assert asked(clock.look("degradation_sensor", "2024-01-16 09:00")) == [
        ("training", TRAINED, "2024-01-08", "2024-01-08")
    ]


def test_a_new_champion_predicts_the_newest_day_again_and_once(clock: Clockwork, pipeline: Pipeline):
    pipeline.train(FIRST_WEEK)
    clock.materialized(["revenue_forecast"], "2024-01-19")
    assert asked(clock.look("promotion_sensor", NOW)) == [
        ("predictions", {"revenue_forecast"}, "2024-01-19", "2024-01-19")
    ]
    assert clock.look("promotion_sensor", NOW).skip_message == "The same versions serve as before."
    pipeline.train(SECOND_WEEK)
    assert "has seen later days" in clock.look("promotion_sensor", NOW).skip_message


def test_a_version_that_a_person_puts_back_predicts_the_newest_day_again(clock: Clockwork, pipeline: Pipeline):
    for week in (FIRST_WEEK, SECOND_WEEK):
        pipeline.train(week)
    now, newest = "2024-01-24 09:00", "2024-01-23"
    clock.materialized(["revenue_forecast"], newest)
    asked_before = clock.look("promotion_sensor", now).run_requests
    target = TARGETS["revenue_forecaster"]
    assert pipeline.registry.serving_version(target) == "2"
    pipeline.registry._client.set_registered_model_alias(target.registered_name, target.stage, "1")
    found = clock.look("promotion_sensor", now)
    assert asked(found) == [("predictions", {"revenue_forecast"}, newest, newest)]
    assert found.run_requests[0].run_key.startswith(f"revenue_forecast/1/{newest}/")
    clock.materialized(["revenue_forecast"], newest)
    pipeline.registry._client.set_registered_model_alias(target.registered_name, target.stage, "2")
    [again] = clock.look("promotion_sensor", now).run_requests
    assert again.run_key not in {request.run_key for request in asked_before}, "asked a second time, it is another run"


def test_a_day_that_is_still_to_be_predicted_is_left_to_the_clock(clock: Clockwork, pipeline: Pipeline):
    pipeline.train(FIRST_WEEK)
    assert "are still to come" in clock.look("promotion_sensor", NOW).skip_message
