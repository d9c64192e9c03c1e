"""The schedules as the daemon evaluates them, at moments of a clock that the tests set."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, ScheduleInstigatorData

from wanderbricks_assets.automation import asking
from wanderbricks_assets.automation.asking import Asking
from wanderbricks_assets.automation.schedules import SCHEDULES
from wanderbricks_assets.automation.sensors.carry_on import CannotPlan
from wanderbricks_assets.models.all import MODELS
from wanderbricks_assets.models.registry import RegistryAway
from wanderbricks_assets_tests.automation.clockwork import Clockwork, asked, clockwork
from wanderbricks_assets_tests.marketplace import at

DETAIL = "fact_booking_detail"
_ORIGIN = RegisteredCodeLocationOrigin("wanderbricks_assets")


@pytest.fixture
def clock(tmp_path) -> Iterator[Clockwork]:
    with clockwork(tmp_path) as made:
        yield made


def test_all_schedules_are_on_and_say_their_time_zone():
    for schedule in SCHEDULES:
        assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
        assert schedule.execution_timezone == "UTC"


def test_hours_missed_while_nothing_ran_are_asked_for_in_one_run(clock: Clockwork):
    clock.hours_until("2024-01-02 03:00")
    found = clock.tick("engagement_schedule", "2024-01-04 12:05")
    assert asked(found) == [("engagement", {"engagement_features"}, "2024-01-02-03:00", "2024-01-04-11:00")]


def test_a_tick_with_nothing_missing_says_so(clock: Clockwork):
    clock.hours_until("2024-01-02 03:00")
    found = clock.tick("engagement_schedule", "2024-01-02 03:05")
    assert found.run_requests == []
    assert found.skip_message == "Nothing of engagement is missing up to 2024-01-02 03:05 UTC."


def test_asking_twice_is_harmless_whether_the_run_has_begun_or_not(clock: Clockwork):
    clock.hours_until("2024-01-02 03:00")
    first = clock.tick("engagement_schedule", "2024-01-02 05:05")
    again = clock.tick("engagement_schedule", "2024-01-02 05:05")
    assert first.run_requests[0].run_key == again.run_requests[0].run_key

    run = clock.begun(first.run_requests[0])
    later = clock.tick("engagement_schedule", "2024-01-02 06:05")
    assert later.run_requests == []
    assert f"run {run.run_id[:8]} is started already" in later.skip_message


def test_a_failed_run_is_asked_for_again_an_hour_later_under_another_key(clock: Clockwork):
    clock.hours_until("2024-01-02 03:00")
    [request] = clock.tick("engagement_schedule", "2024-01-02 05:05").run_requests
    run = clock.begun(request)
    clock.instance.report_run_failed(run)
    failed_at = datetime.fromtimestamp(clock.instance.get_run_record_by_id(run.run_id).end_time, UTC)
    [planned] = clock.planner().engagement(at("2024-01-02 05:05"))
    soon, later = (
        Asking(clock.planner(), failed_at.replace(tzinfo=None) + timedelta(minutes=minutes)).request(planned)
        for minutes in (59, 61)
    )
    assert "it is tried again at" in soon.skip_message
    assert later.run_key != request.run_key


def test_days_missed_are_one_run_and_details_of_bookings_wait_for_it(clock: Clockwork):
    clock.days_until("2024-01-05")
    [(job, assets, first, last)] = asked(clock.tick("gold_and_features_schedule", "2024-01-09 00:20"))
    assert (job, first, last) == ("gold_and_features", "2024-01-05", "2024-01-08")
    assert {"dim_user", "fact_booking_history", "property_features"} < assets
    assert DETAIL not in assets

    clock.materialized([key for key in clock.planner().daily_assets() if key != DETAIL], first, last)
    assert asked(clock.look("carry_on", "2024-01-09 00:30"))[1:] == [("gold_and_features", {DETAIL}, first, last)]


def test_a_rhythm_that_cannot_be_planned_stops_no_other_and_the_tick_tells(clock: Clockwork, monkeypatch):
    def away(*_: object) -> None:
        raise RegistryAway("MLflow does not answer")

    clock.days_until("2024-01-05")
    monkeypatch.setitem(asking._PLANS, "training", away)
    going_on = clock.look("carry_on", "2024-01-09 00:30")
    assert {job for job, *_ in asked(going_on)} == {"engagement", "gold_and_features"}
    assert going_on.cursor is None, "the next tick looks again, and has nothing to ask for"
    for request in going_on.run_requests:
        clock.begun(request)
    with pytest.raises(CannotPlan, match=r"^training could not be planned: RegistryAway: MLflow does not answer$"):
        clock.look("carry_on", "2024-01-09 00:31")


def test_what_a_person_has_turned_off_is_not_carried_on(clock: Clockwork):
    clock.days_until("2024-01-05")
    state = InstigatorState(
        RemoteInstigatorOrigin(RemoteRepositoryOrigin(_ORIGIN, "__repository__"), "engagement_schedule"),
        InstigatorType.SCHEDULE,
        InstigatorStatus.STOPPED,
        ScheduleInstigatorData("5 * * * *"),
    )
    clock.instance.add_instigator_state(state)
    assert {job for job, *_ in asked(clock.look("carry_on", "2024-01-09 00:30"))} == {"gold_and_features"}


def test_training_waits_for_the_days_and_hours_of_its_week(clock: Clockwork):
    clock.days_until("2024-01-07")
    assert (
        clock.tick("training_schedule", "2024-01-08 00:40").skip_message
        == "training of 2024-01-01 waits for gold_and_features of 2024-01-07."
    )
    clock.days_until("2024-01-08")
    clock.hours_until("2024-01-07 22:00")
    assert (
        "waits for engagement of 2024-01-07-22:00" in clock.tick("training_schedule", "2024-01-08 00:40").skip_message
    )
    clock.hours_until("2024-01-08")
    [(job, assets, week, _)] = [
        each for each in asked(clock.look("carry_on", "2024-01-08 01:20")) if each[0] == "training"
    ]
    assert (job, week) == ("training", "2024-01-01")
    assert assets == set(MODELS) | {f"{model}_champion" for model in MODELS}


def test_what_is_newer_than_the_last_tick_is_not_made_again_for_that_tick(clock: Clockwork):
    clock.days_until("2024-01-15")
    clock.hours_until("2024-01-15")
    clock.materialized(MODELS, "2024-01-08")
    clock.materialized(clock.planner().assets_of("activation"), "2024-01-14")
    before = at("2024-01-14 23:59")  # when nothing was known of the week that has been trained since
    assert clock.planner().training(before) == []
    assert clock.planner().activation(before) == []
