"""The definitions for Databricks are those of this machine, but for the place where their bodies run."""

import dagster as dg
import pytest

from wanderbricks_assets.automation.jobs import JOBS
from wanderbricks_assets.definitions import everything
from wanderbricks_assets.models.all import MODELS
from wanderbricks_assets.models.lifecycle import champion_key
from wanderbricks_assets.resources import engine as engines
from wanderbricks_assets.resources.databricks import on_databricks
from wanderbricks_assets.settings import Settings

HERE = everything()
THERE = on_databricks(HERE)
HERE_GRAPH, THERE_GRAPH = HERE.resolve_asset_graph(), THERE.resolve_asset_graph()
ALIKE = (
    "partitions_def",
    "partition_mappings",
    "parent_keys",
    "metadata",
    "tags",
    "owners",
    "kinds",
    "group_name",
    "description",
    "backfill_policy",
    "automation_condition",
    "check_keys",
    "pools",
    "is_executable",
)


@pytest.mark.parametrize("said", ALIKE)
def test_every_asset_says_the_same_of_itself(said: str):
    assert THERE_GRAPH.get_all_asset_keys() == HERE_GRAPH.get_all_asset_keys()
    for key in HERE_GRAPH.get_all_asset_keys():
        assert getattr(THERE_GRAPH.get(key), said) == getattr(HERE_GRAPH.get(key), said), key


def test_every_check_is_there_and_blocks_what_it_blocks_here():
    assert THERE_GRAPH.asset_check_keys == HERE_GRAPH.asset_check_keys
    for key in HERE_GRAPH.asset_check_keys:
        here, there = HERE_GRAPH.get_check_spec(key), THERE_GRAPH.get_check_spec(key)
        assert (there.blocking, there.description, there.partitions_def) == (
            here.blocking,
            here.description,
            here.partitions_def,
        )


@pytest.mark.parametrize("job", [job.name for job in JOBS])
def test_every_job_makes_and_checks_the_same(job: str):
    here, there = HERE.resolve_job_def(job).asset_layer, THERE.resolve_job_def(job).asset_layer
    assert there.selected_asset_keys == here.selected_asset_keys
    assert set(there.executable_asset_keys) == set(here.executable_asset_keys)
    assert set(there.asset_graph.asset_check_keys) == set(here.asset_graph.asset_check_keys)


def test_schedules_and_sensors_are_the_same_but_for_the_one_that_watches_files():
    assert THERE.schedules == HERE.schedules
    assert {sensor.name for sensor in HERE.sensors} - {sensor.name for sensor in THERE.sensors} == {"source_sensor"}


def test_what_needs_no_table_runs_here_and_all_else_there():
    steps = {
        step.op.name: step for step in (*THERE.assets, *THERE.asset_checks) if isinstance(step, dg.AssetsDefinition)
    }
    here = {name for name, step in steps.items() if "jobs" not in step.required_resource_keys}
    assert here == {step for name, model in MODELS.items() for step in (f"{name}_gates", champion_key(model))}
    assert not any({"lake", "source"} & steps[name].required_resource_keys for name in steps)


def test_tables_out_of_reach_are_no_empty_tables(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(engines, "settings", lambda: Settings(profile="databricks"))
    engines.engine.cache_clear()
    with pytest.raises(engines.OutOfReach, match="set SPARK_REMOTE"):
        engines.engine()
