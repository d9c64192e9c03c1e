import json

import duckdb
import pytest

from bench.features import TRANSFORMS, Backfill, backfills, same_rows
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.resources.source import FilesSource
from wanderbricks_assets.window import Window
from wanderbricks_assets_tests.marketplace import FIRST, LAST, deliver, random_marketplace
from wanderbricks_assets_tests.whole_pipeline import compute_all


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Backfill]:
    """The backfills of a small home whose source has rows that are repeated or broken."""
    home = tmp_path_factory.mktemp("home")
    deliver(home / "source", random_marketplace(), None, LAST)
    (home / "settings.json").write_text(json.dumps({"start": str(FIRST), "hourly_start": str(FIRST)}))
    days = Window.of_days(FIRST, LAST, opens=True)
    hours = Window(days.start, days.end)
    compute_all(Lake(folder=str(home / "lake")), FilesSource(folder=str(home / "source")), days, hours)
    return backfills(home)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_the_sql_by_hand_gives_the_rows_of_the_transform_to_the_bit(found: dict[str, Backfill], name: str):
    with duckdb.connect() as connection:
        ours, by_hand = found[name].ours(), found[name].by_hand(connection)
    assert ours.num_rows > 50
    same_rows(name, ours, by_hand)


def test_a_single_other_value_is_seen(found: dict[str, Backfill]):
    ours = found["user_features"].ours()
    country = ours.schema.get_field_index("country")
    other = ours.set_column(country, "country", [["Atlantis", *ours["country"].to_pylist()[1:]]])
    with pytest.raises(AssertionError, match="other values of country"):
        same_rows("user_features", ours, other)
