"""How fast it is: `make bench` measures everything and prints docs/performance.md.

Progress goes to standard error. What cannot be measured says why in its table's place; then the exit code is 1.
"""

import os
import platform
import sys
import tempfile
import traceback
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from bench.measuring import say

PAGE = Path(__file__).with_name("performance.md")
# One module each, and what its `table` is given. The first leaves the home that others measure on.
TOPICS = {
    "make_up": ["folder"],
    "features": ["home"],
    "size": ["home"],
    "training": ["home"],
    "stepping": ["home"],
    "loading": [],
    "growth": [],
}
NOT_MEASURED = "**Not measured:**"


def main() -> None:
    # Ours are the homes that are made here; a home that the shell names is not asked.
    for name in [name for name in os.environ if name.startswith(("WANDERBRICKS_", "DAGSTER_"))]:
        del os.environ[name]
    with tempfile.TemporaryDirectory(prefix="wanderbricks-bench-") as folder:
        given = {"folder": Path(folder), "home": Path(folder) / "home"}
        tables = {name: _measured(name, *(given[one] for one in needs)) for name, needs in TOPICS.items()}
    page = PAGE.read_text()
    for name, said in {**tables, "machine": _machine()}.items():
        page = page.replace(f"{{{name}}}", said)
    print(page, end="")  # noqa: T201
    sys.exit(any(said.startswith(NOT_MEASURED) for said in tables.values()))


def _measured(name: str, *given: Path) -> str:
    """The table of a topic, or why there is none: the others go on."""
    began = datetime.now(UTC)
    try:
        said = import_module(f"bench.{name}").table(*given)
    except Exception as reason:  # noqa: BLE001 (is said in the page, and by the exit code)
        traceback.print_exc()
        said = f"{NOT_MEASURED} {type(reason).__name__}: {' '.join(str(reason).split())[:500]}"
    say(f"{name}: {(datetime.now(UTC) - began).total_seconds():.0f} s")
    return said


def _machine() -> str:
    """The date, and what kind of machine this is."""
    cpu = Path("/proc/cpuinfo").read_text().partition("model name")[2].partition("\n")[0].strip(" \t:")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[2]
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d} by `make bench`: {cores} cores ({cpu or platform.machine()}), "
        f"{memory:.0f} GB of memory, {platform.system()}, Python {platform.python_version()}; load average of the last "
        f"quarter of an hour {load:.1f}."
    )


if __name__ == "__main__":
    main()
