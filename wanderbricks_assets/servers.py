"""The servers of one machine: the UIs, the daemon, predictions, the simulated marketplace. Ctrl-C stops all."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from wanderbricks_assets.home import enter
from wanderbricks_assets.settings import Settings

_WORKSPACE = Path(__file__).parents[1] / "workspace.yaml"
_READY_WITHIN = 180  # seconds
_STOP_WITHIN = 20
# Seconds before a server that ended is started again, the first time, the second, ...; then it is given up.
_PAUSES = (1, 5, 15, 60, 300)
_STEADY_AFTER = 600  # seconds after which a server that ended counts as one that never did


@dataclass(frozen=True)
class Server:
    """One process: what it is for, how it is started, and the address it answers at (None: it has none).

    is_vital: whether all of them end when it cannot be kept running.
    """

    name: str
    command: tuple[str, ...]
    address: str | None = None
    is_vital: bool = False

    @property
    def port(self) -> int | None:
        return urlsplit(self.address).port if self.address else None


@dataclass(frozen=True)
class Ports:
    """Where each server that has an address listens."""

    dagster: int
    mlflow: int
    dashboard: int
    predictions: int


def serve(settings: Settings, host: str, ports: Ports, lock: IO[str], say: Callable[[str], None]) -> int:
    """Start the servers, print their addresses, keep them running until the person stops them; returns an exit code.

    They hold the lock, too: should this process be killed, the home is still in use.
    """
    environment = enter(settings)
    environment["WANDERBRICKS_UI_URL"] = settings.ui_url
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    logs = settings.home / "logs"
    logs.mkdir(exist_ok=True)

    def start(server: Server) -> subprocess.Popen:
        with (logs / f"{server.name.replace(' ', '-').lower()}.log").open("ab") as log:
            # A session of its own, so that Ctrl-C reaches the servers once, from here, and in order.
            return subprocess.Popen(
                server.command,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=[lock.fileno()],
            )

    for how in (signal.SIGINT, signal.SIGTERM):  # a shell's background jobs are born deaf to SIGINT
        signal.signal(how, _interrupt)
    return keep_running(_servers(settings, host, ports), start, logs, say, [settings.alerts_page.as_uri()])


def keep_running(
    servers: Iterable[Server],
    start: Callable[[Server], subprocess.Popen],
    logs: Path,
    say: Callable[[str], None],
    alerts: Iterable[str] = (),
) -> int:
    """Start the servers and start those again that end, after growing pauses, until this process is interrupted.

    One that ends again and again is given up and the others go on, unless it is vital: then all are stopped. Returns
    the exit code, 0 after an interruption.
    """
    kept: list[_Kept] = []
    try:
        for server in servers:
            kept.append(_Kept(server, start, logs, say))
        for one in kept:
            if one.server.address:
                _wait_for(one, kept, say, logs)
        for page in alerts:
            say(f"{'Alerts':<12} {page}")
        say(f"Logs are in {logs}. Ctrl-C stops everything.")
        while True:
            _look_after(kept)
            time.sleep(1)
    except KeyboardInterrupt:
        say("Stopping ...")
        return 0
    except _CannotGoOn as error:
        say(f"[red]{error}[/red]")
        return 1
    finally:
        _stop([one.process for one in kept])


class _CannotGoOn(Exception):
    """A vital server was given up."""


class _Kept:
    """A server, its process, and how often that has ended of late."""

    def __init__(
        self, server: Server, start: Callable[[Server], subprocess.Popen], logs: Path, say: Callable[[str], None]
    ):
        self.server, self._start, self._logs, self._say = server, start, logs, say
        self._ends = 0
        self.is_given_up = False
        self._begin()

    def _begin(self) -> None:
        self.process, self._began = self._start(self.server), time.monotonic()
        self._again_at: float | None = None

    def look(self) -> None:
        """Start it again when it is time; say so when it has ended."""
        if self.is_given_up:
            return
        if self._again_at is not None:
            if time.monotonic() >= self._again_at:
                self._begin()
        elif self.process.poll() is not None:
            self._ended()

    def _ended(self) -> None:
        if self.server.address:
            with suppress(ProcessLookupError):  # what it has left behind would keep its port
                os.killpg(self.process.pid, signal.SIGKILL)
        if time.monotonic() - self._began >= _STEADY_AFTER:
            self._ends = 0
        ended = f"{self.server.name} ended with code {self.process.returncode}"
        self.is_given_up = self._ends >= len(_PAUSES)
        if self.is_given_up and self.server.is_vital:
            raise _CannotGoOn(f"{ended} once more, and nothing works without it; see {self._logs}")
        if self.is_given_up:
            self._say(f"[red]{ended} once more, and is given up[/red]; the others go on; see {self._logs}")
            return
        pause = _PAUSES[self._ends]
        self._ends, self._again_at = self._ends + 1, time.monotonic() + pause
        self._say(f"[yellow]{ended}[/yellow]; it is started again in {pause} s; see {self._logs}")


def _look_after(kept: Iterable[_Kept]) -> None:
    for one in kept:
        one.look()


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _servers(settings: Settings, host: str, ports: Ports) -> list[Server]:
    python = [sys.executable, "-m"]
    # Without a token, predictions are for this machine only.
    its_host = host if settings.serve_token else "127.0.0.1"
    workspace = ["--workspace", str(_WORKSPACE)] if _WORKSPACE.exists() else ["-m", "wanderbricks_assets.definitions"]
    servers = [
        Server(
            "Dagster UI",
            (*python, "dagster_webserver", "--host", host, "--port", str(ports.dagster), *workspace),
            f"http://{host}:{ports.dagster}",
            is_vital=True,
        ),
        Server("Daemon", (*python, "dagster._daemon", "run", *workspace), is_vital=True),
        Server(
            "MLflow UI",
            (
                *python, "mlflow", "server", "--host", host, "--port", str(ports.mlflow), "--workers", "1",
                "--backend-store-uri", settings.tracking_uri,
            ),
            f"http://{host}:{ports.mlflow}",
        ),
        Server(
            "Dashboard",
            (*python, "wanderbricks_assets.dashboard", "--host", host, "--port", str(ports.dashboard)),
            f"http://{host}:{ports.dashboard}",
        ),
        Server(
            "Predictions",
            (*python, "wanderbricks_assets.cli", "serve", "--host", its_host, "--port", str(ports.predictions)),
            f"http://{its_host}:{ports.predictions}/docs",
        ),
    ]  # fmt: skip
    if settings.source_folder == settings.home / "source":  # our own simulated marketplace, which keeps growing
        servers.append(Server("Marketplace", (*python, "wanderbricks_assets.cli", "simulate", "--follow")))
    return servers


def _wait_for(one: _Kept, kept: Iterable[_Kept], say: Callable[[str], None], logs: Path) -> None:
    """Until a server answers, and say where; or until it is given up, or has not answered for long."""
    deadline = time.monotonic() + _READY_WITHIN
    while not one.is_given_up:
        if _answers(one.server.address):
            say(f"{one.server.name:<12} {one.server.address}")
            return
        if time.monotonic() > deadline:
            say(f"[yellow]{one.server.name} has not answered at {one.server.address} yet[/yellow]; see {logs}")
            return
        _look_after(kept)
        time.sleep(1)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5):
            return True
    except urllib.error.HTTPError:  # if only to ask for a token
        return True
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


def taken_port(host: str, ports: Ports) -> int | None:
    """The first of the ports at which something listens already."""
    return next((port for port in vars(ports).values() if _is_taken(host, port)), None)


def _is_taken(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def _stop(processes: Sequence[subprocess.Popen]) -> None:
    """Ask every group of processes to end, and end those that do not."""
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
    deadline = time.monotonic() + _STOP_WITHIN
    for process in processes:
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
