"""How fast the service answers: `python -m bench.serving --home HOME` prints the table of docs/serving.md.

It copies the registry of a finished home and promotes the newest version of every model in the copy, whether it passed
its gates or not: what is timed is the serving. The server has a process of its own; the client waits for each answer.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
from rich.console import Console
from rich.table import Table

from wanderbricks_assets.serving.endpoint import ENDPOINT
from wanderbricks_assets.settings import Settings
from wanderbricks_assets.targets import TARGETS

PORT, RIVAL = 8765, 8766
ROWS = 1000
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
_ENVIRONMENT |= {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--home", type=Path, required=True)
    arguments.add_argument("--requests", type=int, default=500, help="single predictions of each model")
    arguments.add_argument("--minutes", type=float, default=0, help="how long to load it, watching its memory")
    arguments.add_argument("--no-rival", action="store_true", help="leave `mlflow models serve` out")
    given = arguments.parse_args()
    os.environ |= _ENVIRONMENT
    with tempfile.TemporaryDirectory() as place:
        home = _promoted(given.home.resolve(), Path(place))
        serve = ("wanderbricks_assets.cli", "serve", "--home", str(home), "--port", str(PORT))
        with (
            _running(serve, PORT, "/ready", home) as process,
            httpx.Client(base_url=f"http://127.0.0.1:{PORT}") as client,
        ):
            bodies = {name: _body(client, name) for name in TARGETS}
            ours = {name: _timed(client, _path(name), bodies[name], given.requests) for name in TARGETS}
            table = Table(
                "request", "median ms", "p99 ms", "rows/s in batches of 1,000", "mlflow median ms", "times faster"
            )
            for name, (single, batch) in ours.items():
                rival = None if given.no_rival else _rival(home, name, bodies[name], given.requests // 5)
                table.add_row(name, *_cells(single), f"{ROWS / np.median(batch):,.0f}", *_compared(single, rival))
            for path in _examples(client):
                table.add_row(path, *_cells(_gets(client, path, given.requests)), "", "", "")
            Console(width=150).print(table)
            if given.minutes:
                _load(client, process.pid, bodies, given.minutes)


def _promoted(home: Path, place: Path) -> Path:
    """A home with the lake and the view of the given one, and a registry in which the newest versions serve."""
    from wanderbricks_assets.models.registry import ModelRegistry

    shutil.copy(home / "mlflow.db", place)
    for name in ("settings.json", "lake", "online"):
        if (home / name).exists():
            (place / name).symlink_to(home / name)
    uri = Settings(home=place).tracking_uri
    registry = ModelRegistry(tracking_uri=uri, artifact_folder=str(place / "mlflow-artifacts"))
    for target in TARGETS.values():
        candidate = registry.candidate(target)
        if candidate and candidate.version:
            registry.promote(target, candidate.version)
    return place


@contextmanager
def _running(module: tuple[str, ...], port: int, path: str, home: Path) -> Iterator[subprocess.Popen]:
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    environment["MLFLOW_TRACKING_URI"] = Settings(home=home).tracking_uri
    with (home / f"{port}.log").open("ab") as log:
        process = subprocess.Popen([sys.executable, "-m", *module], env=environment, stdout=log, stderr=log)
    try:
        _wait(lambda: httpx.get(f"http://127.0.0.1:{port}{path}", timeout=2).status_code == 200)
        yield process
    finally:
        process.terminate()
        process.wait()


def _wait(holds: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if holds():
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise TimeoutError(f"no answer within {seconds:g} s")


def _path(name: str) -> str:
    return f"/serving-endpoints/{ENDPOINT}/served-models/{name}/invocations"


def _body(client: httpx.Client, name: str) -> dict:
    """A row of the model's input example, as the documentation shows it."""
    document = client.get("/openapi.json").json()
    operation = document["paths"]["/serving-endpoints/{endpoint}/served-models/{model}/invocations"]["post"]
    examples = operation["requestBody"]["content"]["application/json"]["examples"]
    return examples[TARGETS[name].registered_name]["value"]["dataframe_records"][0]


def _timed(client: httpx.Client, path: str, row: dict, count: int) -> tuple[np.ndarray, np.ndarray]:
    """([count] seconds of single predictions, seconds of batches)."""
    split = {"dataframe_split": {"columns": list(row), "data": [list(row.values())] * ROWS}}
    single, batch = json.dumps({"dataframe_records": [row]}), json.dumps(split)
    return _posts(client, path, single, count), _posts(client, path, batch, max(count // 20, 5))


def _posts(client: httpx.Client, path: str, body: str, count: int) -> np.ndarray:
    headers = {"Content-Type": "application/json"}
    return _seconds(lambda: client.post(path, content=body, headers=headers, timeout=60), count)


def _gets(client: httpx.Client, path: str, count: int) -> np.ndarray:
    return _seconds(lambda: client.get(path), count)


def _seconds(ask: Callable[[], httpx.Response], count: int) -> np.ndarray:
    ask().raise_for_status()
    taken = []
    for _ in range(count):
        began = time.perf_counter()
        ask().raise_for_status()
        taken.append(time.perf_counter() - began)
    return np.array(taken)


def _rival(home: Path, name: str, row: dict, count: int) -> np.ndarray:
    """[count] seconds of single predictions by `mlflow models serve` of the same version."""
    uri = f"models:/{TARGETS[name].registered_name}@{TARGETS[name].stage}"
    module = ("mlflow", "models", "serve", "--model-uri", uri, "--port", str(RIVAL), "--env-manager", "local")
    with _running(module, RIVAL, "/ping", home), httpx.Client(base_url=f"http://127.0.0.1:{RIVAL}") as client:
        return _posts(client, "/invocations", json.dumps({"dataframe_records": [row]}), count)


def _examples(client: httpx.Client) -> list[str]:
    """The lookups and the conversion of a pair, with the parameters of the documentation."""
    paths = []
    for path, operations in client.get("/openapi.json").json()["paths"].items():
        if "get" not in operations or not path.startswith("/v1/"):
            continue
        given = {each["name"]: each.get("example") for each in operations["get"].get("parameters", ())}
        if None not in {given[name] for name in given if f"{{{name}}}" in path}:
            asked = path.format(**given)
            # A home without a conversion champion keeps no visitors, so a conversion cannot be looked up there.
            paths += [asked] if client.get(asked).is_success else []
    return paths


def _cells(seconds: np.ndarray) -> tuple[str, str]:
    return f"{np.median(seconds) * 1e3:.2f}", f"{np.quantile(seconds, 0.99) * 1e3:.2f}"


def _compared(ours: np.ndarray, rival: np.ndarray | None) -> tuple[str, str]:
    if rival is None:
        return "", ""
    return f"{np.median(rival) * 1e3:.1f}", f"{np.median(rival) / np.median(ours):.1f}"


def _load(client: httpx.Client, pid: int, bodies: dict[str, dict], minutes: float) -> None:
    """Ask for everything in turn, and print how the memory of the server grows."""
    console, began, asked, shown = Console(), time.monotonic(), 0, -1
    batches = [
        (_path(name), json.dumps({"dataframe_records": [row] * size}))
        for name, row in bodies.items()
        for size in (1, 100)
    ]
    while time.monotonic() < began + 60 * minutes:
        for path, body in batches:
            client.post(path, content=body, timeout=60).raise_for_status()
            asked += 1
        minute = int((time.monotonic() - began) / 60)
        if minute > shown:
            shown = minute
            console.print(f"minute {minute}: {asked:,} requests, {_resident(pid):.0f} MB resident")
    console.print(f"{asked:,} requests in {minutes:g} minutes: {_resident(pid):.0f} MB resident")


def _resident(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
