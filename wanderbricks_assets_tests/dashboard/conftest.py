"""Homes for the dashboard to look at: with something on every page, and with nothing at all."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from wanderbricks_assets.dashboard import place
from wanderbricks_assets.models import all as all_models
from wanderbricks_assets.models.registry import ModelRegistry
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets_tests.dashboard import small_lake
from wanderbricks_assets_tests.models.test_lifecycle import FIRST_WEEK, THIRD_WEEK, MeanRevenue, Pipeline


@pytest.fixture
def look_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Path]:
    """Lets the pages of this process read the home in a folder."""

    def look(folder: Path) -> Path:
        address = f"sqlite:///{folder / 'mlflow.db'}"
        registry = ModelRegistry(tracking_uri=address, artifact_folder=str(folder / "artifacts"))
        lake = Lake(folder=str(folder / "lake"))
        monkeypatch.setattr(place, "lake", lambda: lake)
        monkeypatch.setattr(place, "registry", lambda: registry)
        return folder

    return look


@pytest.fixture
def empty_home(tmp_path: Path, look_at) -> Path:
    return look_at(tmp_path)


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nothing was trained, but every table of predictions has rows. Not to be written into."""
    folder = tmp_path_factory.mktemp("filled")
    small_lake.fill(Lake(folder=str(folder / "lake")))
    return folder


@pytest.fixture
def filled_home(filled: Path, look_at) -> Path:
    return look_at(filled)


@pytest.fixture
def own_home(filled: Path, tmp_path: Path, look_at) -> Path:
    """A filled home that a test may write into."""
    shutil.copytree(filled, tmp_path, dirs_exist_ok=True)
    return look_at(tmp_path)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A filled home in which a version serves and the next one missed its gates. Not to be written into."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(all_models.MODELS, MeanRevenue.name, MeanRevenue)
        pipeline = Pipeline(folder)
        assert pipeline.train(FIRST_WEEK).success
        patch.setattr(MeanRevenue, "mape", 0.3)
        assert not pipeline.train(THIRD_WEEK).success
    small_lake.fill(pipeline.lake)
    return folder


@pytest.fixture
def trained_home(trained: Path, look_at) -> Path:
    return look_at(trained)
