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
def found(tmp_path_factory) -> dict[str, list[str]]:
    """The keys of assets and checks of a copy with one model and one source table more."""
    place = tmp_path_factory.mktemp("copy")
    package = place / "wanderbricks_assets"
    shutil.copytree(Path(wanderbricks_assets.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "models" / "stay_length.py").write_text(MODEL)
    _edit(package / "targets.py", "\n# The serving endpoint", f"{TARGET}\n# The serving endpoint")
    _edit(package / "contracts" / "predictions.py", "\nPREDICTIONS: dict", PREDICTIONS)
    _edit(package / "contracts" / "source.py", "\nSOURCE: dict", SOURCE)
    _edit(package / "contracts" / "source.py", SOURCE_LIST, f"{SOURCE_LIST}\n        LOYALTY,")
    told = subprocess.run(
        [sys.executable, "-c", ASK],
        cwd=place,
        env=os.environ | {"PYTHONPATH": str(place)},
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout.splitlines()[-1])


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
