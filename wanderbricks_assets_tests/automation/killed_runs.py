"""Runs of `wanderbricks run`, killed at random moments and run again until they complete.

`python -m ... FOLDER SEED KILLS`: everything is imported once, and each attempt is a fork of that process, so that an
attempt costs what a run costs and not what Python's imports cost. Prints JSON: for each home how often its run was
killed, what the home holds in the end, and what it should hold.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

# The first run makes everything, the second adds days to it and replaces champions.
MOMENTS = (datetime(2024, 1, 10), datetime(2024, 1, 16))
# The next kill comes within this share of an undisturbed run, so that a home is killed several times on its way.
SHARE = 0.4


def main(folder: Path, seed: int, kills: int) -> list[dict]:
    """Each of the two runs once undisturbed, and then, killed on the way, until there were so many kills.

    Every such home begins as the undisturbed one did, in the same folder.
    """
    source, home, saved = folder / "source", folder / "home", folder / "saved"
    os.environ.update(WANDERBRICKS_HOME=str(home), WANDERBRICKS_SOURCE=str(source))
    _import_everything()
    from wanderbricks_assets_tests.marketplace import day, deliver, random_marketplace

    _in_child(
        lambda: deliver(source, random_marketplace(seed=10, bookings=60, events=200), None, day("2024-01-16")), folder
    )
    rng, seconds, undisturbed, homes, killed = random.Random(seed), [], [], [], 0
    home.mkdir()
    for number, moment in enumerate(MOMENTS):
        shutil.copytree(home, saved / str(number))
        began = time.monotonic()
        assert _ran(moment, folder), "an undisturbed run must complete"
        seconds.append(time.monotonic() - began)
        undisturbed.append(_snapshot(folder))
    while killed < kills:
        number, before = len(homes) % len(MOMENTS), killed
        shutil.rmtree(home)
        shutil.copytree(saved / str(number), home)
        while not _ran(MOMENTS[number], folder, rng.uniform(0, seconds[number] * SHARE) if killed < kills else None):
            killed += 1
        homes.append({"kills": killed - before, "is": _snapshot(folder), "should_be": undisturbed[number]})
    return homes


def _import_everything() -> None:
    """With models in the place of the five that are fitted in no time."""
    from wanderbricks_assets_tests.models.small_models import stand_in

    stand_in()
    import wanderbricks_assets.definitions  # noqa: F401


def _ran(moment: datetime, folder: Path, seconds: float | None = None) -> bool:
    """Whether a run completed; False when it was killed after some seconds. Raises when it could not run."""
    code = _in_child(lambda: _run(moment), folder, seconds)
    if code not in (0, 2, -signal.SIGKILL):
        raise RuntimeError(f"a run ended with {code}: {(folder / 'log').read_text()[-3000:]}")
    return code != -signal.SIGKILL


def _run(moment: datetime) -> int:
    from wanderbricks_assets.cli.materializing import materialize
    from wanderbricks_assets.settings import read_settings

    return materialize(read_settings(), moment)


def _in_child(work: Callable[[], int | None], folder: Path, seconds: float | None = None) -> int:
    process = os.fork()
    if process == 0:
        log = os.open(folder / "log", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
        os.dup2(log, 1)
        os.dup2(log, 2)
        code = 99
        try:
            code = work() or 0
        finally:
            if sys.exc_info()[0]:
                traceback.print_exc()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(process, signal.SIGKILL)  # not yet waited for, so it is this process or its remains
    _, status = os.waitpid(process, 0)
    return os.waitstatus_to_exitcode(status)


def _snapshot(folder: Path) -> dict:
    def write() -> None:
        (folder / "snapshot.json").write_text(json.dumps(_what_is_there(folder / "home"), default=str))

    assert _in_child(write, folder) == 0, (folder / "log").read_text()[-3000:]
    return json.loads((folder / "snapshot.json").read_text())


def _what_is_there(home: Path) -> dict:
    """Rows, versions, aliases, decisions, checks, and what should not be there: open runs and stray files."""
    from wanderbricks_assets.home import enter
    from wanderbricks_assets.settings import read_settings

    enter(read_settings())
    import dagster as dg

    from wanderbricks_assets.definitions import defs

    with dg.DagsterInstance.get() as instance:
        dagster = {
            "partitions": {
                key.to_user_string(): len(instance.get_materialized_partitions(key))
                for key in instance.all_asset_keys()
            },
            "checks": _checks(instance, defs),
            "open": [run.run_id for run in instance.get_runs() if not run.is_finished],
        }
    return {
        "rows": _rows(defs.resources["lake"]),
        "models": _models(defs.resources["registry"]),
        "dagster": dagster,
        "stray": _stray(home),
    }


def _rows(lake) -> dict[str, tuple[int, str]]:
    """Per table the number of its rows, and a digest of them in the order of their key."""
    from wanderbricks_assets.contracts.tables import LAKE
    from wanderbricks_assets_tests.marketplace import frame

    frames = {name: frame(lake.read(name), contract) for name, contract in LAKE.items()}
    return {name: (len(rows), hashlib.sha256(rows.to_csv().encode()).hexdigest()) for name, rows in frames.items()}


def _models(registry) -> dict:
    from wanderbricks_assets.targets import TARGETS

    client, models = registry._client, {}
    for name, target in TARGETS.items():
        experiment = client.get_experiment_by_name(target.experiment).experiment_id
        runs = client.search_runs([experiment])
        versions = client.search_model_versions(f"name = '{target.registered_name}'")
        models[name] = {
            "versions": {version.version: (version.tags, version.current_stage) for version in versions},
            "aliases": client.get_registered_model(target.registered_name).aliases if versions else {},
            "metrics": {version.version: registry.run(version.run_id).data.metrics for version in versions},
            "open": [run.info.run_id for run in runs if run.info.status == "RUNNING"],
            "candidate": (registry.candidate(target).cutoff, registry.candidate(target).refusal),
        }
    return models


def _checks(instance, defs) -> dict[str, str]:
    """The newest evaluation of every check that was ever planned."""
    graph = defs.get_repository_def().asset_graph
    found = {}
    for key in graph.asset_check_keys:
        newest = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
        found[key.to_user_string()] = newest[0].status.value if newest else "never"
    return found


def _stray(home: Path) -> list[str]:
    """Files that no later run would look at, and that nobody would miss."""
    known = {"dagster", "lake", "mlflow.db", "mlflow-artifacts", "settings.json", "run.lock", "running", "observations"}
    known |= {"alerts.db", "alerts.html", "alerts.lock", "exports", "online"}
    stray = [file.name for file in home.iterdir() if file.name not in known]
    stray += [str(file) for file in (home / "running").iterdir()]
    endings = {".parquet", ".json", ".db", ".yaml", ".crc"}
    for folder in ("lake", "dagster/history", "dagster/schedules"):
        stray += [str(file) for file in (home / folder).rglob("*") if file.is_file() and file.suffix not in endings]
    return stray


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))  # noqa: T201
