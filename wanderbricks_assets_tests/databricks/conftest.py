"""A stand-in for a workspace with this package's wheel and a small marketplace, and a profile that points to it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wanderbricks_assets.resources import databricks_jobs, workspace
from wanderbricks_assets.settings import Settings
from wanderbricks_assets_tests.databricks.stand_in import StandIn

TOKEN = "dapi-planted-0123456789abcdef"
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


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Settings]:
    """Makes the profile that this process has, with some settings given."""

    def choose(**given: object) -> Settings:
        volume = tmp_path / "Volumes/main/wanderbricks/files"
        chosen = Settings(profile="databricks", databricks_volume=str(volume), databricks_poll_seconds=0.2, **given)
        monkeypatch.setattr(databricks_jobs, "settings", lambda: chosen)
        return chosen

    return choose


@pytest.fixture
def stand_in(
    tmp_path: Path, wheel: Path, profile: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> Iterator[StandIn]:
    """A workspace that this process is logged into, by the SDK's own variables."""
    for name in [name for name in os.environ if name.startswith("DATABRICKS_")]:
        monkeypatch.delenv(name)
    there = StandIn(tmp_path, TOKEN)
    wheels = Path(profile().volume) / "wheels"
    wheels.mkdir(parents=True)
    shutil.copy(wheel, wheels)
    monkeypatch.setenv("DATABRICKS_HOST", there.url)
    monkeypatch.setenv("DATABRICKS_TOKEN", TOKEN)
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "none"))
    # Messages of a task that died are waited for, by default for ten seconds.
    monkeypatch.setattr("dagster._core.pipes.utils.WAIT_FOR_LOGS_AFTER_EXECUTION_INTERVAL", 1)
    workspace.workspace.cache_clear()
    yield there
    workspace.workspace.cache_clear()
    there.close()
