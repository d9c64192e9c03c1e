"""The same on a real Postgres that holds Dagster's storage, as a team has it."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from wanderbricks_assets_tests.automation.alerts.servers import Webhook
from wanderbricks_assets_tests.automation.alerts.world import ONE_DAY, World, audience, prices
from wanderbricks_assets_tests.postgres_server import postgres


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory):
    with postgres(tmp_path_factory.mktemp("postgres") / "server") as url:
        yield url


@pytest.fixture
def on_postgres(tmp_path: Path, hook: Webhook, database: str) -> World:
    world = World(tmp_path, hook.url, database)
    world.instance.event_log_storage.wipe()
    return world


def test_alerts_lie_beside_dagsters_own_tables_and_are_told_once(on_postgres: World, hook: Webhook):
    world, name = on_postgres, f"prices, check few_are_dear ({ONE_DAY})"
    world.ill("few_are_dear")
    world.run([prices], partition_key=ONE_DAY)
    world.round_that_is_killed("begin")
    assert hook.titles == []
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: World(world.home, world.urls, world.postgres).round(), range(3)))
    world.run([prices], partition_key=ONE_DAY)
    world.round()
    world.well("few_are_dear")
    world.ill("audience")
    world.run([audience])
    world.run([prices], partition_key=ONE_DAY)
    world.round()
    assert hook.titles == [f"WARN: {name}", "ERROR: audience, step", f"Recovered: {name}"]
    assert not (world.home / "alerts.db").exists()


def test_an_event_that_appears_after_one_with_a_higher_number_is_read(on_postgres: World, hook: Webhook):
    import sqlalchemy as sa

    world = on_postgres
    world.round()
    world.evaluated(passed=False, day="2024-01-03", check="none_is_missing")
    world.evaluated(passed=False, day="2024-01-04", check="none_is_missing")
    with sa.create_engine(world.postgres).begin() as connection:  # the first one's transaction has not ended yet
        first = connection.scalar(sa.text("select min(id) from event_logs"))
        connection.execute(sa.text(f"update event_logs set id = -id where id = {first}"))
    world.round()
    with sa.create_engine(world.postgres).begin() as connection:
        connection.execute(sa.text(f"update event_logs set id = -id where id = {-first}"))
    world.round()
    world.round()
    assert [title.partition("(")[2] for title in hook.titles] == ["2024-01-04)", "2024-01-03)"]
