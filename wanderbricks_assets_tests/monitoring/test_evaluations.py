"""Checks in runs and by recheck, on a real lake and a real instance, seen through the API that Dagster's UI uses."""

from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq
import pytest

from wanderbricks_assets.contracts.gold import FACT_BOOKING_DAILY
from wanderbricks_assets.contracts.tables import LAKE
from wanderbricks_assets.models.registry import ModelRegistry
from wanderbricks_assets.monitoring.evaluations import NEWEST, Places, asset_checks
from wanderbricks_assets.monitoring.recheck import recheck, recheck_run
from wanderbricks_assets.monitoring.table_suites import (
    ARRIVES_AS_USUAL,
    KEEPS_ITS_CONTRACT,
    LAKE_SUITES,
    SOURCE_SUITES,
)
from wanderbricks_assets.partitions import DAILY
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.resources.source import FilesSource
from wanderbricks_assets.window import Window, midnight
from wanderbricks_assets_tests.marketplace import deliver, listing, source_table, table_of, user, view
from wanderbricks_assets_tests.monitoring.hand_made import stays

FIRST, LAST = date(2024, 1, 1), date(2024, 3, 10)
DAYS = [FIRST + timedelta(days=number) for number in range((LAST - FIRST).days + 1)]
[SUITE] = [suite for suite in LAKE_SUITES if suite.asset == "fact_booking_daily"]
[VIEWS] = [suite for suite in SOURCE_SUITES if suite.asset == "page_views"]
BROKEN_DAY = DAYS[20].isoformat()


class Home:
    """A lake with one table, of which the rows are given, and a Dagster instance."""

    def __init__(self, folder: Path):
        self.lake = Lake(folder=str(folder / "lake"))
        self.source = FilesSource(folder=str(folder / "source"))
        self.registry = ModelRegistry(tracking_uri="unused", artifact_folder="unused")
        (folder / "dagster").mkdir()
        log = {
            "module": "wanderbricks_assets.resources.event_log",
            "class": "BatchingSqliteEventLogStorage",
            "config": {"base_dir": str(folder / "dagster" / "history")},
        }
        self.instance = dg.DagsterInstance.local_temp(str(folder / "dagster"), overrides={"event_log_storage": log})
        listing = {"property_id": 1, "destination_id": 1, "created_at": FIRST, "is_current": True}
        self.lake.replace(
            "dim_property",
            table_of(
                LAKE["dim_property"],
                *[{**listing, "property_id": n, "effective_from": midnight(FIRST)} for n in range(30)],
            ),
        )

    @property
    def places(self) -> Places:
        return Places(self.lake, self.source, self.registry, self.instance)

    def write(self, *rows: dict) -> None:
        self.lake.replace("fact_booking_daily", table_of(FACT_BOOKING_DAILY, *rows), Window.of_days(FIRST, LAST))

    def run(self, first: date, last: date) -> dg.ExecuteInProcessResult:
        """Materialize the table and another made from it, with the table's checks, for a range of days."""

        @dg.asset(key="fact_booking_daily", partitions_def=DAILY, backfill_policy=dg.BackfillPolicy.single_run())
        def written() -> None: ...

        @dg.asset(deps=["fact_booking_daily"], partitions_def=DAILY, backfill_policy=dg.BackfillPolicy.single_run())
        def made_from_it() -> None: ...

        tags = {"dagster/asset_partition_range_start": str(first), "dagster/asset_partition_range_end": str(last)}
        return dg.materialize(
            [written, made_from_it, asset_checks(SUITE)],
            instance=self.instance,
            resources={"lake": self.lake, "source": self.source, "registry": self.registry},
            partition_key=str(first) if first == last else None,
            tags={} if first == last else tags,
            raise_on_error=False,
        )

    def statuses(self, check: str) -> dict[str, str]:
        """The status of each partition, as the check's page in the UI shows it."""
        key = dg.AssetCheckKey(dg.AssetKey("fact_booking_daily"), check)
        state = self.instance.event_log_storage.get_asset_check_state([(key, DAILY)])[key]
        return {
            partition: status.value
            for status, subset in state.subsets.items()
            for partition in subset.subset_value.get_partition_keys()
        }

    def recheck(self, first: date, last: date, suite=SUITE) -> list:
        with recheck_run(self.instance, first, last, {}) as run_id:
            return list(recheck(self.places, first, last, run_id, suites=(suite,)))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
    home = Home(tmp_path)
    home.write(*(stays(listing, day) for day in DAYS for listing in range(20)))
    return home


def break_a_day(home: Home) -> None:
    """One day's total is negative."""
    good = [stays(listing, day) for day in DAYS for listing in range(20)]
    home.write(*good, stays(25, DAYS[20], value=-1.0))


def test_a_good_day_passes_both_checks(home: Home):
    result = home.run(LAST, LAST)
    assert result.success
    assert {check.check_name: check.passed for check in result.get_asset_check_evaluations()} == {
        KEEPS_ITS_CONTRACT: True,
        ARRIVES_AS_USUAL: True,
    }
    assert home.statuses(KEEPS_ITS_CONTRACT) == {str(LAST): "SUCCEEDED"}


def test_a_broken_contract_stops_what_is_made_of_the_table_and_says_what_is_broken(home: Home):
    break_a_day(home)
    result = home.run(DAYS[20], DAYS[20])
    [failed] = [check for check in result.get_asset_check_evaluations() if not check.passed]
    assert (failed.check_name, failed.severity) == (KEEPS_ITS_CONTRACT, dg.AssetCheckSeverity.ERROR)
    assert failed.description == "total_booking_value below 0 in 1 rows"
    assert not result.asset_materializations_for_node("made_from_it")


def test_a_day_with_a_tenth_of_its_rows_warns_and_stops_nothing(home: Home):
    home.write(*(stays(listing, day) for day in DAYS for listing in range(2 if day == LAST else 20)))
    result = home.run(LAST, LAST)
    [failed] = [check for check in result.get_asset_check_evaluations() if not check.passed]
    assert (failed.check_name, failed.severity) == (ARRIVES_AS_USUAL, dg.AssetCheckSeverity.WARN)
    assert failed.description == "2 rows; 2 to 38 are usual"
    assert result.success


@pytest.mark.parametrize(("low", "passes"), [(DAYS[-2], True), (LAST, False)])
def test_of_a_range_the_newest_day_decides_whether_it_warns(home: Home, low: date, passes: bool):
    home.write(*(stays(listing, day) for day in DAYS for listing in range(2 if day == low else 20)))
    found = [
        one for one in home.run(DAYS[-7], LAST).get_asset_check_evaluations() if one.check_name == ARRIVES_AS_USUAL
    ]
    assert [one.partition for one in found if one.partition and not one.passed] == [str(low)]
    [whole] = [one for one in found if one.partition is None]
    assert whole.passed == passes
    assert whole.description.startswith("1 of 7 partitions failed")


def test_the_first_weeks_are_not_judged_by_volume(home: Home):
    [only] = home.run(DAYS[3], DAYS[3]).get_asset_check_evaluations()
    assert only.check_name == KEEPS_ITS_CONTRACT


def test_a_range_in_one_run_shows_what_was_found_in_every_partition_and_tells_of_failures_and_the_newest(home: Home):
    break_a_day(home)
    result = home.run(FIRST, LAST)
    assert not result.success
    assert home.statuses(KEEPS_ITS_CONTRACT) == {str(day): "SUCCEEDED" for day in DAYS} | {BROKEN_DAY: "FAILED"}
    judged = {str(day) for day in DAYS[4 * 7 :]}
    assert home.statuses(ARRIVES_AS_USUAL).keys() == judged  # of the first weeks nothing is planned any more
    told = [check for check in result.get_asset_check_evaluations() if check.check_name == KEEPS_ITS_CONTRACT]
    assert {check.partition for check in told} == {None, BROKEN_DAY, *(str(day) for day in DAYS[-NEWEST:])}
    [whole] = [check for check in told if check.partition is None]
    assert whole.description.startswith(f"1 of {len(DAYS)} partitions failed; the newest, {BROKEN_DAY}: total_booking")


def test_recheck_stores_every_partition_again_and_again_and_changes_no_table(home: Home):
    home.run(FIRST, LAST)
    version = home.lake.version("fact_booking_daily")
    assert all(row.passed for row in home.recheck(DAYS[18], DAYS[22]))
    break_a_day(home)
    rows = home.recheck(DAYS[18], DAYS[22])
    assert [(row.partition, row.check) for row in rows if not row.passed] == [(BROKEN_DAY, KEEPS_ITS_CONTRACT)]
    statuses = home.statuses(KEEPS_ITS_CONTRACT)
    assert [statuses[str(day)] for day in DAYS[18:23]] == ["SUCCEEDED", "SUCCEEDED", "FAILED", "SUCCEEDED", "SUCCEEDED"]
    assert home.lake.version("fact_booking_daily") == version + 1  # by break_a_day


def test_recheck_looks_only_at_what_was_materialized(home: Home):
    home.run(DAYS[30], DAYS[30])
    assert {row.partition for row in home.recheck(DAYS[29], DAYS[31])} == {str(DAYS[30])}


def test_recheck_goes_on_after_a_table_that_cannot_be_read_and_says_which(home: Home):
    (Path(home.source.folder)).mkdir()
    (Path(home.source.folder) / "page_views.csv").write_text("view_id\n1\n")
    [row] = home.recheck(LAST, LAST, VIEWS)
    assert not row.passed
    assert "column 'user_id' is missing" in row.said


def test_recheck_of_an_unknown_table_names_those_it_knows(home: Home):
    with pytest.raises(ValueError, match=r"nothing has no data checks; there are: .*fact_booking_daily"):
        next(recheck(home.places, FIRST, LAST, "run", "nothing"))


def test_a_check_of_a_source_table_keeps_the_result_of_the_newest_day_and_says_of_which(home: Home):
    views = source_table("page_views", *[view(n, f"{day} 10:00") for n, day in enumerate(DAYS)]).to_pyarrow()
    known = {"users": source_table("users", user()), "properties": source_table("properties", listing())}
    deliver(Path(home.source.folder), {"page_views": views} | {n: t.to_pyarrow() for n, t in known.items()}, None, LAST)
    key = dg.AssetCheckKey(dg.AssetKey("page_views"), KEEPS_ITS_CONTRACT)

    def stored() -> list[str]:
        history = home.instance.event_log_storage.get_asset_check_execution_history(key, limit=9)
        return [record.evaluation.metadata["day"].value for record in history]

    assert len([row for row in home.recheck(DAYS[-5], DAYS[-3], VIEWS) if row.check == KEEPS_ITS_CONTRACT]) == 3
    assert stored() == [str(DAYS[-3])]
    home.recheck(DAYS[-2], DAYS[-2], VIEWS)
    home.recheck(DAYS[-5], DAYS[-3], VIEWS)
    assert stored() == [str(DAYS[-2]), str(DAYS[-3])], "an older day says nothing about how things stand"
    home.recheck(DAYS[-2], DAYS[-2], VIEWS)
    assert stored() == [str(DAYS[-2]), str(DAYS[-2]), str(DAYS[-3])]


def test_a_source_table_that_grows_a_column_is_told_once(home: Home):
    views = source_table("page_views", *[view(n, f"{day} 10:00") for n, day in enumerate(DAYS)]).to_pyarrow()
    known = {"users": source_table("users", user()), "properties": source_table("properties", listing())}
    known = {name: rows.to_pyarrow() for name, rows in known.items()}
    deliver(Path(home.source.folder), {"page_views": views, **known}, None, LAST)
    assert [row.passed for row in home.recheck(LAST, LAST, VIEWS) if row.check == KEEPS_ITS_CONTRACT] == [True]
    file = Path(home.source.folder) / "page_views" / f"date={LAST}" / "part-0.parquet"
    rows = pq.read_table(file)
    pq.write_table(rows.append_column("scroll_depth", rows["view_id"]), file)
    first, second = (
        next(row for row in home.recheck(LAST, LAST, VIEWS) if row.check == KEEPS_ITS_CONTRACT) for _ in range(2)
    )
    assert (first.passed, first.said) == (False, "scroll_depth is new")
    assert second.passed
