"""The servers of one machine: the UIs, the daemon, predictions, the simulated marketplace. Ctrl-C stops all."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from wanderbricks_assets.home import enter
from wanderbricks_assets.settings import Settings

_WORKSPACE = Path(__file__).parents[1] / "workspace.yaml"
_READY_WITHIN = 180  # seconds
_STOP_WITHIN = 20


@dataclass(frozen=True)
class Server:
    """One process: what it is for, how it is started, and the address it answers at (None: it has none)."""

    name: str
    command: tuple[str, ...]
    address: str | None = None

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
    """Start the servers, print their addresses, wait until one ends or the person stops them; returns an exit code.

    They hold the lock, too: should this process be killed, the home is still in use.
    """
    environment = enter(settings)
    environment["WANDERBRICKS_UI_URL"] = settings.ui_url
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    logs = settings.home / "logs"
    logs.mkdir(exist_ok=True)
    servers = _servers(settings, host, ports)
    for how in (signal.SIGINT, signal.SIGTERM):  # a shell's background jobs are born deaf to SIGINT
        signal.signal(how, _interrupt)
    running: dict[Server, subprocess.Popen] = {}
    try:
        for server in servers:
            log = (logs / f"{server.name.replace(' ', '-').lower()}.log").open("ab")
            # A session of its own, so that Ctrl-C reaches the servers once, from here, and in order.
            running[server] = subprocess.Popen(
                server.command,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=[lock.fileno()],
            )
        for server in servers:
            if server.address:
                _wait_for(server, running[server], logs)
                say(f"{server.name:<12} {server.address}")
        say(f"{'Alerts':<12} {settings.alerts_page.as_uri()}")
        say(f"Logs are in {logs}. Ctrl-C stops everything.")
        while True:
            for server, process in running.items():
                if process.poll() is not None:
                    say(f"[red]{server.name} ended with code {process.returncode}[/red]; see {logs}")
                    return 1
            time.sleep(1)
    except KeyboardInterrupt:
        say("Stopping ...")
        return 0
    finally:
        _stop(running.values())


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
        ),
        Server("Daemon", (*python, "dagster._daemon", "run", *workspace)),
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


def _wait_for(server: Server, process: subprocess.Popen, logs: Path) -> None:
    for _ in range(_READY_WITHIN):
        if process.poll() is not None:
            raise RuntimeError(f"{server.name} ended with code {process.returncode} before it answered; see {logs}")
        try:
            with urllib.request.urlopen(server.address, timeout=5):
                return
        except urllib.error.HTTPError:  # it answers, if only to ask for a token
            return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(1)
    raise RuntimeError(f"{server.name} did not answer at {server.address} within {_READY_WITHIN} s; see {logs}")


def taken_port(host: str, ports: Ports) -> int | None:
    """The first of the ports at which something listens already."""
    return next((port for port in vars(ports).values() if _is_taken(host, port)), None)


def _is_taken(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def _stop(processes) -> None:
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
