"""What the features of all years cost, beside SQL written by hand and beside Spark: `python -m bench.features HOME`.

The transform of each feature table over the whole history of a home, its inputs in Parquet files, its rows in memory
as Arrow at the end. The SQL of `bench/sql` gives the same rows of the same files, which is asserted. Beside Spark the
backfill is whole: computed, and written to the lake as the engine keeps it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path

import duckdb
import pyarrow as pa

from bench.measuring import Cost, Spread, in_process, in_turn, markdown, ratio, say, verdict
from bench.scale import cpu_seconds
from wanderbricks_assets.contracts.features import FEATURES
from wanderbricks_assets.contracts.source import SOURCE
from wanderbricks_assets.features.engagement_features import engagement_features
from wanderbricks_assets.features.property_features import property_features
from wanderbricks_assets.features.user_features import user_features
from wanderbricks_assets.lazy import Table
from wanderbricks_assets.resources.engine import computed, read_parquet
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.resources.source import FilesSource, conform
from wanderbricks_assets.resources.tables import lake_of
from wanderbricks_assets.settings import Settings, read_settings
from wanderbricks_assets.window import Window

TRANSFORMS: Mapping[str, tuple[Callable[..., Table], tuple[str, ...]]] = {
    "property_features": (
        property_features,
        ("dim_property", "dim_destination", "fact_booking_history", "fact_review", "property_images"),
    ),
    "user_features": (user_features, ("dim_user", "fact_booking_history")),
    "engagement_features": (engagement_features, ("page_views", "clickstream", "bookings")),
}
BESIDE_SPARK = ("user_features",)  # property_features takes minutes there
TIMES = 2
MOST_OF_SQL, LEAST_OF_SPARK = 2, 10


@dataclass(frozen=True)
class Backfill:
    """One feature table over all days (engagement_features: over the days that its hours are kept for) of a home."""

    name: str
    files: Mapping[str, list[str]]
    first: date
    last: date

    @property
    def days(self) -> Window:
        return Window.of_days(self.first, self.last, opens=self.name != "engagement_features")

    def rows(self) -> Table:
        """What the asset's run would write, not computed yet."""
        transform, inputs = TRANSFORMS[self.name]
        tables = (_contract_rows(name, self.files[name]) for name in inputs)
        return FEATURES[self.name].conform(transform(*tables, self.days))

    def written(self, lake: Lake) -> None:
        """The backfill whole: computed, and written to the lake of this process's engine."""
        lake.replace(self.name, self.rows(), self.days)

    def ours(self) -> pa.Table:
        return computed(self.rows())

    def by_hand(self, connection: duckdb.DuckDBPyConnection) -> pa.Table:
        """The same from the SQL of `bench/sql`."""
        for name, files in self.files.items():
            connection.execute(f"CREATE OR REPLACE VIEW {name} AS FROM read_parquet({files}, hive_partitioning=false)")
        query = (Path(__file__).parent / "sql" / f"{self.name}.sql").read_text()
        given = {name: day for name, day in (("first", self.first), ("last", self.last)) if f"${name}" in query}
        return connection.execute(query, given).to_arrow_table()


def backfills(home: Path) -> dict[str, Backfill]:
    """Those of all feature tables of a home."""
    settings = Settings(home=home)
    lake, source = Lake(folder=str(settings.lake_folder)), FilesSource(folder=str(settings.source_folder))
    last = lake.read("property_features").feature_date.max().to_pyarrow().as_py()
    found = {}
    for name, (_, inputs) in TRANSFORMS.items():
        first = settings.first_hourly_day if name == "engagement_features" else settings.first_day
        days = Window.of_days(first, last).back(days=7) if name == "engagement_features" else None
        files = {table: _files(lake, source, table, days) for table in inputs}
        found[name] = Backfill(name, files, first, last)
    return found


def same_rows(name: str, ours: pa.Table, by_hand: pa.Table) -> None:
    """Raise AssertionError unless two tables hold the same rows, to the bit, in whatever order."""
    contract = FEATURES[name]
    by_hand = by_hand.select(contract.schema.names).cast(contract.arrow_schema)
    order = [(key, "ascending") for key in contract.key]
    ours, by_hand = ours.cast(contract.arrow_schema).sort_by(order), by_hand.sort_by(order)
    if ours.num_rows != by_hand.num_rows:
        raise AssertionError(f"{name}: {ours.num_rows:,} rows, and {by_hand.num_rows:,} by hand")
    differing = [column for column in contract.schema.names if not ours[column].equals(by_hand[column])]
    if differing:
        raise AssertionError(f"{name}: the SQL by hand gives other values of {', '.join(differing)}")


def _files(lake: Lake, source: FilesSource, table: str, days: Window | None) -> list[str]:
    from deltalake import DeltaTable

    if table in SOURCE:
        return [str(file) for file in source.files(table, days)]
    return sorted(DeltaTable(str(Path(lake.folder) / table)).file_uris())


def _contract_rows(name: str, files: list[str]) -> Table:
    from wanderbricks_assets.contracts.tables import LAKE

    rows = read_parquet(files)
    return conform(SOURCE[name], files[0], rows) if name in SOURCE else LAKE[name].conform(rows)


def table(home: Path) -> str:
    """Every feature table of the home beside SQL by hand, and those of BESIDE_SPARK written on both engines."""
    rows = []
    for name, one in backfills(home).items():
        count, ours, by_hand = _beside_sql(one)
        times = ratio([cost.seconds for cost in ours], [cost.seconds for cost in by_hand])
        bound = verdict(times.median, MOST_OF_SQL)
        rows.append((name, f"{count:,}", _seconds(ours), _seconds(by_hand), times.text(), bound))
    computed_ = markdown(("table", "rows", "DuckDB, s", "SQL by hand, s", "times", "bound"), rows)
    rows = []
    for name in BESIDE_SPARK:
        costs = {engine: _written(home, name, engine) for engine in ("duckdb", "spark")}
        ours, spark = (costs[engine] for engine in ("duckdb", "spark"))
        times = spark["seconds"] / ours["seconds"]
        cells = (f"{each['seconds']:.1f} / {each['cpu']:.1f}" for each in (ours, spark))
        rows.append((name, *cells, f"{times:.1f}", verdict(times, LEAST_OF_SPARK, is_least=True)))
    written = markdown(("table", "DuckDB, s / CPU s", "Spark, s / CPU s", "times", "bound"), rows)
    return f"{computed_}\n\n{written}"


def _seconds(costs: list[Cost]) -> str:
    return Spread(tuple(one.seconds for one in costs)).text()


def _beside_sql(one: Backfill) -> tuple[int, list[Cost], list[Cost]]:
    say(f"features: {one.name}, DuckDB and SQL by hand")
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        one.rows()  # what is loaded when first used
        made: dict[str, pa.Table] = {}
        cases = {"ours": one.ours, "by_hand": partial(one.by_hand, connection)}
        costs = in_turn({name: partial(_keep, made, name, call) for name, call in cases.items()}, TIMES)
    same_rows(one.name, **made)
    return made["ours"].num_rows, costs["ours"], costs["by_hand"]


def _keep(made: dict[str, pa.Table], name: str, call: Callable[[], pa.Table]) -> None:
    made[name] = call()


def _written(home: Path, name: str, engine_name: str) -> dict[str, float]:
    """Seconds, and of CPU, on an engine, in a process and with a lake of its own."""
    say(f"features: {name}, written on {engine_name}")
    with tempfile.TemporaryDirectory() as folder:
        environment = {"WANDERBRICKS_ENGINE": engine_name, "WANDERBRICKS_HOME": folder}
        return in_process("bench.features", home, "--backfill", name, environment=environment)


def _backfill(home: Path, name: str) -> dict[str, float]:
    """The costs in this process, on its engine; Spark's session has begun, and its JVM is counted."""
    one, lake = backfills(home)[name], lake_of(read_settings())
    cpu, begun = cpu_seconds(), time.monotonic()
    one.written(lake)
    return {"seconds": time.monotonic() - begun, "cpu": cpu_seconds() - cpu}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("home", type=Path)
    parser.add_argument("--backfill", choices=TRANSFORMS, help="only its costs on this engine, as JSON")
    given = parser.parse_args()
    print(json.dumps(_backfill(given.home, given.backfill)) if given.backfill else table(given.home))  # noqa: T201


if __name__ == "__main__":
    main()
