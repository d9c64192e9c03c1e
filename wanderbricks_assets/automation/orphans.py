"""Runs whose process died: the next one closes them, so that nothing says "running" that does not run."""

import fcntl
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)

from wanderbricks_assets.models.registry import ModelRegistry

PROCESS = "wanderbricks/process"  # tag of a run: the sign of life of the process that executes it
_KILLED = "wanderbricks/killed"  # tag of a run that was closed here
_RANGE_TAGS = (ASSET_PARTITION_RANGE_START_TAG, ASSET_PARTITION_RANGE_END_TAG)
# A run that is queued waits for no process: the daemon launches it.
_BEGUN = [status for status in NOT_FINISHED_STATUSES if status != dg.DagsterRunStatus.QUEUED]


@contextmanager
def sign_of_life(folder: Path) -> Iterator[str]:
    """The name of a file that is locked while this process lives; a killed process loses its locks."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / uuid.uuid4().hex
    with file.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        try:
            yield file.name
        finally:
            file.unlink()


def close_orphans(instance: dg.DagsterInstance, folder: Path, launched: bool = False) -> list[str]:
    """Mark the Dagster runs of dead processes as failed; returns their ids.

    launched: also those that carry no sign of life, as the daemon and the UI launch them; for when neither is running.
    Otherwise they are left to Dagster.
    """
    orphans = [
        run
        for run in instance.get_runs(dg.RunsFilter(statuses=_BEGUN))
        if (_is_dead(folder / run.tags[PROCESS]) if PROCESS in run.tags else launched)
    ]
    for run in orphans:
        instance.add_run_tags(run.run_id, {_KILLED: "true"})
        instance.report_run_failed(run, "The process of this run ended before the run did. What it wrote is whole.")
    for file in list(folder.iterdir()):
        if _is_dead(file):
            file.unlink(missing_ok=True)
    return [run.run_id for run in orphans]


def evaluate_checks(defs: dg.Definitions, instance: dg.DagsterInstance, tags: Mapping[str, str]) -> None:
    """Evaluate the checks that a killed run had planned, and that nobody has evaluated since."""
    from wanderbricks_assets.resources.event_log import forget_planned

    of_runs: dict[str, set[dg.AssetCheckKey]] = {}
    for key in defs.get_repository_def().asset_graph.asset_check_keys:
        newest = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
        if newest and newest[0].status == AssetCheckExecutionRecordStatus.PLANNED:
            of_runs.setdefault(newest[0].run_id, set()).add(key)
    killed = {run.run_id: run for run in instance.get_runs(dg.RunsFilter(tags={_KILLED: "true"}))}
    for run_id, keys in of_runs.items():
        if run_id not in killed:
            continue
        run = killed[run_id]
        job = defs.resolve_job_def(run.job_name).get_subset(asset_selection=set(), asset_check_selection=keys)
        partitions = {name: value for name, value in run.tags.items() if name in _RANGE_TAGS}
        job.execute_in_process(
            instance=instance,
            partition_key=None if partitions else run.tags.get(PARTITION_NAME_TAG),
            tags={**tags, **partitions},
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            raise_on_error=False,  # a blocking check that fails says so itself
        )
        # What cannot be judged, and so was not evaluated, would otherwise be tried again for ever.
        for key in keys:
            forget_planned(instance, list(killed), key.asset_key, [key.name])


def close_training_runs(instance: dg.DagsterInstance, registry: ModelRegistry) -> None:
    """Mark the MLflow runs as failed that are still open although their Dagster run has ended."""

    def has_ended(dagster_run_id: str) -> bool:
        run = instance.get_run_by_id(dagster_run_id)
        return run is not None and run.is_finished

    registry.close_runs(has_ended)


def _is_dead(file: Path) -> bool:
    if not file.exists():
        return True
    with file.open() as other:
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True
