"""A stand-in for a workspace with this package's wheel and a small marketplace, and a profile that points to it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from wanderbricks_assets.contracts.source import SOURCE
from wanderbricks_assets.resources import databricks_jobs, workspace
from wanderbricks_assets.settings import Settings
from wanderbricks_assets_tests.databricks.stand_in import StandIn
from wanderbricks_assets_tests.engines import SMALL
from wanderbricks_assets_tests.marketplace import arrow_of, booking, view

TOKEN = "dapi-planted-0123456789abcdef"
VOLUME = "Volumes/main/wanderbricks/files"
_MAKE_TABLES = """
import sys
from pathlib import Path
from wanderbricks_assets.resources.spark import spark_session
spark = spark_session(Path(sys.argv[1]))
spark.sql("CREATE SCHEMA marketplace")
for file in Path(sys.argv[2]).glob("*.parquet"):
    spark.read.parquet(str(file)).write.saveAsTable(f"marketplace.{file.stem}")
"""
PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This package, built from a copy, as building leaves folders behind."""
    copy, out = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("dist")
    for name in ("pyproject.toml", "setup.cfg", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, copy)
    shutil.copytree(PROJECT / "wanderbricks_assets", copy / "wanderbricks_assets")
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    build = [uv, "build", "--wheel", "--offline", "--no-build-isolation", "--python", sys.executable]
    subprocess.run([*build, "--out-dir", out, copy], check=True, capture_output=True)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="package")
def workspace_of_all(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Iterator[StandIn]:
    """One workspace for all tests, as a catalog takes seconds to make."""
    folder = tmp_path_factory.mktemp("workspace")
    # One core and nothing that pays only with much data: a query of a dozen rows is all planning and compiling.
    options = folder / "conf" / "spark-defaults.conf"
    options.parent.mkdir()
    options.write_text("".join(f"{name} {value}\n" for name, value in SMALL.items()))
    jvm = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
    cluster = {"MASTER": "local[1]", "SPARK_CONF_DIR": str(options.parent), "SPARK_SUBMIT_OPTS": jvm}
    there = StandIn(folder, TOKEN, cluster)
    wheels = folder / VOLUME / "wheels"
    wheels.mkdir(parents=True)
    shutil.copy(wheel, wheels)
    yield there
    there.close()


@pytest.fixture
def stand_in(
    workspace_of_all: StandIn, profile: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> Iterator[StandIn]:
    """The workspace without jobs or endpoints, and this process logged into it by the SDK's own variables."""
    there = workspace_of_all
    there.forget()
    profile()
    for name in [name for name in os.environ if name.startswith("DATABRICKS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DATABRICKS_HOST", there.url)
    monkeypatch.setenv("DATABRICKS_TOKEN", TOKEN)
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(there.folder / "none"))
    # Messages of a task that died are waited for, by default for ten seconds.
    monkeypatch.setattr("dagster._core.pipes.utils.WAIT_FOR_LOGS_AFTER_EXECUTION_INTERVAL", 1)
    workspace.workspace.cache_clear()
    yield there
    workspace.workspace.cache_clear()


@pytest.fixture
def profile(workspace_of_all: StandIn, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Settings]:
    """Makes the profile that this process has, with some settings given."""

    def choose(**given: object) -> Settings:
        chosen = Settings(
            profile="databricks",
            databricks_schema="spark_catalog.wanderbricks",  # a local Spark's one catalog
            databricks_source="spark_catalog.marketplace",
            databricks_volume=str(workspace_of_all.folder / VOLUME),
            databricks_poll_seconds=0.2,
            **given,
        )
        monkeypatch.setattr(databricks_jobs, "settings", lambda: chosen)
        return chosen

    return choose


@pytest.fixture(scope="package")
def marketplace(workspace_of_all: StandIn) -> None:
    """Some source tables in the workspace's catalog: what `samples.wanderbricks` is on Databricks."""
    files = workspace_of_all.folder / "marketplace"
    files.mkdir()
    tables = {
        "destinations": [{"destination_id": 1, "destination": "Lisbon", "country": "Portugal"}],
        "bookings": [booking(number, f"2024-01-0{number} 09:00") for number in (1, 2, 3, 4, 5)],
        "page_views": [view(1, "2024-01-02 10:00"), view(2, "2024-01-03 10:00")],
    }
    for name, rows in tables.items():
        pq.write_table(arrow_of(SOURCE[name], rows), files / f"{name}.parquet")
    home = workspace_of_all.folder / VOLUME / "home"
    home.mkdir()
    command = [sys.executable, "-c", _MAKE_TABLES, str(home / "spark"), str(files)]
    environment = {**os.environ, **workspace_of_all.environment}
    subprocess.run(command, check=True, capture_output=True, env=environment, cwd=PROJECT)
