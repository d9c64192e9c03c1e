"""Servers that end are started again; those that cannot be kept are given up. Real processes, quick pauses."""

import inspect
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from wanderbricks_assets import cli, servers
from wanderbricks_assets.servers import Ports, Server, keep_running
from wanderbricks_assets.settings import Settings
from wanderbricks_assets_tests.automation.alerts.servers import free_port


def server(name: str, code: str, address: str | None = None, is_vital: bool = False) -> Server:
    return Server(name, (sys.executable, "-S", "-c", code), address, is_vital)


def steady(folder: Path) -> Server:
    return server("Steady", f"import time; open({str(folder / 'steady')!r}, 'a').write('begun '); time.sleep(60)")


class Watched:
    """`keep_running` in this thread; `until` interrupts it, as Ctrl-C does, once a sentence has been said."""

    def __init__(self, folder: Path):
        self.folder, self.said, self.processes = folder, [], []

    def run(self, *kept: Server, until: str | None = None) -> int:
        def say(sentence: str) -> None:
            self.said.append(sentence)
            if until and until in sentence:
                threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()

        def start(one: Server) -> subprocess.Popen:
            self.processes.append(subprocess.Popen(one.command, start_new_session=True))
            return self.processes[-1]

        return keep_running(kept, start, self.folder, say)

    def count(self, words: str) -> int:
        return sum(words in sentence for sentence in self.said)


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    monkeypatch.setattr(servers, "_PAUSES", (0, 0.01, 0.02))
    sleep = time.sleep
    monkeypatch.setattr(servers.time, "sleep", lambda seconds: sleep(seconds / 50))
    return Watched(tmp_path)


def test_a_helper_that_ends_is_started_again_and_given_up_after_several_times_while_the_others_go_on(watched: Watched):
    code = watched.run(steady(watched.folder), server("Helper", "raise SystemExit(3)"), until="given up")
    assert code == 0, "it ended because it was interrupted, not because of the helper"
    assert watched.count("Helper ended with code 3[/yellow]; it is started again") == 3
    assert watched.count("Helper ended with code 3 once more, and is given up") == 1
    assert (watched.folder / "steady").read_text() == "begun "
    assert all(process.poll() is not None for process in watched.processes), "nothing is left behind"


def test_a_vital_server_that_cannot_be_kept_ends_all_with_1(watched: Watched):
    code = watched.run(steady(watched.folder), server("Daemon", "raise SystemExit(3)", is_vital=True))
    assert code == 1
    assert watched.said[-1].startswith("[red]Daemon ended with code 3 once more, and nothing works without it")
    assert all(process.poll() is not None for process in watched.processes)


def test_a_server_that_ends_long_after_it_began_is_not_one_that_ends_again_and_again(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(servers, "_STEADY_AFTER", 0)
    turns = f"open({str(watched.folder / 'turns')!r}, 'a').write('.')"
    threading.Thread(target=_interrupt_when, args=(watched.folder / "turns", 6), daemon=True).start()
    assert watched.run(server("Helper", turns)) == 0
    assert watched.count("given up") == 0


def test_what_a_killed_server_has_left_behind_does_not_keep_its_port(watched: Watched):
    port = free_port()
    child = f"import http.server as h; h.HTTPServer(('127.0.0.1', {port}), h.SimpleHTTPRequestHandler).serve_forever()"
    parent = f"import subprocess, sys, os, signal; subprocess.Popen([sys.executable, '-S', '-c', {child!r}])"
    mark = watched.folder / "turns"
    once = f"import time; f = open({str(mark)!r}, 'a'); f.write('.'); f.close(); time.sleep(1); "
    dies = f"{parent}; {once} os.kill(os.getpid(), signal.SIGKILL) if len(open({str(mark)!r}).read()) == 1 else None"
    code = watched.run(
        server("Dashboard", f"{dies}; time.sleep(60)", f"http://127.0.0.1:{port}"), until="it is started again"
    )
    assert code == 0
    assert watched.count(f"http://127.0.0.1:{port}") == 1
    assert watched.count("Dashboard ended with code -9") == 1
    assert not servers._answers(f"http://127.0.0.1:{port}")


def _interrupt_when(file: Path, turns: int) -> None:
    while not file.exists() or len(file.read_text()) < turns:
        threading.Event().wait(0.05)
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("command", ["up", "serve", "dashboard"])
def test_a_command_listens_on_loopback_unless_it_is_told_otherwise(command: str):
    assert inspect.signature(getattr(cli, command)).parameters["host"].default == "127.0.0.1"


@pytest.mark.parametrize(("token", "address"), [(None, "127.0.0.1"), ("planted-token", "0.0.0.0")])
def test_every_server_is_told_where_to_listen_and_predictions_leave_loopback_with_a_token_only(
    tmp_path: Path, token: str | None, address: str
):
    settings = Settings(home=tmp_path, serve_token=token)
    hosts = {one.name: one.command[one.command.index("--host") + 1] for one in _with_address(settings)}
    assert hosts.pop("Predictions") == address
    assert len(hosts) == 3
    assert set(hosts.values()) == {"0.0.0.0"}


def _with_address(settings: Settings) -> list[Server]:
    ports = Ports(dagster=3000, mlflow=5000, dashboard=8501, predictions=8000)
    return [one for one in servers._servers(settings, "0.0.0.0", ports) if one.address]
