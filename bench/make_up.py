"""A cold `make up`, by phase: `python -m bench.make_up`.

A copy of this checkout in an empty folder makes its environment (from the cache of packages of this account), simulates
three years, materializes everything, and is stopped once its servers answer. The home that it leaves is what the other
benchmarks measure on.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from bench.measuring import markdown, say
from bench.servers import free_port
from wanderbricks_assets.models.all import MODELS

ROOT = Path(__file__).parents[1]
NOT_COPIED = shutil.ignore_patterns(".git", ".venv", ".wanderbricks", "__pycache__", ".*_cache", "*.egg-info")
_STEP = re.compile(r"(?:done|failed|skipped) +(\S+) +[\d.]+ s ")
_OF_A_MODEL = {name + part for name in MODELS for part in ("", "_gates", "_champion")}
# What each phase ends with; the first three are echoed or said once, the next two are of many steps.
PHASES = (
    "environment",
    "three years simulated",
    "gold, features and their checks",
    "training, gates, promotion",
    "predictions, activation, monitoring",
    "scoreboard",
    "the UI answers",
    "all servers answer",
)


def table(folder: Path) -> str:
    """Seconds of each phase; the home is left in `folder / "home"`."""
    say("make up: begins")
    ends = ended(_said(folder))
    missing = [phase for phase in PHASES if phase not in ends]
    if missing:
        raise RuntimeError(f"`make up` never came to: {', '.join(missing)}; see {folder / 'make-up.log'}")
    begun, rows = 0.0, []
    for phase in PHASES:
        rows.append((phase, f"{ends[phase] - begun:.0f}", f"{ends[phase]:.0f}"))
        begun = ends[phase]
    return markdown(("phase", "seconds", "seconds in all"), rows)


def ended(said: Iterable[tuple[float, str]]) -> dict[str, float]:
    """When each phase ended, from the lines of `make up` and their times."""
    ends: dict[str, float] = {}
    for moment, line in said:
        step = _STEP.match(line)
        if line.endswith("bin/wanderbricks up"):
            phase = "environment"
        elif "holds the marketplace" in line:
            phase = "three years simulated"
        elif step and step[1] in _OF_A_MODEL:
            phase = "training, gates, promotion"
        elif step and "training, gates, promotion" not in ends:
            phase = "gold, features and their checks"
        elif step or re.match(r"\d+ assets in", line):
            phase = "predictions, activation, monitoring"
        elif line.startswith("Dagster UI"):
            ends["scoreboard"] = ends.get("scoreboard", moment)
            phase = "the UI answers"
        elif line.startswith("Logs are in"):
            phase = "all servers answer"
        elif "predictions, activation, monitoring" in ends and "the UI answers" not in ends:
            phase = "scoreboard"
        else:
            continue
        ends[phase] = moment
        say(f"make up: {moment:4.0f} s   {line}")
    return ends


def _said(folder: Path) -> Iterator[tuple[float, str]]:
    """The lines that `make up` says until all of its servers answer, each with the seconds since the beginning."""
    checkout = folder / "checkout"
    shutil.copytree(ROOT, checkout, ignore=NOT_COPIED)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("WANDERBRICKS", "DAGSTER"))
    }
    environment |= {"PYTHON": str(Path(sys.base_prefix) / "bin" / "python3"), "WANDERBRICKS_HOME": str(folder / "home")}
    for name in ("PORT", "MLFLOW_PORT", "DASHBOARD_PORT", "SERVE_PORT"):
        environment[f"WANDERBRICKS_UP_{name}"] = str(free_port())
    begun = time.monotonic()
    process = subprocess.Popen(
        ["make", "up"],
        cwd=checkout,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        with (folder / "make-up.log").open("w") as log:
            for line in process.stdout:
                log.write(line)
                yield time.monotonic() - begun, line.rstrip()
                if line.startswith("Logs are in"):
                    return
    finally:
        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
        process.stdout.close()
        process.wait()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        print(table(Path(place)))  # noqa: T201
