"""The lake: a write replaces exactly the rows of its window, whole or not at all."""

import multiprocessing
import signal
import time
import uuid
from datetime import date, timedelta
from multiprocessing.context import BaseContext
from pathlib import Path

import ibis
import pytest
from deltalake import DeltaTable

from wanderbricks_assets.contracts.activation import PRICE_DECISIONS
from wanderbricks_assets.contracts.features import ENGAGEMENT_FEATURES, PROPERTY_FEATURES
from wanderbricks_assets.contracts.gold import DIM_HOST
from wanderbricks_assets.contracts.tables import LAKE
from wanderbricks_assets.resources import lake as lakes
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.resources.spark_lake import SparkLake
from wanderbricks_assets.window import Window
from wanderbricks_assets_tests.marketplace import at, day, table_of
from wanderbricks_assets_tests.resources import lake_writers


@pytest.fixture
def delta(tmp_path: Path) -> Lake:
    return Lake(folder=str(tmp_path / "lake"))


@pytest.fixture
def lake(engine: str, delta: Lake) -> Lake:
    """Where each engine keeps it."""
    return delta if engine == "duckdb" else SparkLake(database=f"lake_{uuid.uuid4().hex}")


def days(first: str, last: str | None = None, opens: bool = False) -> Window:
    return Window.of_days(day(first), day(last or first), opens)


def photos(feature_date: str, *counts: int) -> list[dict]:
    """Rows of property_features, one property per count."""
    return [
        {"property_id": key, "feature_date": day(feature_date), "photos_count": count}
        for key, count in enumerate(counts, start=1)
    ]


def property_features(*rows: dict) -> ibis.Table:
    return table_of(PROPERTY_FEATURES, *(row | {"available_at": at(f"{row['feature_date']} 00:00")} for row in rows))


def held(lake: Lake, window: Window | None = None) -> list[tuple[str, int, int]]:
    rows = lake.read("property_features", window).to_pyarrow().to_pylist()
    return sorted((str(row["feature_date"]), row["property_id"], row["photos_count"]) for row in rows)


def hours(*rows: tuple[str, int]) -> ibis.Table:
    return table_of(
        ENGAGEMENT_FEATURES,
        *(
            {
                "property_id": 1,
                "feature_hour": at(hour),
                "view_count": views,
                "available_at": at(hour) + timedelta(hours=1),
            }
            for hour, views in rows
        ),
    )


def held_hours(lake: Lake, window: Window | None = None) -> list[tuple[str, int]]:
    rows = lake.read("engagement_features", window).to_pyarrow().to_pylist()
    return sorted((f"{row['feature_hour']:%Y-%m-%d %H:%M}", row["view_count"]) for row in rows)


def test_replacing_a_window_replaces_exactly_its_rows(lake: Lake):
    three_days = [*photos("2024-01-30", 1, 2), *photos("2024-01-31", 3, 4), *photos("2024-02-01", 5)]
    assert lake.replace("property_features", property_features(*three_days), days("2024-01-30", "2024-02-01")) == 5
    replacement = property_features(*photos("2024-01-31", 30), *photos("2024-02-01", 50, 60))
    assert lake.replace("property_features", replacement, days("2024-01-31", "2024-02-01")) == 3
    assert held(lake) == [
        ("2024-01-30", 1, 1),
        ("2024-01-30", 2, 2),
        ("2024-01-31", 1, 30),
        ("2024-02-01", 1, 50),
        ("2024-02-01", 2, 60),
    ]


def test_replacing_a_window_with_nothing_empties_it_and_leaves_its_neighbours(lake: Lake):
    three_days = [*photos("2024-01-01", 1), *photos("2024-01-02", 2), *photos("2024-01-03", 3)]
    lake.replace("property_features", property_features(*three_days), days("2024-01-01", "2024-01-03"))
    assert lake.replace("property_features", property_features(), days("2024-01-02")) == 0
    assert held(lake) == [("2024-01-01", 1, 1), ("2024-01-03", 1, 3)]


def test_repeating_a_write_changes_nothing(lake: Lake):
    rows = property_features(*photos("2024-01-01", 1, 2), *photos("2024-01-02", 3))
    for _ in range(3):
        lake.replace("property_features", rows, days("2024-01-01", "2024-01-02"))
    assert held(lake) == [("2024-01-01", 1, 1), ("2024-01-01", 2, 2), ("2024-01-02", 1, 3)]


@pytest.mark.parametrize("stray", ["2024-01-01", "2024-01-03"])
def test_rows_outside_the_window_are_refused_and_change_nothing(lake: Lake, stray: str):
    lake.replace("property_features", property_features(*photos("2024-01-02", 1)), days("2024-01-02"))
    version = lake.version("property_features")
    rows = property_features(*photos("2024-01-02", 9), *photos(stray, 9))
    with pytest.raises(ValueError, match=f"property_features: rows from .*{stray}.* do not fit the window"):
        lake.replace("property_features", rows, days("2024-01-02"))
    assert held(lake) == [("2024-01-02", 1, 1)]
    assert lake.version("property_features") == version


def test_a_table_never_written_is_empty_with_its_columns(lake: Lake):
    for name, contract in LAKE.items():
        assert lake.version(name) is None
        rows = lake.read(name, days("2024-01-01") if contract.time_column else None)
        assert rows.columns == tuple(contract.schema.names)
        assert rows.count().to_pyarrow().as_py() == 0
    assert not any(lake.columns(name) for name in LAKE)


def test_the_first_window_is_open_to_the_past(lake: Lake):
    rows = property_features(*photos("2021-05-03", 1), *photos("2024-01-01", 2))
    lake.replace("property_features", rows, days("2024-01-01", opens=True))
    assert held(lake, days("2024-01-01", opens=True)) == [("2021-05-03", 1, 1), ("2024-01-01", 1, 2)]
    assert held(lake, days("2024-01-01")) == [("2024-01-01", 1, 2)]
    lake.replace("property_features", property_features(*photos("2024-01-02", 3)), days("2024-01-02"))
    lake.replace("property_features", property_features(*photos("2022-01-01", 4)), days("2024-01-01", opens=True))
    assert held(lake) == [("2022-01-01", 1, 4), ("2024-01-02", 1, 3)]


def test_a_window_of_hours_ends_before_its_last_instant(lake: Lake):
    rows = hours(("2024-01-31 22:00", 1), ("2024-01-31 23:00", 2), ("2024-02-01 00:00", 3))
    whole = Window(at("2024-01-31 22:00"), at("2024-02-01 01:00"))
    lake.replace("engagement_features", rows, whole)
    hour = Window(at("2024-01-31 23:00"), at("2024-02-01 00:00"))
    assert held_hours(lake, hour) == [("2024-01-31 23:00", 2)]
    lake.replace("engagement_features", hours(("2024-01-31 23:00", 20)), hour)
    assert held_hours(lake) == [("2024-01-31 22:00", 1), ("2024-01-31 23:00", 20), ("2024-02-01 00:00", 3)]
    with pytest.raises(ValueError, match="do not fit"):
        lake.replace("engagement_features", hours(("2024-02-01 00:00", 9)), hour)


def test_times_of_microseconds_and_days_come_back_as_they_were_written(lake: Lake):
    instant = at("2024-01-31 23:59:59.999999")
    row = {"property_id": 1, "feature_date": day("2024-01-31"), "photos_count": 1, "available_at": instant}
    lake.replace("property_features", table_of(PROPERTY_FEATURES, row), days("2024-01-31"))
    found = lake.read("property_features", days("2024-01-31")).to_pyarrow().to_pylist()[0]
    assert (found["feature_date"], found["available_at"]) == (date(2024, 1, 31), instant)


def test_a_table_without_time_is_replaced_whole(lake: Lake):
    lake.replace("dim_host", table_of(DIM_HOST, {"host_id": 1, "name": "Ana"}, {"host_id": 2, "name": "Rui"}))
    lake.replace("dim_host", table_of(DIM_HOST, {"host_id": 3, "name": "Eva"}))
    assert lake.read("dim_host").select("host_id", "name").to_pyarrow().to_pylist() == [{"host_id": 3, "name": "Eva"}]


def test_a_long_window_is_filled_in_pieces_of_so_many_rows(delta: Lake, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lakes, "MOST_ROWS", 120)
    asked = []

    def rows_of(days: Window) -> ibis.Table:
        asked.append(days)
        return lake_writers.features_of_days(days.first_day, length(days), properties=2, mark=len(asked))

    # The two rows of the last day tell that 120 rows are 60 days.
    assert delta.fill("property_features", rows_of, days("2024-01-01", "2024-04-30", opens=True)) == 2 * 121
    assert asked == [
        days("2024-04-30"),
        days("2024-01-01", "2024-02-29", opens=True),
        days("2024-03-01", "2024-04-29"),
        days("2024-04-30"),
    ]
    assert {(row[0][:7], row[2]) for row in held(delta)} == {
        ("2024-01", 2),
        ("2024-02", 2),
        ("2024-03", 3),
        ("2024-04", 3),
        ("2024-04", 4),
    }


def test_a_piece_that_was_busier_than_the_last_day_makes_the_next_one_shorter(
    delta: Lake, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(lakes, "MOST_ROWS", 100)
    pieces = []

    def rows_of(days: Window) -> ibis.Table:
        pieces.append(length(days))
        properties = 10 if days.start < at("2024-03-01 00:00") else 2
        return lake_writers.features_of_days(days.first_day, length(days), properties, mark=0)

    delta.fill("property_features", rows_of, days("2024-01-01", "2024-04-30"))
    assert pieces == [1, 50, 10, 10, 50, 1]


def test_a_long_window_in_which_nothing_happens_is_one_piece(delta: Lake):
    asked, window = [], days("2024-01-01", "2024-04-30")
    assert delta.fill("property_features", lambda piece: asked.append(piece) or property_features(), window) == 0
    assert asked == [days("2024-04-30"), window]


def test_a_few_days_or_hours_are_filled_at_once(delta: Lake):
    for window in (days("2024-01-01", "2024-01-07"), Window(at("2024-01-01 13:00"), at("2024-01-01 14:00"))):
        asked = []
        delta.fill("engagement_features", lambda asked_for, to=asked: to.append(asked_for) or hours(), window)
        assert asked == [window]


def test_what_stops_a_piece_leaves_those_before_it_new_and_the_others_as_they_were(
    delta: Lake, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(lakes, "MOST_ROWS", 31)
    whole = days("2024-01-01", "2024-02-29")
    delta.replace("property_features", lake_writers.features_of_days(whole.first_day, 60, properties=1, mark=0), whole)

    def rows_of(piece: Window) -> ibis.Table:
        if piece.first_day == day("2024-02-01"):
            raise lakes.CannotWrite("the disk is full")
        return lake_writers.features_of_days(piece.first_day, length(piece), properties=1, mark=1)

    with pytest.raises(lakes.CannotWrite, match=r"the disk is full \(Days before 2024-02-01 are written\.\)"):
        delta.fill("property_features", rows_of, whole)
    assert {(row[0][:7], row[2]) for row in held(delta)} == {("2024-01", 1), ("2024-02", 0)}


@pytest.mark.parametrize("engine", ["spark"], indirect=True)
def test_executors_fill_a_window_at_once(lake: Lake):
    asked, window = [], days("2024-01-01", "2024-02-29")
    lake.fill("property_features", lambda piece: asked.append(piece) or property_features(), window)
    assert asked == [window]


def length(days: Window) -> int:
    return (days.end - days.start).days


def test_a_table_is_revised_from_its_own_rows(lake: Lake):
    for key in (1, 2):
        rows = table_of(DIM_HOST, {"host_id": key, "property_count": 0})
        assert lake.revise("dim_host", rows.union) == key
    assert sorted(lake.read("dim_host").host_id.to_pyarrow().to_pylist()) == [1, 2]


def test_a_record_is_added_to(lake: Lake):
    for number in (1, 2):
        decision = {"decision_id": str(number), "decided_at": at("2024-01-02 10:00"), "decision": "accept"}
        assert lake.append("price_decisions", table_of(PRICE_DECISIONS, decision)) == 1
    assert sorted(lake.read("price_decisions").decision_id.to_pyarrow().to_pylist()) == ["1", "2"]


def test_the_columns_of_a_table_are_told_as_they_are_stored(lake: Lake):
    lake.replace("property_features", property_features(*photos("2024-01-01", 1)), days("2024-01-01"))
    stored = {name: type_.replace("(6)", "") for name, type_ in lake.columns("property_features").items()}
    assert stored == {name: str(type_) for name, type_ in PROPERTY_FEATURES.schema.items()}


def test_a_table_is_written_by_window_or_whole_but_not_the_other_way(lake: Lake):
    with pytest.raises(ValueError, match="property_features is written by window"):
        lake.replace("property_features", property_features())
    with pytest.raises(ValueError, match="dim_host is written whole"):
        lake.replace("dim_host", table_of(DIM_HOST), days("2024-01-01"))
    assert lake.version("property_features") is lake.version("dim_host") is None


def test_a_missing_column_is_named_and_nothing_is_written(lake: Lake):
    lake.replace("property_features", property_features(*photos("2024-01-01", 1)), days("2024-01-01"))
    rows = property_features(*photos("2024-01-01", 2)).drop("occupancy_30d")
    with pytest.raises(ValueError, match=r"property_features: columns \['occupancy_30d'\] are missing"):
        lake.replace("property_features", rows, days("2024-01-01"))
    assert held(lake) == [("2024-01-01", 1, 1)]


def test_reading_a_window_opens_only_the_files_of_the_window(delta: Lake):
    for text in ("2024-01-01", "2024-01-02", "2024-02-01"):
        delta.replace("property_features", property_features(*photos(text, 1)), days(text))
    wanted = {Path(file) for file in DeltaTable(str(Path(delta.folder) / "property_features")).file_uris()}
    assert len(wanted) == 3
    spoilt = [file for file in wanted if "2024-01-02" not in str(held_in(file))]
    for file in spoilt:
        file.write_bytes(b"not Parquet")
    assert len(spoilt) == 2
    assert held(delta, days("2024-01-02")) == [("2024-01-02", 1, 1)]
    with pytest.raises(Exception, match="Parquet"):
        held(delta)


def held_in(file: Path) -> list[str]:
    rows = ibis.read_parquet(file, hive_partitioning=False)
    return [str(found) for found in rows.feature_date.to_pyarrow().to_pylist()]


def test_replacing_a_day_leaves_the_files_of_other_months_alone(delta: Lake):
    for text in ("2024-01-05", "2024-02-05"):
        delta.replace("property_features", property_features(*photos(text, 1)), days(text))
    folder = Path(delta.folder) / "property_features"
    january = set((folder / "month=2024-01").iterdir())
    delta.replace("property_features", property_features(*photos("2024-02-05", 2)), days("2024-02-05"))
    assert set((folder / "month=2024-01").iterdir()) == january
    assert held(delta) == [("2024-01-05", 1, 1), ("2024-02-05", 1, 2)]


@pytest.fixture(scope="module")
def processes() -> BaseContext:
    """Processes that begin with everything imported: importing Dagster takes longer than all else here."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([lake_writers.__name__])
    return context


@pytest.mark.parametrize("moment", ["with new data on disk", "anywhere"])
def test_a_writer_killed_in_the_middle_leaves_one_whole_version(delta: Lake, processes: BaseContext, moment: str):
    january = days("2024-01-01", "2024-01-31")
    rows = lake_writers.features_of_days(january.first_day, 31, properties=300, mark=0)
    delta.replace("property_features", rows, january)
    delta.replace("property_features", property_features(*photos("2024-02-01", 77)), days("2024-02-01"))
    folder = Path(delta.folder) / "property_features"
    writer = processes.Process(target=lake_writers.replace_for_ever, args=(delta.folder,))
    writer.start()
    try:
        wait_until((Path(delta.folder) / "alive").exists)
        if moment == "with new data on disk":
            wait_until(lambda: files_on_disk(folder) > files_committed(folder))
    finally:
        writer.kill()
        writer.join()
    assert writer.exitcode == -signal.SIGKILL
    assert [count for _, count in marks(delta, january)] == [31 * 300]
    assert held(delta, days("2024-02-01")) == [("2024-02-01", 1, 77)]
    delta.replace("property_features", property_features(*photos("2024-01-07", 5)), january)
    assert held(delta) == [("2024-01-07", 1, 5), ("2024-02-01", 1, 77)]


def files_on_disk(folder: Path) -> int:
    return sum(1 for _ in folder.glob("month=2024-01/*.parquet*"))


def files_committed(folder: Path) -> int:
    """Each write to January makes one file there."""
    return sum(1 for _ in folder.glob("_delta_log/*.json")) - 2


def wait_until(happened, seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
    return True


@pytest.fixture(scope="module")
def contended(tmp_path_factory: pytest.TempPathFactory, processes: BaseContext) -> Path:
    """Three lakes that two processes wrote to at the same moments, the rows of each marked 1 or 2."""
    folder = tmp_path_factory.mktemp("contended")
    january = day("2024-01-01")
    first, second = [], []
    for number in range(6):
        first += [("halves", january, 15), ("days", january + timedelta(days=number), 1)]
        second += [("halves", january + timedelta(days=15), 15), ("days", january + timedelta(days=30 - number), 1)]
        same = ("same", january + timedelta(days=3 * number), 3)
        first.append(same)
        second.append(same)
    together = processes.Barrier(2)
    writers = [
        processes.Process(
            target=lake_writers.replace_together,
            args=(together, [(str(folder / name), start, count) for name, start, count in writes], mark),
        )
        for mark, writes in ((1, first), (2, second))
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(timeout=120)
    assert [writer.exitcode for writer in writers] == [0, 0]
    return folder


def test_two_processes_writing_different_windows_of_one_table_both_succeed(contended: Path):
    lake = Lake(folder=str(contended / "halves"))
    assert lake.version("property_features") == 12  # the table's creation, and six rounds of two
    assert marks(lake, days("2024-01-01", "2024-01-15")) == [(1, 750)]
    assert marks(lake, days("2024-01-16", "2024-01-30")) == [(2, 750)]


def test_two_processes_writing_one_day_after_the_other_lose_none(contended: Path):
    lake = Lake(folder=str(contended / "days"))
    assert marks(lake, days("2024-01-01", "2024-01-06")) == [(1, 300)]
    assert marks(lake, days("2024-01-26", "2024-01-31")) == [(2, 300)]
    assert marks(lake) == [(1, 300), (2, 300)]


@pytest.mark.parametrize("first", [1, 4, 7, 10, 13, 16])
def test_of_two_processes_writing_the_same_window_one_wins_whole(contended: Path, first: int):
    lake = Lake(folder=str(contended / "same"))
    found = marks(lake, days(f"2024-01-{first:02}", f"2024-01-{first + 2:02}"))
    assert found in ([(1, 150)], [(2, 150)])


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory, processes: BaseContext) -> Lake:
    """A new lake to which sixteen processes wrote overlapping windows at the same moment, marked 1 to 16."""
    folder, together = str(tmp_path_factory.mktemp("crowded")), processes.Barrier(16)
    writers = [
        processes.Process(target=lake_writers.replace_overlapping, args=(together, folder, mark))
        for mark in range(1, 17)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(timeout=120)
    assert [writer.exitcode for writer in writers] == [0] * 16
    return Lake(folder=folder)


def test_of_sixteen_processes_with_overlapping_windows_each_day_is_whole_and_of_one(crowded: Lake):
    for number in range(18):
        today = str(day("2024-01-01") + timedelta(days=number))
        [(mark, rows)] = marks(crowded, days(today))
        assert rows == 50
        assert number - 1 <= mark <= number + 1, "only the windows of these processes hold the day"
    assert sum(rows for _, rows in marks(crowded)) == 18 * 50


def test_of_sixteen_processes_that_revise_one_table_none_loses_what_another_wrote(crowded: Lake):
    assert sorted(crowded.read("dim_host").host_id.to_pyarrow().to_pylist()) == [*range(1, 17)]


def marks(lake: Lake, window: Window | None = None) -> list[tuple[int, int]]:
    """How many rows each writer's mark has."""
    rows = lake.read("property_features", window)
    found = rows.group_by("photos_count").agg(rows=rows.count()).to_pyarrow().to_pylist()
    return sorted((row["photos_count"], row["rows"]) for row in found)
