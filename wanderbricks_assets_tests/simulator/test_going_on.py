"""The same seed gives the same folder, however often the simulator is called, and whatever happens to a call."""

import shutil
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow.dataset as ds
import pytest

from wanderbricks_assets.simulator import files, simulate
from wanderbricks_assets.simulator.event_tables import EVENTS, TRUTH_BY_DATE, TRUTH_BY_MONTH, TRUTH_OF_EVENTS

START = datetime(2024, 2, 20)
UNTIL = datetime(2024, 3, 4, 14)
SMALL = {"start": START, "scale": 0.03, "seed": 5}


def contents(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}


def rows(out: Path) -> dict[str, list]:
    """All rows of all tables and of the truth, in a set order."""
    names = [p.name for p in sorted(out.glob("*.parquet"))]
    names += [name for name in EVENTS if (out / name).exists()]
    names += [f"{files.TRUTH}/{name}" for name in (*TRUTH_OF_EVENTS, *TRUTH_BY_DATE, *TRUTH_BY_MONTH)]
    return {name: sorted(map(repr, ds.dataset(out / name).to_table().to_pylist())) for name in names}


@pytest.fixture(scope="module")
def one_run(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("one_run")
    simulate(out, UNTIL, **SMALL)
    return out


def test_the_same_seed_gives_the_same_bytes(one_run, tmp_path):
    simulate(tmp_path, UNTIL, **SMALL)
    assert contents(tmp_path) == contents(one_run)


def test_another_seed_gives_another_market(one_run, tmp_path):
    simulate(tmp_path, UNTIL, **SMALL | {"seed": 6})
    assert rows(tmp_path)["bookings"] != rows(one_run)["bookings"]


def test_going_on_in_days_and_hours_equals_one_long_run(one_run, tmp_path):
    stops = [timedelta(days=3), timedelta(days=3, hours=5), timedelta(days=3, hours=6), timedelta(days=3, hours=23)]
    stops += [timedelta(days=4, hours=7), timedelta(days=11), UNTIL - START]
    simulate(tmp_path, START + stops[0], **SMALL)
    for stop in stops[1:]:
        simulate(tmp_path, START + stop)
    assert rows(tmp_path) == rows(one_run)


def test_going_on_never_touches_a_written_event_file(tmp_path):
    simulate(tmp_path, START + timedelta(days=2, hours=6), **SMALL)
    before = {
        p: (p.stat().st_mtime_ns, p.read_bytes()) for name in EVENTS for p in (tmp_path / name).rglob("*.parquet")
    }
    simulate(tmp_path, START + timedelta(days=3))
    assert before == {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in before}


def test_a_part_is_named_after_the_first_hour_it_holds(tmp_path):
    simulate(tmp_path, START + timedelta(hours=10), **SMALL)
    simulate(tmp_path, START + timedelta(hours=17))
    simulate(tmp_path, START + timedelta(days=2))
    names = {str(p.relative_to(tmp_path / "page_views")) for p in (tmp_path / "page_views").rglob("*.parquet")}
    first = "date=2024-02-20"
    assert names == {f"{first}/part-{h}.parquet" for h in ("00", "10", "17")} | {"date=2024-02-21/part-00.parquet"}


def test_nothing_happens_when_the_folder_is_already_that_far(tmp_path):
    simulate(tmp_path, START + timedelta(days=2), **SMALL)
    before = contents(tmp_path)
    summary = simulate(tmp_path, START + timedelta(days=1))
    assert summary.until == START + timedelta(days=2)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("after", [1, 9, 40, 80])
def test_a_call_that_was_killed_and_repeated_gives_the_same_files(one_run, tmp_path, monkeypatch, after):
    written = 0
    original = files.replace

    def die(path, write):
        nonlocal written
        written += 1
        if written > after:
            raise KeyboardInterrupt
        original(path, write)

    monkeypatch.setattr(files, "replace", die)
    with pytest.raises(KeyboardInterrupt):
        simulate(tmp_path, UNTIL, **SMALL)
    monkeypatch.undo()
    simulate(tmp_path, UNTIL, **SMALL)
    assert contents(tmp_path) == contents(one_run)


def test_a_killed_call_leaves_nothing_behind_in_a_shorter_one(tmp_path, monkeypatch):
    first, later = tmp_path / "first", tmp_path / "later"
    simulate(first, START + timedelta(days=2, hours=3), **SMALL)
    shutil.copytree(first, later)

    def die(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "write_state", die)
    monkeypatch.setattr("wanderbricks_assets.simulator.files.write_state", die)
    with pytest.raises(KeyboardInterrupt):
        simulate(later, START + timedelta(days=13))
    monkeypatch.undo()
    for out in (first, later):
        simulate(out, START + timedelta(days=2, hours=8))
    assert contents(first) == contents(later)


def test_other_arguments_than_the_folder_was_begun_with_are_refused_by_name(tmp_path):
    simulate(tmp_path, START + timedelta(days=1), **SMALL)
    with pytest.raises(ValueError, match=r"seed is 5, not 7; start is 2024-02-20, not 2024-02-21"):
        simulate(tmp_path, UNTIL, seed=7, start=START + timedelta(days=1))


def test_a_folder_with_tables_of_somebody_else_is_left_alone(tmp_path):
    (tmp_path / "bookings.parquet").write_bytes(b"mine")
    with pytest.raises(ValueError, match="bookings, which the simulator did not write"):
        simulate(tmp_path, UNTIL, **SMALL)
    assert contents(tmp_path) == {"bookings.parquet": b"mine"}
