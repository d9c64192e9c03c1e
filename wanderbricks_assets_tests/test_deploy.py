"""The dagster.yaml of one machine and of a team: read by Dagster itself, on SQLite and on a real Postgres."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.instance.config import PoolGranularity

from wanderbricks_assets.definitions import defs
from wanderbricks_assets.home import enter, make_databases
from wanderbricks_assets.models.all import MODELS
from wanderbricks_assets.settings import Settings
from wanderbricks_assets_tests.postgres_server import postgres

TEAM = Path(__file__).parents[1] / "deploy" / "team"


@dg.asset(partitions_def=dg.StaticPartitionsDefinition(["a", "b"]), backfill_policy=dg.BackfillPolicy.single_run())
def counted() -> None:
    """Any asset: what matters is that its events come back."""


@pytest.fixture(params=["one machine", "team"])
def instance(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    for name in ("DAGSTER_HOME", "WANDERBRICKS_HOME"):
        monkeypatch.setenv(name, "restored after the test")
    settings = Settings(home=tmp_path / "home", mlflow_tracking_uri="http://127.0.0.1:9")  # no database is made for it
    if request.param == "one machine":
        enter(settings)
        make_databases(settings)
        with dg.DagsterInstance.get() as instance:
            yield instance
        return
    settings.dagster_home.mkdir(parents=True)
    shutil.copy(TEAM / "dagster.yaml", settings.dagster_home)
    with postgres(tmp_path / "postgres") as url:
        monkeypatch.setenv("DAGSTER_POSTGRES_URL", url)
        enter(settings)
        make_databases(settings)
        with dg.DagsterInstance.get() as instance:
            assert type(instance.event_log_storage).__name__ == "PostgresEventLogStorage"
            yield instance
        assert not (settings.dagster_home / "history").exists(), "nothing goes to SQLite"


def test_what_was_materialized_is_known_and_pools_queue_and_retries_are_as_written(instance: dg.DagsterInstance):
    ranged = {"dagster/asset_partition_range_start": "a", "dagster/asset_partition_range_end": "b"}
    assert dg.materialize([counted], instance=instance, tags=ranged).success
    assert instance.get_materialized_partitions(dg.AssetKey("counted")) == {"a", "b"}

    concurrency = instance.get_concurrency_config()
    assert concurrency.pool_config.default_pool_limit == 1
    assert concurrency.pool_config.pool_granularity == PoolGranularity.RUN
    assert type(instance.run_coordinator).__name__ == "QueuedRunCoordinator"
    assert concurrency.run_queue_config.max_concurrent_runs in (2, 8)
    assert instance.run_retries_enabled
    assert not instance.run_retries_retry_on_asset_or_op_failure
    assert instance.run_monitoring_enabled
    ticks = instance.get_tick_retention_settings(InstigatorType.SENSOR)
    assert sorted(ticks.values()) == [7, 90, 90, 90]


def test_the_address_that_the_file_shows_names_a_driver_that_is_installed():
    shown = re.search(r"DAGSTER_POSTGRES_URL +(\S+)", (TEAM / "dagster.yaml").read_text())[1]
    assert sa.make_url(shown).get_dialect().import_dbapi().__name__ == "psycopg2"


def test_training_is_a_pool_of_its_own_that_nothing_else_waits_for():
    pools = {
        key.to_user_string(): assets.op.pool for assets in defs.get_repository_def().assets_defs_by_key.values()
        for key in assets.keys if assets.is_executable
    }  # fmt: skip
    assert {name for name, pool in pools.items() if pool} == set(MODELS)
    assert set(filter(None, pools.values())) == {"training"}
