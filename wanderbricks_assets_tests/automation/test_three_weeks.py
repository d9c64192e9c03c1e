"""Dagster's own daemons in fast time: nothing is missing, nothing differs, no tick fails, no run is left open."""

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
from wanderbricks_assets_tests.whole_pipeline import DAILY

# Dagster syncs its databases to the disk a thousand times; where there is memory instead, it need not wait for that.
# A day costs twenty seconds of CPU; WANDERBRICKS_TEST_DAYS=21 tells the whole story.
DAYS = int(os.environ.get("WANDERBRICKS_TEST_DAYS", "2"))
_MEMORY = Path("/dev/shm")


@pytest.fixture(scope="module")
def weeks() -> dict:
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
        command = [sys.executable, "-m", "wanderbricks_assets_tests.automation.three_weeks", folder, str(DAYS)]
        environment = os.environ | {"WANDERBRICKS_HOURLY_START": "2024-01-15", "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=3600, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])


def of_day(number: int) -> str:
    return f"{day(number):%Y-%m-%d}"


def days(first: int, last: int) -> list[str]:
    return [of_day(number) for number in range(first, last + 1)]


def test_nothing_is_missing_at_the_end(weeks: dict):
    found = weeks["partitions"]
    for asset in (*DAILY, "quarantine"):
        assert found[asset] == days((FIRST - DAY_0).days, DAYS - 1), asset
    for asset in ("revenue_forecast", "conversion_scores", "customer_value", "realized_accuracy"):
        assert found[asset] == days(-1, DAYS - 1), asset
    hours = pd.date_range("2024-01-15", day(DAYS), freq="h").strftime("%Y-%m-%d-%H:%M")
    assert found["engagement_features"] == list(hours)


def test_every_table_holds_what_one_run_over_the_final_source_gives(weeks: dict):
    tables = {*GOLD, *FEATURES}
    assert {name: weeks["rows"][name] for name in tables} == {name: weeks["undisturbed"][name] for name in tables}


def test_no_tick_failed_and_no_run_is_left_open(weeks: dict):
    assert weeks["daemon_errors"] == []
    assert weeks["failed_ticks"] == []
    assert weeks["open"] == []
