"""Dagster's event log, for runs of a thousand partitions: events in batches, and what a check found in each partition.

Dagster writes one event per partition, and its SQLite storage gives each event four transactions (28 ms here): three
years of hours would take twelve minutes to record and ten seconds to compute. `store_event_batch` is the method that
Dagster offers storages for this; the stock SQLite storage leaves it as a loop. The storage here is named in
`dagster.yaml`, and used when `DAGSTER_EVENT_BATCH_SIZE` is above 0; on Postgres Dagster's own storage does the same.
"""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import dagster as dg
import sqlalchemy as sa
from dagster import EventLogEntry
from dagster._core.events import ASSET_EVENTS
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData, serialize_value

from wanderbricks_assets.resources.events import check_event

_ENGINES = 8  # kept by a process; each holds no connection and some hundred compiled statements


class BatchingSqliteEventLogStorage(SqliteEventLogStorage):
    """The stock storage, in the same files and schema, so either can read what the other wrote."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]):
        return cls(inst_data=inst_data, **config_value)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[sa.Connection]:
        """A connection of its own to a run's file or the index, as in the stock storage, but from a kept engine: a new
        engine asks SQLite what it can do and compiles every statement anew."""
        with self._db_lock:
            engine = self._engines.pop(shard, None) or self._new_engine(shard)
            self._engines[shard] = engine  # the newest last
            for oldest in list(self._engines)[:-_ENGINES]:
                del self._engines[oldest]
            with engine.begin() as connection:
                yield connection

    def _new_engine(self, shard: str) -> sa.Engine:
        limit = {"timeout": SQLITE_BUSY_TIMEOUT_SECONDS}
        engine = sa.create_engine(self.conn_string_for_shard(shard), poolclass=sa.NullPool, connect_args=limit)
        if shard not in self._initialized_dbs:
            self._initdb(engine)
            self._initialized_dbs.add(shard)
        return engine

    @cached_property
    def _engines(self) -> dict[str, sa.Engine]:
        return {}

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store the events in two transactions: the run's own file, and the index over all runs.

        Only asset events of one run come in batches of any size; everything else takes the stock way.
        """
        run_ids = {event.run_id for event in events}
        if len(run_ids) > 1 or not all(event.dagster_event_type in ASSET_EVENTS for event in events):
            return super().store_event_batch(events)
        rows = [self._event_to_row(event) for event in events]
        with self.run_connection(run_ids.pop()) as run:
            run.execute(SqlEventLogStorageTable.insert(), rows)
        insert = SqlEventLogStorageTable.insert().returning(SqlEventLogStorageTable.c.id, sort_by_parameter_order=True)
        with self.index_transaction() as index:
            ids = [row.id for row in index.execute(insert, rows)]
            self._store_asset_event_tags(index, events, ids)
            # An asset's own row holds its newest event only.
            newest = {event.get_dagster_event().asset_key: (event, id) for event, id in zip(events, ids, strict=True)}
            for event, id in newest.values():
                self._store_asset_event(index, event, id)

    def _store_asset_check_evaluation_planned(self, event: EventLogEntry, event_id: int | None) -> None:
        """Store a row for each partition that a check is planned for, as the stock storage does, which serializes the
        event for each of them and compiles a statement of all."""
        planned = event.get_dagster_event().asset_check_planned_data
        partitions = planned.partitions_subset.get_partition_keys() if planned.partitions_subset else [None]
        row = {
            "asset_key": planned.asset_key.to_string(),
            "check_name": planned.check_name,
            "run_id": event.run_id,
            "execution_status": AssetCheckExecutionRecordStatus.PLANNED.value,
            "evaluation_event": serialize_value(event),
            "evaluation_event_timestamp": _utc(event.timestamp),
            "evaluation_event_storage_id": event_id,
        }
        with self.index_connection() as index:
            index.execute(AssetCheckExecutionsTable.insert(), [{**row, "partition": key} for key in partitions])


def settle_checks(instance: dg.DagsterInstance, run_id: str, evaluations: Sequence[dg.AssetCheckEvaluation]) -> None:
    """Store what checks of one asset found in each partition, where Dagster has planned them for the run.

    Dagster stores a check of a range once, without a partition, and its UI then shows every partition as skipped. An
    event for each would be told by alerts and cost 30 ms; this writes, in one transaction, the results that the UI
    reads, on SQLite and on Postgres, and no event. They refer to the newest materialization of their partition: without
    that the UI takes them for out of date.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage) or not evaluations:
        return
    newest = storage.get_latest_storage_id_by_partition(
        evaluations[0].asset_key, dg.DagsterEventType.ASSET_MATERIALIZATION
    )
    latest_id, now = storage.get_maximum_record_id(), time.time()
    table = AssetCheckExecutionsTable.c
    statement = AssetCheckExecutionsTable.update().where(
        table.asset_key == sa.bindparam("of_asset"),
        table.check_name == sa.bindparam("of_check"),
        table.run_id == sa.bindparam("of_run"),
        table.partition == sa.bindparam("of_partition"),
    )
    values = [
        {
            "of_asset": found.asset_key.to_string(),
            "of_check": found.check_name,
            "of_run": run_id,
            "of_partition": found.partition,
            "execution_status": _STATUS[found.passed].value,
            "evaluation_event": serialize_value(_entry(run_id, found, now)),
            "evaluation_event_timestamp": _utc(now),
            "evaluation_event_storage_id": latest_id,
            "materialization_event_storage_id": newest.get(found.partition),
        }
        for found in evaluations
    ]
    with storage.index_transaction() as connection:
        connection.execute(statement, values)


def forget_planned(
    instance: dg.DagsterInstance, run_ids: Sequence[str], asset_key: dg.AssetKey, check_names: Sequence[str]
) -> None:
    """Forget what of these checks runs have planned and not evaluated: the UI paints it as red as what failed."""
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return
    table = AssetCheckExecutionsTable.c
    planned = AssetCheckExecutionsTable.delete().where(
        table.asset_key == asset_key.to_string(),
        table.check_name.in_(check_names),
        table.run_id.in_(run_ids),
        table.execution_status == AssetCheckExecutionRecordStatus.PLANNED.value,
    )
    with storage.index_transaction() as connection:
        connection.execute(planned)


_STATUS = {True: AssetCheckExecutionRecordStatus.SUCCEEDED, False: AssetCheckExecutionRecordStatus.FAILED}


def _utc(timestamp: float) -> datetime:
    return datetime.fromtimestamp(timestamp, UTC).replace(tzinfo=None)


def _entry(run_id: str, found: dg.AssetCheckEvaluation, timestamp: float) -> EventLogEntry:
    return EventLogEntry(None, logging.DEBUG, "", run_id, timestamp, dagster_event=check_event(found))
