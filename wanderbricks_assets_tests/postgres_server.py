"""A Postgres server of a test's own."""

import getpass
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """The URL of a database server in a new folder, on a Unix socket only; skips when none is installed."""
    path = os.pathsep.join([os.environ["PATH"], *map(str, Path("/usr/lib/postgresql").glob("*/bin"))])  # Debian's place
    initdb, server = shutil.which("initdb", path=path), shutil.which("postgres", path=path)
    if not initdb or not server:
        pytest.skip("neither postgres nor initdb was found: install Debian's postgresql")
    user = "postgres" if getpass.getuser() == "root" else None  # Postgres does not run as root
    folder.mkdir()
    if user:
        shutil.chown(folder, user)
        for parent in folder.parents[:4]:  # pytest's folders are closed to others
            if parent.stat().st_uid == 0 and parent != Path("/tmp"):
                parent.chmod(parent.stat().st_mode | 0o011)
    how = {"user": user, "stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT}
    data = folder / "data"
    subprocess.run([initdb, "-D", data, "-U", "wanderbricks", "-A", "trust", "--no-sync"], check=True, **how)
    process = subprocess.Popen([server, "-D", data, "-k", folder, "-h", "", "-F"], **how)
    try:
        deadline = time.monotonic() + 30
        while not _answers(folder):
            assert process.poll() is None, "postgres ended by itself"
            assert time.monotonic() < deadline, "postgres did not answer"
            time.sleep(0.05)
        yield f"postgresql+psycopg2://wanderbricks@/postgres?host={folder}"
    finally:
        process.send_signal(signal.SIGINT)  # SIGTERM would wait for the last connection
        process.wait(20)


def _answers(folder: Path) -> bool:
    import psycopg2

    try:
        psycopg2.connect(host=str(folder), user="wanderbricks", dbname="postgres").close()
    except psycopg2.OperationalError:
        return False
    return True
