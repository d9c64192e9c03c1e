"""A server of one's own, in a process of its own, on a free port."""

import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

STARTS_WITHIN = 120  # seconds


@dataclass(frozen=True)
class Server:
    """A server that answers."""

    address: str
    pid: int


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def server(command: Sequence[str], health: str, environment: Mapping[str, str]) -> Iterator[Server]:
    """A server on a free port, which is added to the command, once `health` answers there with 200.

    It is ended with all the processes that it has started: one that lived on would answer for the next. Raises
    RuntimeError, with the end of what it wrote, when it does not answer within STARTS_WITHIN.
    """
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [*command, str(port)], env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            if not _answers(f"{address}/{health}", process):
                log.seek(0)
                raise RuntimeError(f"no answer from {address} (exit code {process.poll()}): {log.read()[-2000:]}")
            yield Server(address, process.pid)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
            process.wait()


def _answers(address: str, process: subprocess.Popen) -> bool:
    end = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    return False
