"""What Dagster costs per step: `python -m bench.stepping HOME`.

Three dimensions of a home, which cost little, so that what is around them shows: as functions whose rows the lake
writes, and as assets of one run in this process, with an event log as a home has it. Without checks.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.measuring import Spread, in_process, in_turn, markdown, say
from wanderbricks_assets.gold.cleaning import accepted
from wanderbricks_assets.gold.dimensions import dim_destination, dim_host, dim_property
from wanderbricks_assets.home import enter, make_databases
from wanderbricks_assets.lazy import Table
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.resources.source import FilesSource
from wanderbricks_assets.settings import Settings, read_settings

TIMES = 5
STEPS = ("dim_destination", "dim_property", "dim_host")


def table(home: Path) -> str:
    """Milliseconds of CPU and on the clock of a step, as function and as asset, and the difference."""
    say("stepping: as functions and as assets of a run")
    with tempfile.TemporaryDirectory() as folder:
        environment = {"WANDERBRICKS_HOME": folder, "WANDERBRICKS_SOURCE": str(Settings(home=home).source_folder)}
        costs = in_process("bench.stepping", home, "--measure", environment=environment)
    rows = []
    for what, mean in (("cpu", "CPU"), ("seconds", "time")):
        plain, run = ([1000 * one[what] / len(STEPS) for one in costs[name]] for name in ("functions", "run"))
        over = [b - a for a, b in zip(plain, run, strict=True)]
        rows.append((mean, *(Spread(tuple(one)).text(" ms") for one in (plain, run, over))))
    return markdown(("of a step", "as function", "as asset of a run", "Dagster's part"), rows)


def costs() -> dict[str, list[dict[str, float]]]:
    """The costs of all STEPS in both ways, in a home of this process's own."""
    settings = read_settings()
    enter(settings)
    make_databases(settings)
    import dagster as dg

    from wanderbricks_assets.definitions import defs

    lake, source = Lake(folder=str(settings.lake_folder)), FilesSource(folder=str(settings.source_folder))
    functions = _functions(lake, source)
    job = defs.resolve_job_def("gold_and_features").get_subset(
        asset_selection={dg.AssetKey(name) for name in STEPS}, asset_check_selection=set()
    )

    def call() -> None:
        for name, function in functions.items():
            lake.replace(name, function())

    with dg.DagsterInstance.get() as instance:

        def run() -> None:
            quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
            job.execute_in_process(instance=instance, partition_key=settings.first_day.isoformat(), run_config=quiet)

        taken = in_turn({"functions": call, "run": run}, 1 + TIMES)
    return {name: [vars(cost) for cost in each[1:]] for name, each in taken.items()}  # the first loads libraries


def _functions(lake: Lake, source: FilesSource) -> dict[str, Callable[[], Table]]:
    """What each step computes."""
    read = source.read
    return {
        "dim_destination": lambda: dim_destination(read("destinations"), read("countries")),
        "dim_property": lambda: dim_property(
            read("properties"),
            read("property_updates"),
            {name: accepted(name, read(name)) for name in ("destinations", "hosts")},
        ),
        "dim_host": lambda: dim_host(read("hosts"), lake.read("dim_property")),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("home", type=Path)
    parser.add_argument("--measure", action="store_true", help="print the costs as JSON")
    given = parser.parse_args()
    print(json.dumps(costs()) if given.measure else table(given.home))  # noqa: T201
