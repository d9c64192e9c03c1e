"""How long the definitions take to load, beside `import dagster` alone: `python -m bench.loading`.

Each time a fresh process, the two in turn. With Dagster's UI, its daemon and every run of theirs, each waits for it.
"""

import subprocess
import sys
from functools import partial

from bench.measuring import Spread, in_turn, markdown, ratio, say

TIMES = 3
CASES = {
    "`import dagster`": "import dagster",
    "the definitions": "from wanderbricks_assets.definitions import defs",
}


def table() -> str:
    """Seconds on the clock and of CPU, and their ratio."""
    say("loading: the definitions")
    run = partial(subprocess.run, check=True)
    costs = in_turn({name: partial(run, [sys.executable, "-c", code]) for name, code in CASES.items()}, 1 + TIMES)
    costs = {name: taken[1:] for name, taken in costs.items()}  # the first time reads from the disk
    rows = []
    for what in ("seconds", "cpu"):
        alone, whole = ([getattr(one, what) for one in taken] for taken in costs.values())
        cells = (Spread(tuple(alone)).text(" s"), Spread(tuple(whole)).text(" s"), ratio(whole, alone).text())
        rows.append(("CPU" if what == "cpu" else "time", *cells))
    return markdown(("", *CASES, "ratio"), rows)


if __name__ == "__main__":
    print(table())  # noqa: T201
