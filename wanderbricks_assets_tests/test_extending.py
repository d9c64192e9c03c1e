"""What the runbook says of adding a model and a source table, done to a copy of the package."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import wanderbricks_assets

MODEL = """
from wanderbricks_assets.models.customer_ltv import CustomerLtv


class StayLength(CustomerLtv):
    name = "stay_length"
"""
TARGET = """
TARGETS["stay_length"] = Target(
    model="stay_length", title="Length of stay", owner="team:customer", table="stay_forecast", metric="mae",
    direction="below", bound=1.0, stage="Staging", release="0.9", experiment="/Wanderbricks/Stay_Length",
)
"""
PREDICTIONS = """
STAY_FORECAST = table(
    "stay_forecast", "How long guests will stay.", C("user_id", "int64", nullable=False), *_MADE,
    key="prediction_date user_id", time_column="prediction_date",
)

PREDICTIONS: dict"""
SOURCE = """
LOYALTY = table("loyalty", "Points.", C("user_id", "int64", nullable=False, references="users.user_id"), key="user_id")

SOURCE: dict"""
SOURCE_LIST = "    for contract in ("
ASK = """
import json
from dagster import AssetKey
from wanderbricks_assets.definitions import defs
graph = defs.get_repository_def().asset_graph
print(json.dumps({
    "assets": [key.to_user_string() for key in graph.get_all_asset_keys()],
    "judged": [key.to_user_string() for key in graph.get(AssetKey("quarantine_without_day")).parent_keys],
    "checks": [f"{key.asset_key.to_user_string()}: {key.name}" for key in graph.asset_check_keys],
}))
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """A copy of the package with one model and one source table more."""
    place = tmp_path_factory.mktemp("copy")
    package = place / "wanderbricks_assets"
    shutil.copytree(Path(wanderbricks_assets.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "models" / "stay_length.py").write_text(MODEL)
    _edit(package / "targets.py", "\n# The serving endpoint", f"{TARGET}\n# The serving endpoint")
    _edit(package / "contracts" / "predictions.py", "\nPREDICTIONS: dict", PREDICTIONS)
    _edit(package / "contracts" / "source.py", "\nSOURCE: dict", SOURCE)
    _edit(package / "contracts" / "source.py", SOURCE_LIST, f"{SOURCE_LIST}\n        LOYALTY,")
    return place


@pytest.fixture(scope="module")
def found(copy: Path) -> dict[str, list[str]]:
    """The keys of its assets and checks."""
    told = _ask(copy, ASK)
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout.splitlines()[-1])


def _ask(place: Path, code: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(place)}
    return subprocess.run([sys.executable, "-c", code], cwd=place, env=environment, capture_output=True, text=True)


def _edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))


def test_a_model_with_its_target_and_its_table_has_a_training_gates_a_champion_and_predictions(found):
    assert {"stay_length", "stay_length_champion", "stay_forecast"} <= set(found["assets"])
    assert {
        "stay_length: meets_target",
        "stay_length: beats_naive_baseline",
        "stay_forecast: keeps_its_contract",
        "stay_forecast: has_not_drifted",
    } <= set(found["checks"])


def test_a_source_table_is_its_contract_and_has_checks_and_a_quarantine(found):
    assert "loyalty" in found["assets"]
    assert "loyalty: keeps_its_contract" in found["checks"]
    assert "loyalty" in found["judged"]


NAMED = 'name = "stay_length"'
FORGOTTEN = {
    "the model": (
        ("models/stay_length.py", MODEL, None),
        "ImportError: targets.py asks for a model 'stay_length', and there is no models/stay_length.py: add it",
    ),
    "its class": (
        ("models/stay_length.py", "StayLength(CustomerLtv)", "StayLength"),
        "stay_length.py holds no Model of the name 'stay_length', which targets.py asks for",
    ),
    "its contract": (
        ("contracts/predictions.py", '"stay_forecast"', '"stays"'),
        "LookupError: targets.py: stay_length writes 'stay_forecast', which contracts/predictions.py does not have (it "
        "has revenue_forecast, demand_forecast, conversion_scores, price_recommendations, customer_value, stays); add "
        "its contract there",
    ),
    "that another writes the table": (
        ("targets.py", '"stay_forecast"', '"customer_value"'),
        "LookupError: targets.py: customer_ltv and stay_length both write 'customer_value'; give each one of its own",
    ),
    "how a table is called": (
        ("models/stay_length.py", NAMED, f'{NAMED}; reads = ("fact_booking_histroy",)'),
        "LookupError: models/stay_length.py reads 'fact_booking_histroy', which no file of contracts/ has "
        "(fact_booking_history, fact_booking_daily, fact_booking_detail); correct or add it",
    ),
}


@pytest.mark.parametrize("what", FORGOTTEN)
def test_what_was_forgotten_of_a_model_is_named_with_what_to_do(copy: Path, what: str):
    (name, old, new), message = FORGOTTEN[what]
    file = copy / "wanderbricks_assets" / name
    whole = file.read_text()
    try:
        if new is None:
            file.unlink()
        else:
            _edit(file, old, new)
        told = _ask(copy, "import wanderbricks_assets.definitions")
    finally:
        file.write_text(whole)
    assert told.returncode == 1
    assert message in told.stderr.splitlines()[-1]
