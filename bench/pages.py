"""A server of one's own and a browser to look at it with."""

import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

STARTS_WITHIN = 120  # seconds


@contextmanager
def server(command: Sequence[str], health: str, environment: Mapping[str, str]) -> Iterator[str]:
    """A server on a free port, which is added to the command; gives its address once `health` answers there."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([*command, str(port)], env=environment)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(f"{address}/{health}", process)
        yield address
    finally:
        process.terminate()
        process.wait()


@contextmanager
def chromium() -> Iterator[Browser]:
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        raise SystemExit("no chromium is on the PATH: `wanderbricks doctor` says how to get one")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found)
        try:
            yield browser
        finally:
            browser.close()


def _wait(address: str, process: subprocess.Popen) -> None:
    for _ in range(STARTS_WITHIN * 10):
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with code {process.returncode}")
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    raise RuntimeError(f"no answer from {address} within {STARTS_WITHIN} s")
