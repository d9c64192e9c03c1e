"""One installation on this machine: its folders, its Dagster instance and the environment of its processes."""

import errno
import fcntl
import json
import logging
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from wanderbricks_assets.settings import Settings

_WRITTEN = (
    "# Written by `wanderbricks`, each time anew. Delete this line and the file is yours: it is then left alone.\n"
)
_DAGSTER_YAML = (
    _WRITTEN
    + """\
# One machine, SQLite. For a team on Postgres see deploy/team/dagster.yaml.

# See docs/decisions.md for why the event log is stored in batches.
event_log_storage:
  module: wanderbricks_assets.resources.event_log
  class: BatchingSqliteEventLogStorage
  config:
    base_dir: {base_dir}

concurrency:
  runs:
    max_concurrent_runs: 2  # as many as the smallest machine has cores
  pools:
    # Each pool lets one run at a time through. The training assets are one pool, so one run stays free for the hours.
    # By run: a killed process cannot take the slot of a step with it.
    granularity: run
    default_limit: 1

# A run whose process died is begun again, once. A failed step is not: a gate that was missed would be missed again.
run_retries:
  enabled: true
  max_retries: 1
  retry_on_asset_or_op_failure: false

run_monitoring:
  enabled: true
  start_timeout_seconds: 300
  cancel_timeout_seconds: 180
  max_runtime_seconds: 21600  # 6 hours: the first run of three years takes minutes

retention:
  schedule:
    purge_after_days: {{skipped: 7, success: 90, failure: 90, started: 90}}
  sensor:
    purge_after_days: {{skipped: 7, success: 90, failure: 90, started: 90}}

telemetry:
  enabled: false
nux:
  enabled: false
"""
)


_REFUSED = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR}
_REFUSED_BY_SQLITE = ("database or disk is full", "disk I/O error", "unable to open database", "readonly database")


class CannotWriteThere(ValueError):
    """The disk is full, or the folder may not be written to; the message says which, and what to do."""


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Raises CannotWriteThere in place of what the file system or SQLite says when they refuse to write to a folder."""
    try:
        yield
    except Exception as error:
        refused = _refusal(error, folder)
        if refused is None:
            raise
        there = next((place for place in (folder, *folder.parents) if place.is_dir()), Path("/"))
        raise CannotWriteThere(
            f"{folder} cannot be written to: {refused} ({shutil.disk_usage(there).free / 1e6:,.0f} MB are free there). "
            "Make room, let this account write there, or give another folder; then run again. Nothing is half written"
        ) from error


def _refusal(error: BaseException | None, folder: Path) -> str | None:
    """What refused to write to the folder, among an error and its causes."""
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            named = Path(error.filename) if isinstance(error.filename, str) else folder
            is_there = named.is_relative_to(folder) or folder.is_relative_to(named)
            # Where no folder can be made, as in /proc, that is said to be missing.
            if is_there and (error.errno in _REFUSED or (error.errno == errno.ENOENT and not folder.exists())):
                return f"{error.strerror}, {named}"
        if isinstance(error, sqlite3.OperationalError) and any(words in str(error) for words in _REFUSED_BY_SQLITE):
            return str(error)
        error = error.__cause__ or error.__context__
    return None


class HomeInUse(ValueError):
    """Another process is at work on this home; the message says which, and since when."""


def enter(settings: Settings) -> dict[str, str]:
    """Point this process and its children at a home that has been made. Returns the environment for children.

    Must be called before anything of Dagster's definitions is imported: partitions begin at the home's first day.
    """
    settings.dagster_home.mkdir(parents=True, exist_ok=True)
    _write_dagster_yaml(settings.dagster_home)
    for name, value in {
        # A server that is away is told within two minutes, not after the quarter of an hour that MLflow would try.
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    }.items():
        os.environ.setdefault(name, value)
    os.environ.update(
        {
            "WANDERBRICKS_HOME": str(settings.home),
            "DAGSTER_HOME": str(settings.dagster_home),
            "DAGSTER_EVENT_BATCH_SIZE": "1000",
            "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # its UI only shows; each job queue would be a process
        }
    )
    return dict(os.environ)


@contextmanager
def only_process(settings: Settings, what: str) -> Iterator[IO[str]]:
    """Hold `<home>/<what>.lock` while this process, or a child that was given the file, lives.

    Raises HomeInUse when another process holds it. A killed process loses its locks.
    """
    settings.home.mkdir(parents=True, exist_ok=True)
    with (settings.home / f"{what}.lock").open("a+") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            held.seek(0)
            raise HomeInUse(
                f"{settings.home} is in use: {held.read().strip() or 'another process'} is at work on it; "
                "try again when it has ended"
            ) from error
        held.truncate(0)
        held.write(f"process {os.getpid()} ({what}, since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC)\n")
        held.flush()
        yield held


def make_databases(settings: Settings) -> None:
    """Make the databases of Dagster and MLflow whole or not at all: begun and killed, they could not be opened again.

    To be called in a home that was entered, by the only process at work on it.
    """
    if settings.tracking_uri.startswith("sqlite:///"):
        file = Path(settings.tracking_uri.removeprefix("sqlite:///"))
        if not file.exists():
            _make_mlflow(file)
    for left in settings.dagster_home.glob("dagster.yaml.*"):
        left.unlink()
    has_begun = (settings.dagster_home / "history" / "runs.db").exists()
    if not has_begun and _is_ours(settings.dagster_home / "dagster.yaml"):
        _make_dagster(settings.dagster_home)


def _make_mlflow(file: Path) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    unfinished = file.with_suffix(".new")
    for left in file.parent.glob(f"{unfinished.name}*"):
        left.unlink()
    store = SqlAlchemyStore(f"sqlite:///{unfinished}", file.with_name("mlflow-artifacts").as_uri())
    store.engine.dispose()
    unfinished.rename(file)


def _make_dagster(folder: Path) -> None:
    import dagster as dg

    unfinished = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    _write_dagster_yaml(unfinished)
    with dg.DagsterInstance.from_config(str(unfinished)):
        pass
    shutil.rmtree(folder)
    unfinished.rename(folder)
    _write_dagster_yaml(folder)


def _is_ours(file: Path) -> bool:
    return not file.exists() or file.read_text().startswith(_WRITTEN)


def _write_dagster_yaml(folder: Path) -> None:
    file = folder / "dagster.yaml"
    if not _is_ours(file):
        return
    wanted = _DAGSTER_YAML.format(base_dir=json.dumps(str(folder / "history" / "runs")))
    if file.exists() and file.read_text() == wanted:
        return
    unfinished = folder / f"dagster.yaml.{os.getpid()}"  # several processes enter a home at the same moment
    unfinished.write_text(wanted)
    unfinished.replace(file)
