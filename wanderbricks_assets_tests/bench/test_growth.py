"""The benchmark of growing histories: its sources grow by what is new, and by nothing else."""

from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from bench.growth import grow
from wanderbricks_assets.contracts.source import SOURCE
from wanderbricks_assets.resources.source import FilesSource
from wanderbricks_assets.simulator import simulate
from wanderbricks_assets_tests.marketplace import at

START, MIDDLE, END = at("2024-01-01"), at("2024-01-20"), at("2024-02-10")
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("growth") / "whole"
    simulate(folder, END, start=START, scale=0.02)
    return folder


def rows(folder: Path, name: str) -> list[tuple]:
    return sorted(map(repr, FilesSource(folder=str(folder)).read(name).to_pyarrow().to_pylist()))


def test_a_source_that_grew_by_hours_and_days_holds_what_the_whole_one_does(whole: Path, tmp_path: Path):
    moments = [START, MIDDLE, MIDDLE + HOUR, MIDDLE + timedelta(days=1), END]
    for since, until in pairwise(moments):
        grow(whole, tmp_path / "grown", START, since, until)
    events = [name for name, contract in SOURCE.items() if contract.time_column and (whole / name).is_dir()]
    assert {name for name in events if rows(whole, name) != rows(tmp_path / "grown", name)} == set()
    assert rows(whole, "page_views")


def test_a_shorter_history_has_its_own_events_and_the_users_whom_they_name(whole: Path, tmp_path: Path):
    grow(whole, tmp_path / "short", MIDDLE, MIDDLE, END)
    source, every = FilesSource(folder=str(tmp_path / "short")), FilesSource(folder=str(whole))
    assert source.read("page_views").timestamp.min().to_pyarrow().as_py() >= MIDDLE
    views, users = source.read("page_views"), source.read("users")
    assert views.filter(views.user_id.notnull()).anti_join(users, "user_id").count().to_pyarrow().as_py() == 0
    assert 0 < users.count().to_pyarrow().as_py() < every.read("users").count().to_pyarrow().as_py()


def test_each_listing_keeps_the_price_that_held_when_a_shorter_history_begins(whole: Path, tmp_path: Path):
    grow(whole, tmp_path / "short", MIDDLE, MIDDLE, END)
    found, prices = (FilesSource(folder=str(each)).read("property_updates") for each in (tmp_path / "short", whole))
    before = prices.filter(prices.updated_at < MIDDLE)
    held = before.group_by("property_id").agg(updated_at=before.updated_at.max())
    assert found.filter(found.updated_at < MIDDLE).count().to_pyarrow().as_py() == held.count().to_pyarrow().as_py()
    assert held.anti_join(found, ["property_id", "updated_at"]).count().to_pyarrow().as_py() == 0
