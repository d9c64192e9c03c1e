# ruff: noqa: T201 (prints its result)
"""What the transforms cost on each engine when the marketplace grows: `python -m bench.scale SOURCE --copies 10`.

The source is laid side by side `copies` times, under other ids. Printed are rows out, seconds, and CPU seconds of this
process and its children (Spark's JVM is one); the engine is that of WANDERBRICKS_ENGINE.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path

import ibis

from wanderbricks_assets.contracts.source import SOURCE
from wanderbricks_assets.features.engagement_features import engagement_features
from wanderbricks_assets.features.property_features import property_features
from wanderbricks_assets.gold.bookings import fact_booking_history
from wanderbricks_assets.gold.dimensions import dim_destination, dim_property
from wanderbricks_assets.gold.reviews import fact_review
from wanderbricks_assets.resources.engine import duckdb_engine, engine
from wanderbricks_assets.resources.source import FilesSource
from wanderbricks_assets.window import Window

TABLES = ("bookings", "booking_updates", "properties", "property_updates", "destinations", "countries", "reviews")
TABLES += ("property_images", "page_views", "clickstream")
FAR_APART = 10**9  # between the ids of two copies


def lay_side_by_side(
    source: FilesSource, copies: int, folder: Path, tables: Iterable[str] = TABLES, days: Window | None = None
) -> FilesSource:
    """A folder with each table `copies` times, one file each, written by DuckDB; with `days` of views and clicks."""
    duckdb = duckdb_engine()
    for name in tables:
        files = [str(file) for file in source.files(name, days if name in ("page_views", "clickstream") else None)]
        shifted = ", ".join(
            f"{column.name} + copy * {FAR_APART} AS {column.name}"
            for column in SOURCE[name].columns
            if column.name.endswith("_id")
        )
        columns = f"* EXCLUDE (copy) REPLACE ({shifted})" if shifted else "* EXCLUDE (copy)"
        numbers = f"range({copies if shifted else 1}) AS numbers(copy)"
        duckdb.con.execute(
            f"COPY (SELECT {columns} FROM read_parquet($1, hive_partitioning=false), {numbers}) "
            f"TO '{folder / f'{name}.parquet'}' (FORMAT parquet)",
            [files],
        )
    return FilesSource(folder=str(folder))


def transforms(source: FilesSource, last: date) -> dict[str, Callable[[], ibis.Table]]:
    years = Window.of_days(last - timedelta(days=3 * 365), last, opens=True)
    month = Window.of_days(last - timedelta(days=29), last)
    week = Window.of_days(last - timedelta(days=6), last)
    read = source.read
    listings = dim_property(read("properties"), read("property_updates"))
    places = dim_destination(read("destinations"), read("countries"))

    def features(history: ibis.Table, days: Window) -> ibis.Table:
        reviews = fact_review(read("reviews"), years)
        return property_features(listings, places, history, reviews, read("property_images"), days)

    def history() -> ibis.Table:
        return fact_booking_history(read("bookings"), read("booking_updates"), years)

    return {
        "fact_booking_history, 3 years": history,
        "property_features, 1 day": lambda: features(history(), Window.of_days(last, last)),
        "property_features, 30 days": lambda: features(history(), month),
        "engagement_features, 7 days of hours": lambda: engagement_features(
            *(read(name, week.back(days=7)) for name in ("page_views", "clickstream", "bookings")), week
        ),
    }


def cpu_seconds() -> float:
    """Of this process and those it started."""
    mine, ticks = {os.getpid()}, 0
    for stat in sorted(Path("/proc").glob("[0-9]*/stat"), key=lambda file: int(file.parent.name)):
        with suppress(FileNotFoundError, ProcessLookupError):  # another's process that has just ended
            pid, rest = int(stat.parent.name), stat.read_text().rpartition(")")[2].split()
            if pid in mine or int(rest[1]) in mine:
                mine.add(pid)
                ticks += int(rest[11]) + int(rest[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--last", type=date.fromisoformat, required=True, help="last day that the source holds")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = lay_side_by_side(FilesSource(folder=str(given.source)), given.copies, Path(folder))
        for attempt in ("cold", "warm"):
            for name, transform in transforms(source, given.last).items():
                begun, cpu = time.monotonic(), cpu_seconds()
                count = transform().to_pyarrow().num_rows
                print(
                    f"{engine().name} x{given.copies} {attempt:<5}{name:<40}{count:>12,} rows"
                    f"{time.monotonic() - begun:>8.1f} s{cpu_seconds() - cpu:>8.1f} CPU s",
                    flush=True,
                )


if __name__ == "__main__":
    main()
