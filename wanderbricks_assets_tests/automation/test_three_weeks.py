"""Three weeks through Dagster's own daemons in fast time: nothing is missing, nothing differs, and people are told
exactly what they should be."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
import pytest

from wanderbricks_assets.contracts.features import FEATURES
from wanderbricks_assets.contracts.gold import GOLD
from wanderbricks_assets_tests.automation.small_marketplace import DAY_0, FIRST, day
from wanderbricks_assets_tests.automation.three_weeks import LAST
from wanderbricks_assets_tests.whole_pipeline import DAILY

# Dagster syncs its databases to the disk a thousand times; where there is memory instead, it need not wait for that.
_MEMORY = Path("/dev/shm")
SAID = ("conversion_scores", "customer_value", "revenue_forecast")


@pytest.fixture(scope="module")
def weeks() -> dict:
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
        command = [sys.executable, "-m", "wanderbricks_assets_tests.automation.three_weeks", folder]
        environment = os.environ | {"WANDERBRICKS_HOURLY_START": "2024-01-15", "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=3600, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])


def of_day(number: int) -> str:
    return f"{day(number):%Y-%m-%d}"


def days(first: int, last: int) -> list[str]:
    return [of_day(number) for number in range(first, last + 1)]


def hours(first: str, last: str) -> list[str]:
    """From one hour to another, both included."""
    return list(pd.date_range(first, last, freq="h").strftime("%Y-%m-%d-%H:%M"))


def test_nothing_is_missing_at_the_end(weeks: dict):
    found = weeks["partitions"]
    for asset in (*DAILY, "quarantine"):
        assert found[asset] == days((FIRST - DAY_0).days, LAST - 1), asset
    for asset in (*SAID, "realized_accuracy"):
        assert found[asset] == days(-1, LAST - 1), asset
    assert found["engagement_features"] == hours("2024-01-15", of_day(LAST))


def test_every_table_holds_what_one_run_over_the_final_source_gives(weeks: dict):
    tables = {*GOLD, *FEATURES}
    assert {name: weeks["rows"][name] for name in tables} == {name: weeks["undisturbed"][name] for name in tables}


def test_no_tick_failed_and_no_run_is_left_open(weeks: dict):
    assert weeks["daemon_errors"] == []
    assert weeks["failed_ticks"] == []
    assert weeks["open"] == []


def test_only_the_trainings_failed_whose_gates_were_missed(weeks: dict):
    mondays = [of_day(number) for number in (-7, 0, 7, 14)]
    assert weeks["failed"] == [["training", monday, monday] for monday in mondays]


def test_an_update_that_came_late_makes_its_partitions_again(weeks: dict):
    """Of a booking that was made on day 1 and cancelled on day 2, for a stay from day 3; told of on day 5."""
    update, _ = late_by_observation(weeks)
    assert update == {
        "fact_booking_history": days(2, 2),
        "quarantine": days(2, 2),
        "fact_booking_detail": days(1, 1),
        "fact_booking_daily": days(3, 3),
        "property_features": days(2, 4),
        "user_features": days(2, 4),
        **dict.fromkeys(SAID, days(4, 4)),
    }


def test_bookings_that_came_late_make_their_partitions_again(weeks: dict):
    """Made on the days 4 to 7 after views of the days 3 to 6, for stays from the days 6 to 9; told of on day 11."""
    _, bookings = late_by_observation(weeks)
    assert bookings == {
        "fact_booking_history": days(4, 7),
        "fact_property_engagement": days(4, 7),
        "quarantine": days(4, 7),
        "engagement_features": hours(f"{of_day(4)} 10:00", of_day(11)),
        "fact_booking_detail": days(4, 7),
        "fact_booking_daily": days(6, 9),
        "property_features": days(4, 10),
        "user_features": days(4, 10),
        **dict.fromkeys(SAID, days(10, 10)),
    }


def test_nothing_else_was_made_again_but_by_a_new_champion(weeks: dict):
    update, bookings = late_by_observation(weeks)
    expected = {asset: sorted({*update.get(asset, ()), *bookings[asset]}) for asset in bookings}
    expected["conversion_scores"] = sorted({*expected["conversion_scores"], of_day(11)})
    assert {asset: made for asset, made in weeks["again"].items() if asset not in NOT_OF_THE_SOURCE} == expected


# Trained again when a model degrades, and what people act on when a prediction of its day is newer.
NOT_OF_THE_SOURCE = (
    "conversion_predictor",
    "customer_segments",
    "customer_segments_export",
    "marketing_audience",
    "marketing_audience_export",
)


def test_the_model_that_degraded_was_trained_once_more_on_what_came_late(weeks: dict):
    assert weeks["degraded"] == ["conversion_predictor: changed since: fact_booking_history"]


def test_versions_are_promoted_that_passed_their_gates(weeks: dict):
    versions = {
        name: [(cutoff.partition(" ")[0], promoted) for _, cutoff, promoted, _ in found]
        for name, found in weeks["versions"].items()
    }
    cutoffs = [of_day(number) for number in (0, 7, 14, 21)]
    assert versions == {
        "revenue_forecaster": list(zip(cutoffs, (True, True, False, True), strict=True)),
        "demand_predictor": [],
        "conversion_predictor": [(cutoff, True) for cutoff in (of_day(0), of_day(7), of_day(7), *cutoffs[2:])],
        "pricing_optimizer": [(cutoff, False) for cutoff in cutoffs],
        "customer_ltv": [(cutoff, True) for cutoff in cutoffs],
    }


def test_people_are_told_once_of_all_that_went_wrong_and_recovered_in_order(weeks: dict):
    """From day 12 to 15 the webhook refuses; what it missed comes then."""
    assert weeks["refused"] > 0
    degraded = "realized_accuracy, check conversion_predictor_holds_its_bound"
    gates = [f"revenue_forecaster, check {check}" for check in REVENUE_GATES]
    never_trained = "meets_target, beats_naive_baseline, no_worse_than_champion, is_calibrated"
    assert weeks["titles"] == [
        f"ERROR: demand_predictor, checks {never_trained} ({of_day(-7)})",
        f"ERROR: pricing_optimizer, check meets_target ({of_day(-7)})",
        f"WARN: {degraded} ({of_day(11)})",
        *(f"ERROR: {gate} ({of_day(7)})" for gate in gates),
        f"Recovered: {degraded} ({of_day(15)}...{of_day(18)})",  # which were made up in one run
        *(f"Recovered: {gate} ({of_day(7)})" for gate in gates),
    ]


REVENUE_GATES = ("meets_target", "beats_naive_baseline", "no_worse_than_champion")


def late_by_observation(weeks: dict) -> list[dict[str, list[str]]]:
    """What was asked for because of late data: by observation, in their order, the partitions of each asset."""
    found: dict[str, dict[str, list[str]]] = {}
    for tag, _, first, last, assets in weeks["late"]:
        made = found.setdefault(tag.partition("/")[0], {})
        keys = hours(first, last) if ":" in first else list(pd.date_range(first, last).strftime("%Y-%m-%d"))
        for asset in assets:
            made.setdefault(asset, []).extend(keys)
    return [found[observation] for observation in sorted(found)]
