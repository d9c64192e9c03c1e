"""`kill -9` at any moment, and run again: every table, alias, decision, check and prediction as if nothing had been."""

import json
import os
import subprocess
import sys

import pytest

SEED = 1
# An attempt costs seconds; WANDERBRICKS_TEST_KILLS=30 kills at as many moments as the mission asks for.
KILLS = int(os.environ.get("WANDERBRICKS_TEST_KILLS", "5"))


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    folder = tmp_path_factory.mktemp("killed")
    module = "wanderbricks_assets_tests.automation.killed_runs"
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", module, str(folder), str(SEED), str(KILLS)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=3600, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_runs_were_killed(homes: list[dict]):
    assert sum(home["kills"] for home in homes) == KILLS


@pytest.mark.parametrize("what", ["rows", "models", "dagster"])
def test_a_home_whose_runs_were_killed_holds_what_an_undisturbed_one_holds(homes: list[dict], what: str):
    for home in homes:
        assert home["is"][what] == home["should_be"][what]


def test_the_undisturbed_home_holds_tables_champions_and_refusals(homes: list[dict]):
    should_be = homes[0]["should_be"]
    assert all(should_be["rows"][name][0] > 0 for name in ("fact_booking_detail", "revenue_forecast", "customer_value"))
    models = should_be["models"]
    assert models["revenue_forecaster"]["aliases"] == {"Challenger": 1, "Production": 1}
    assert models["pricing_optimizer"]["aliases"] == {"Challenger": 1}
    assert models["demand_predictor"]["versions"] == {}
    assert {"SUCCEEDED", "FAILED"} <= set(should_be["dagster"]["checks"].values())


def test_nothing_is_left_open_and_no_file_is_left_over(homes: list[dict]):
    for home in homes:
        assert home["is"]["dagster"]["open"] == []
        assert [model["open"] for model in home["is"]["models"].values()] == [[]] * 5
        assert home["is"]["stray"] == []
