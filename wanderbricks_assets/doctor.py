"""What this machine has and lacks, and how to get what it lacks."""

import importlib.metadata
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wanderbricks_assets.automation.alerts.destinations import alert_destinations
from wanderbricks_assets.settings import settings

_FREE_SPACE_NEEDED = 3  # GB: environment, three simulated years, lake, models


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for; `weight` says whether the project cannot do without it."""

    what: str
    ok: bool
    found: str
    remedy: str = ""
    weight: Literal["needed", "optional"] = "needed"


def examine() -> list[Finding]:
    version = ".".join(str(part) for part in sys.version_info[:3])
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    return [
        Finding(
            "Python 3.11 to 3.13", (3, 11) <= sys.version_info[:2] <= (3, 13), version, "install Python 3.11 or later"
        ),
        Finding("free disk space", free > _FREE_SPACE_NEEDED, f"{free:.0f} GB", f"make {_FREE_SPACE_NEEDED} GB free"),
        *(
            _package(name, "make test")
            for name in ("dagster", "dagster-webserver", "mlflow", "prophet", "xgboost", "lightgbm")
        ),
        _command("git", "git", "install git", "optional"),
        _package("pyspark", ".venv/bin/uv pip install -c requirements.lock -e '.[spark]'", "optional"),
        _command("Java for Spark", "java", "install a JRE, e.g. Debian's default-jre-headless", "optional"),
        _package("dagster-databricks", ".venv/bin/uv pip install -c requirements.lock -e '.[databricks]'", "optional"),
        _alerts(),
        _command("Chromium for browser tests", "chromium", "install Debian's chromium", "optional"),
    ]


def _alerts() -> Finding:
    try:
        labels = [destination.label for destination in alert_destinations(settings())]
    except ValueError as error:
        return Finding("alert URLs", False, "not understood", str(error))
    return Finding("alert URLs", True, ", ".join(labels) or "none: alerts go to the log and to <home>/alerts.html")


def _package(name: str, remedy: str, weight: Literal["needed", "optional"] = "needed") -> Finding:
    try:
        return Finding(name, True, importlib.metadata.version(name), "", weight)
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, False, "not installed", remedy, weight)


def _command(what: str, name: str, remedy: str, weight: Literal["needed", "optional"]) -> Finding:
    path = shutil.which(name)
    if path is None:
        return Finding(what, False, "not found", remedy, weight)
    answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=30, check=False)
    lines = (answer.stdout or answer.stderr).strip().splitlines()
    return Finding(what, True, lines[0] if lines else path, "", weight)
