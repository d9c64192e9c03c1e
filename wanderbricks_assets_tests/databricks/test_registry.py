"""Versions in Unity Catalog, through MLflow's own client, against a stand-in for the workspace."""

from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from wanderbricks_assets.models.registry import CUTOFF, DECISION, ModelRegistry
from wanderbricks_assets.targets import TARGETS
from wanderbricks_assets_tests.databricks.stand_in import StandIn

TARGET = TARGETS["revenue_forecaster"]
NAME = "main.wanderbricks.wanderbricks_revenue_forecaster"


@pytest.fixture
def registry(stand_in: StandIn, tmp_path: Path) -> ModelRegistry:
    stand_in.models.runs = {NAME: ["run-a", "run-b", "run-c"], "main.other.wanderbricks_revenue_forecaster": ["run-d"]}
    for number in (1, 2, 3):
        stand_in.models.tags[NAME, str(number)] = {CUTOFF: datetime(2024, 1, 7 * number + 1).isoformat()}
    return ModelRegistry(tracking_uri="databricks", artifact_folder=str(tmp_path), model_schema="main.wanderbricks")


def test_a_promoted_version_is_the_one_under_the_alias_and_no_stage_is_asked_for(
    registry: ModelRegistry, stand_in: StandIn
):
    assert registry.serving_version(TARGET) is None
    registry.promote(TARGET, "2")
    assert registry.serving_version(TARGET) == "2"
    assert stand_in.models.aliases == {(NAME, "Production"): "2"}
    assert not [request for request in stand_in.requests if "stage" in request]


def test_all_versions_are_found_over_pages_with_their_tags_and_those_of_no_other_schema(registry: ModelRegistry):
    registry.record_decision(TARGET, "1", "It was the first.")
    found = registry.registered(TARGET)
    assert [(one.version, one.run_id) for one in found] == [("3", "run-c"), ("2", "run-b"), ("1", "run-a")]
    assert found[-1].decision == "It was the first."


def test_at_a_past_moment_the_version_that_served_then_is_found(registry: ModelRegistry, stand_in: StandIn):
    registry.promote(TARGET, "1")
    registry.promote(TARGET, "3")
    assert registry.serving_version(TARGET, datetime(2024, 1, 16)) == "1"
    assert stand_in.models.tags[NAME, "1"].keys() >= {CUTOFF, "promoted"}
    assert DECISION not in stand_in.models.tags[NAME, "1"]


def test_registering_a_run_again_gives_the_version_that_it_made(registry: ModelRegistry, stand_in: StandIn):
    assert registry.register(TARGET, "run-b") == "2"
    assert stand_in.models.aliases[NAME, "Challenger"] == "2"


def test_a_run_is_looked_at_in_the_workspace(registry: ModelRegistry, stand_in: StandIn):
    run = SimpleNamespace(info=SimpleNamespace(experiment_id="12", run_id="run-a"))
    assert registry.page(run) == f"{stand_in.url}/ml/experiments/12/runs/run-a"
