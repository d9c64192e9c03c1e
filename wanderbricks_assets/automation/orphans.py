"""Runs whose process died: the next one closes them, so that nothing says "running" that does not run."""

import fcntl
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from wanderbricks_assets.models.registry import ModelRegistry

PROCESS = "wanderbricks/process"  # tag of a run: the sign of life of the process that executes it
_UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


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


def close_orphans(instance: dg.DagsterInstance, folder: Path) -> list[str]:
    """Mark the Dagster runs of dead processes as failed; returns their ids.

    Runs that carry no sign of life, as those that the UI launches, are left to Dagster.
    """
    orphans = [
        run
        for run in instance.get_runs(dg.RunsFilter(statuses=_UNFINISHED))
        if PROCESS in run.tags and _is_dead(folder / run.tags[PROCESS])
    ]
    for run in orphans:
        instance.report_run_failed(run, "The process of this run ended before the run did. What it wrote is whole.")
        (folder / run.tags[PROCESS]).unlink(missing_ok=True)
    return [run.run_id for run in orphans]


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
