"""The batching event log: fewer transactions, the same files, readable by Dagster's own storage."""

from contextlib import ExitStack
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.instance import InstanceRef
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable

from wanderbricks_assets.resources.event_log import BatchingSqliteEventLogStorage, settle_checks
from wanderbricks_assets_tests.postgres_server import postgres

PARTITIONS = dg.DailyPartitionsDefinition("2024-01-01", end_date="2024-03-01")
KEYS = PARTITIONS.get_partition_keys()


@dg.asset(partitions_def=PARTITIONS, backfill_policy=dg.BackfillPolicy.single_run())
def many_days(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"rows": len(context.partition_keys)})


def on_postgres(folder: Path, url: str) -> dg.DagsterInstance:
    overrides = {"storage": {"postgres": {"postgres_url": url}}, "telemetry": {"enabled": False}}
    return dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(folder), overrides=overrides))


def instance_in(folder: Path, batching: bool) -> dg.DagsterInstance:
    module, name = "wanderbricks_assets.resources.event_log", "BatchingSqliteEventLogStorage"
    if not batching:
        module, name = "dagster._core.storage.event_log", "SqliteEventLogStorage"
    history = str(folder / "history" / "runs")
    overrides = {
        "event_log_storage": {"module": module, "class": name, "config": {"base_dir": history}},
        "telemetry": {"enabled": False},
    }
    return dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(folder), overrides=overrides))


def materialize(instance: dg.DagsterInstance, first: str, last: str) -> str:
    tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    result = dg.materialize([many_days], instance=instance, tags=tags)
    assert result.success
    return result.run_id


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], list[int]]:
    """An instance that two runs wrote to in batches: its folder, the runs, and the sizes of the batches."""
    folder = tmp_path_factory.mktemp("instance")
    sizes: list[int] = []
    store = BatchingSqliteEventLogStorage.store_event_batch

    def counted(self, events):
        sizes.append(len(events))
        return store(self, events)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
        patch.setattr(BatchingSqliteEventLogStorage, "store_event_batch", counted)
        with instance_in(folder, batching=True) as instance:
            assert isinstance(instance.event_log_storage, BatchingSqliteEventLogStorage)
            runs = [materialize(instance, KEYS[0], KEYS[39]), materialize(instance, KEYS[30], KEYS[49])]
    return folder, runs, sizes


def test_the_events_of_a_range_of_partitions_come_in_one_batch(written: tuple):
    _, _, sizes = written
    assert [size for size in sizes if size > 10] == [40, 40, 20, 20]  # of each run, what was planned and what was made


def test_the_stock_storage_reads_every_materialization_of_a_batch(written: tuple):
    folder, runs, _ = written
    with instance_in(folder, batching=False) as instance:
        assert type(instance.event_log_storage) is SqliteEventLogStorage
        found = instance.fetch_materializations(many_days.key, limit=1000).records
        by_run = [[record.partition_key for record in found if record.run_id == run] for run in runs]
        assert [sorted(keys) for keys in by_run] == [KEYS[0:40], KEYS[30:50]]
        assert len({record.storage_id for record in found}) == 60
        assert {record.asset_materialization.metadata["rows"].value for record in found} == {40, 20}


def test_the_stock_storage_knows_which_partitions_are_materialized_and_by_which_run_last(written: tuple):
    folder, runs, _ = written
    with instance_in(folder, batching=False) as instance:
        assert instance.get_materialized_partitions(many_days.key) == set(KEYS[0:50])
        newest = instance.event_log_storage.get_latest_storage_id_by_partition(
            many_days.key, dg.DagsterEventType.ASSET_MATERIALIZATION
        )
        assert set(newest) == set(KEYS[0:50])
        first = instance.fetch_materializations(
            dg.AssetRecordsFilter(many_days.key, asset_partitions=[KEYS[29]]), limit=5
        )
        second = instance.fetch_materializations(
            dg.AssetRecordsFilter(many_days.key, asset_partitions=[KEYS[30]]), limit=5
        )
        assert [record.run_id for record in first.records] == [runs[0]]
        assert [record.run_id for record in second.records] == [runs[1], runs[0]]
        assert newest[KEYS[30]] == second.records[0].storage_id


def test_the_stock_storage_finds_the_latest_materialization_of_the_asset(written: tuple):
    folder, runs, _ = written
    with instance_in(folder, batching=False) as instance:
        latest = instance.get_latest_materialization_event(many_days.key)
        assert latest.run_id == runs[1]
        assert latest.asset_materialization.partition == KEYS[49]
        [record] = instance.get_asset_records([many_days.key])
        assert record.asset_entry.last_materialization_record.storage_id == max(
            found.storage_id for found in instance.fetch_materializations(many_days.key, limit=1000).records
        )


def test_the_log_of_the_run_holds_every_event_and_ends_with_its_success(written: tuple):
    folder, runs, _ = written
    with instance_in(folder, batching=False) as instance:
        events = [entry.dagster_event for entry in instance.all_logs(runs[0]) if entry.is_dagster_event]
        made = [event.partition for event in events if event.is_step_materialization]
        assert sorted(made) == KEYS[0:40]
        assert events[-1].event_type == dg.DagsterEventType.RUN_SUCCESS


def test_the_batching_storage_goes_on_where_the_stock_storage_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with instance_in(tmp_path, batching=False) as instance:
        materialize(instance, KEYS[0], KEYS[1])
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
    with instance_in(tmp_path, batching=True) as instance:
        materialize(instance, KEYS[2], KEYS[4])
        assert instance.get_materialized_partitions(many_days.key) == set(KEYS[0:5])


def test_tags_of_batched_events_can_be_searched(written: tuple):
    folder, _, _ = written
    with instance_in(folder, batching=False) as instance:
        tags = instance.event_log_storage.get_event_tags_for_asset(many_days.key)
        assert len(tags) == 60
        assert all("dagster/data_version" in found for found in tags)


def test_what_is_planned_of_a_check_is_stored_as_the_stock_storage_does(tmp_path: Path):
    @dg.asset_check(asset=many_days, partitions_def=PARTITIONS)
    def never_begins():
        return dg.AssetCheckResult(passed=True)

    job = dg.Definitions(
        [many_days], asset_checks=[never_begins], jobs=[dg.define_asset_job("daily", partitions_def=PARTITIONS)]
    ).resolve_job_def("daily")
    tags = {"dagster/asset_partition_range_start": KEYS[0], "dagster/asset_partition_range_end": KEYS[9]}
    unlike = {
        "id",
        "create_timestamp",
        "evaluation_event",
        "evaluation_event_timestamp",
    }  # tell the time, the event too
    stored = {}
    for batching in (True, False):
        folder = tmp_path / f"{batching=}"
        folder.mkdir()
        with instance_in(folder, batching=batching) as instance:
            run = instance.create_run_for_job(job, run_id="00000000-0000-0000-0000-000000000001", tags=tags)
            with instance.event_log_storage.index_connection() as connection:
                rows = connection.execute(sa.select(AssetCheckExecutionsTable)).mappings().all()
            [event] = {row["evaluation_event"] for row in rows}
            entry = dg.deserialize_value(event, dg.EventLogEntry)
            assert entry.run_id == run.run_id
            assert entry.dagster_event.asset_check_planned_data.asset_check_key == never_begins.check_key
            stored[batching] = [{name: value for name, value in row.items() if name not in unlike} for row in rows]
    assert stored[True] == stored[False]
    assert [row["partition"] for row in stored[True]] == KEYS[:10]


@pytest.mark.parametrize("storage", ["sqlite", "postgres"])
def test_what_a_check_found_in_each_partition_of_a_range_is_shown(tmp_path: Path, storage: str):
    found = {key: key != KEYS[3] for key in KEYS[:10]}

    @dg.asset_check(asset=many_days, partitions_def=PARTITIONS)
    def holds(context: dg.AssetCheckExecutionContext):
        evaluations = [
            dg.AssetCheckEvaluation(many_days.key, "holds", passed, {}, partition=key) for key, passed in found.items()
        ]
        settle_checks(context.instance, context.run.run_id, evaluations)
        return dg.AssetCheckResult(passed=False)

    with ExitStack() as open_:
        if storage == "postgres":
            instance = open_.enter_context(on_postgres(tmp_path, open_.enter_context(postgres(tmp_path / "postgres"))))
        else:
            instance = open_.enter_context(instance_in(tmp_path, batching=True))
        tags = {"dagster/asset_partition_range_start": KEYS[0], "dagster/asset_partition_range_end": KEYS[10]}
        dg.materialize([many_days, holds], instance=instance, tags=tags)
        state = instance.event_log_storage.get_asset_check_state([(holds.check_key, PARTITIONS)])[holds.check_key]
        shown = {
            status.value: set(subset.subset_value.get_partition_keys()) for status, subset in state.subsets.items()
        }
    assert shown["SUCCEEDED"] == {key for key, passed in found.items() if passed}
    assert shown["FAILED"] == {KEYS[3]}
    assert shown["SKIPPED"] == {KEYS[10]}  # nothing was found there
