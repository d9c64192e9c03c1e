"""How fast the service answers: `python -m bench.serving --home HOME` prints the tables of docs/serving.md.

It copies the registry of a finished home and promotes the newest version of every model in the copy, whether it passed
its gates or not: what is timed is the serving. Each server has a process of its own, held to one core; the client waits
for each answer on the others. `mlflow models serve` runs beside ours and is asked in turn, so that both meet the same
machine. Rows are those that the models predict from at their cutoff, drawn from the home's lake and source.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import numpy as np
from rich.console import Console
from rich.table import Table

from bench.servers import server
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.resources.source import FilesSource
from wanderbricks_assets.serving.endpoint import ENDPOINT
from wanderbricks_assets.settings import Settings
from wanderbricks_assets.targets import TARGETS

ROWS = 1000
LOAD = 30  # requests a second, with --minutes
ROUNDS = 10  # in which ours and the rival are asked in turn: the ratio of each tells how sure it is
_JSON = {"Content-Type": "application/json"}
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
_ENVIRONMENT |= {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--home", type=Path, required=True)
    arguments.add_argument("--requests", type=int, default=1000, help="single predictions of each model")
    arguments.add_argument("--minutes", type=float, default=0, help="how long to load it, and watch its memory")
    arguments.add_argument("--no-rival", action="store_true", help="leave `mlflow models serve` out")
    given = arguments.parse_args()
    os.environ |= _ENVIRONMENT
    console = Console(width=150)
    with tempfile.TemporaryDirectory() as place:
        home = _promoted(given.home.resolve(), Path(place))
        rows = _rows(home)
        _leave_a_core()
        with _ours(home) as ours:
            table = Table(
                "request", "median ms", "p99 ms", "rows/s split", "rows/s records", "mlflow ms", "times faster"
            )
            for name, some in rows.items():
                with nullcontext() if given.no_rival else _rival(home, name) as rival:
                    table.add_row(name, *_measured(ours, rival, name, some, given.requests))
            for path in _examples(ours):
                ours.get(path)
                seconds = [_seconds(lambda path=path: ours.get(path)) for _ in range(given.requests)]
                table.add_row(path, *_cells(seconds), "", "", "", "")
            load = os.getloadavg()[0]
            console.print(table, f"Load average {load:.1f} on {os.cpu_count()} cores; {ours.memory()}.")
            if given.minutes:
                _load(console, ours, rows, given.minutes)


def _promoted(home: Path, place: Path) -> Path:
    """A home with the lake of the given one, a registry in which the newest versions serve, and the view for them."""
    from wanderbricks_assets.activation.online_asset import view_tables
    from wanderbricks_assets.activation.online_view import write_view
    from wanderbricks_assets.models.registry import ModelRegistry

    shutil.copy(home / "mlflow.db", place)
    for name in ("settings.json", "lake"):
        (place / name).symlink_to(home / name)
    registry = ModelRegistry.of(Settings(home=place))
    for target in TARGETS.values():
        candidate = registry.candidate(target)
        if candidate and candidate.version:
            registry.promote(target, candidate.version)
    converts = registry.serving_version(TARGETS["conversion_predictor"]) is not None
    write_view(Settings(home=place).online_view, view_tables(*_tables_of(home), converts))
    return place


def _tables_of(home: Path) -> tuple[Lake, FilesSource]:
    source = json.loads((home / "settings.json").read_text())["source"]
    return Lake(folder=str(home / "lake")), FilesSource(folder=source)


def _rows(home: Path) -> dict[str, list[dict]]:
    """By model, ROWS of what it predicts from at its cutoff, as JSON has them."""
    from wanderbricks_assets.models.registry import ModelRegistry
    from wanderbricks_assets.resources.tables import tables_until
    from wanderbricks_assets.serving.frames import as_json

    registry = ModelRegistry.of(Settings(home=home))
    lake, source = _tables_of(home)
    found = {}
    for name, target in TARGETS.items():
        champion = registry.champion(target)
        if champion is None:
            continue
        tables = tables_until(champion.model.reads, lake, source, champion.cutoff)
        inputs = champion.model.inputs(tables, champion.cutoff)
        inputs = inputs.sample(ROWS, replace=len(inputs) < ROWS, random_state=0)
        found[name] = json.loads(as_json(dict(inputs.items())))["predictions"]
    return found


def _leave_a_core() -> None:
    """Keep this process off the core that the servers are held to, where there is another."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores - {min(cores)} or cores)


@dataclass(frozen=True)
class Server:
    """A server, and the client that waits for its answers."""

    pid: int
    client: httpx.Client

    def get(self, path: str) -> httpx.Response:
        return self.client.get(path).raise_for_status()

    def post(self, path: str, body: bytes) -> httpx.Response:
        answer = self.client.post(path, content=body, headers=_JSON)
        if answer.is_error:
            raise RuntimeError(f"{path} answered {answer.status_code}: {answer.text[:500]}")
        return answer

    def resident(self) -> float:
        return self._megabytes("VmRSS")

    def memory(self) -> str:
        return f"{self.resident():.0f} MB resident, {self._megabytes('VmHWM'):.0f} MB at most"

    def _megabytes(self, name: str) -> float:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition(f"{name}:")[2].split()[0]) / 1024


@contextmanager
def _running(module: tuple[str, ...], health: str, home: Path) -> Iterator[Server]:
    """A server on one core."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    environment["MLFLOW_TRACKING_URI"] = Settings(home=home).tracking_uri
    core = str(min(os.sched_getaffinity(os.getppid())))
    command = ["taskset", "-c", core, sys.executable, "-m", *module, "--port"]
    limits = httpx.Limits(keepalive_expiry=2)  # while a rival starts ours would close the connection
    with (
        server(command, health, environment) as running,
        httpx.Client(base_url=running.address, timeout=60, limits=limits) as client,
    ):
        yield Server(running.pid, client)


def _ours(home: Path):
    return _running(("wanderbricks_assets.cli", "serve", "--home", str(home)), "ready", home)


def _rival(home: Path, name: str):
    """`mlflow models serve` of the same version."""
    uri = f"models:/{TARGETS[name].registered_name}@{TARGETS[name].stage}"
    return _running(("mlflow", "models", "serve", "--model-uri", uri, "--env-manager", "local"), "ping", home)


def _path(name: str) -> str:
    return f"/serving-endpoints/{ENDPOINT}/served-models/{name}/invocations"


def _measured(ours: Server, rival: Server | None, name: str, rows: list[dict], count: int) -> list[str]:
    path = _path(name)
    singles = [_records([row]) for row in rows]
    split = json.dumps({"dataframe_split": {"columns": list(rows[0]), "data": [list(row.values()) for row in rows]}})
    mine, theirs, ratios = [], [], []
    for body in singles[:20]:
        ours.post(path, body)
        if rival:
            _check_same(ours.post(path, body), rival.post("/invocations", body), name)
    for _ in range(ROUNDS):
        asked = random.choices(singles, k=count // ROUNDS)
        mine.append([_seconds(lambda body=body: ours.post(path, body)) for body in asked])
        if rival:
            theirs.append([_seconds(lambda body=body: rival.post("/invocations", body)) for body in asked[:30]])
            ratios.append(np.median(theirs[-1]) / np.median(mine[-1]))
    batches = [
        [_seconds(lambda body=body: ours.post(path, body)) for _ in range(30)]
        for body in (split.encode(), _records(rows))
    ]
    cells = [*_cells(np.concatenate(mine)), *(f"{ROWS / np.median(batch[1:]):,.0f}" for batch in batches)]
    if rival:
        cells += [
            f"{np.median(np.concatenate(theirs)) * 1e3:.1f}",
            f"{np.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})",
        ]
    return cells


def _check_same(ours: httpx.Response, rival: httpx.Response, name: str) -> None:
    """Both must say the same numbers, or they would not be comparable."""
    for mine, other in zip(ours.json()["predictions"], rival.json()["predictions"], strict=True):
        for column, value in mine.items():
            if isinstance(value, float) and not np.isclose(value, other[column], rtol=1e-12, atol=1e-12):
                raise RuntimeError(f"{name}: {column} is {value!r} here and {other[column]!r} at mlflow models serve")


def _records(rows: Sequence[dict]) -> bytes:
    return json.dumps({"dataframe_records": rows}).encode()


def _seconds(ask: Callable[[], httpx.Response]) -> float:
    began = time.perf_counter()
    ask()
    return time.perf_counter() - began


def _examples(server: Server) -> list[str]:
    """The lookups and the conversion of a pair, with the parameters of the documentation."""
    paths = []
    for path, operations in server.get("/openapi.json").json()["paths"].items():
        if "get" not in operations or not path.startswith("/v1/"):
            continue
        given = {each["name"]: each.get("example") for each in operations["get"].get("parameters", ())}
        if None not in {given[name] for name in given if f"{{{name}}}" in path}:
            asked = path.format(**given)
            # A home without a conversion champion keeps no visitors, so a conversion cannot be looked up there.
            paths += [asked] if server.client.get(asked).is_success else []
    return paths


def _cells(seconds: Sequence[float]) -> tuple[str, str]:
    return f"{np.median(seconds) * 1e3:.2f}", f"{np.quantile(seconds, 0.99) * 1e3:.2f}"


def _load(console: Console, server: Server, rows: dict[str, list[dict]], minutes: float) -> None:
    """Ask for everything in turn at LOAD requests a second, ever other rows, and print each minute how it went.

    A request that fails is counted, and the load goes on: what an hour does to the server is the question.
    """
    os.nice(10)  # for what the server runs beside
    draws, lookups = random.Random(0), _examples(server)
    turn = itertools.cycle(
        [partial(_ask_batch, server, name, some, size, draws) for name, some in rows.items() for size in (1, 100, ROWS)]
        + [partial(_ask, server.client.get, path) for path in lookups]
    )
    began, asked, everything, failed = time.monotonic(), 0, [], Counter()
    for minute in itertools.count(1):
        seconds = []
        while time.monotonic() < began + 60 * min(minute, minutes):
            took, problem = next(turn)()
            seconds.append(took)
            failed.update([problem] if problem else [])
            asked += 1
            time.sleep(max(0, began + asked / LOAD - time.monotonic()))
        everything += seconds
        median, late = _cells(seconds)
        console.print(
            f"minute {minute}: {asked:,} requests, {failed.total()} failed, median {median} ms, p99 {late} ms, "
            f"{server.memory()}, load average {os.getloadavg()[0]:.1f}"
        )
        if minute >= minutes:
            break
    median, late = _cells(everything)
    console.print(f"{asked:,} requests in {minutes:g} minutes, median {median} ms, p99 {late} ms: {server.memory()}")
    console.print(*(f"{count} x {problem}" for problem, count in failed.items()), sep="\n")


def _ask_batch(
    server: Server, name: str, rows: list[dict], size: int, draws: random.Random
) -> tuple[float, str | None]:
    body = _records(draws.sample(rows, size))
    return _ask(server.client.post, _path(name), content=body, headers=_JSON)


def _ask(method: Callable[..., httpx.Response], path: str, **given: object) -> tuple[float, str | None]:
    """The seconds until the answer, and what was wrong with it."""
    began = time.perf_counter()
    try:
        answer = method(path, **given)
        problem = f"{path}: {answer.status_code} {answer.text[:200]}" if answer.is_error else None
    except httpx.HTTPError as error:
        problem = f"{path}: {error!r}"
    return time.perf_counter() - began, problem


if __name__ == "__main__":
    main()
