"""What the features of all years cost, beside SQL written by hand and beside Spark: `python -m bench.features HOME`.

The transform of each feature table over the whole history of a home, its inputs in Parquet files, its rows in memory
as Arrow at the end. The SQL of `bench/sql` gives the same rows of the same files, which is asserted. Spark computes the
transform on both cores in a session that has run before; its rows are only computed, not brought here, and what it is
held against is DuckDB with the bringing.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass
from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa

from bench.measuring import Cost, Spread, cost_of, in_process, in_turn, markdown, ratio, say, verdict
from wanderbricks_assets.contracts.features import FEATURES
from wanderbricks_assets.contracts.source import SOURCE
from wanderbricks_assets.features.engagement_features import engagement_features
from wanderbricks_assets.features.property_features import property_features
from wanderbricks_assets.features.user_features import user_features
from wanderbricks_assets.lazy import Table
from wanderbricks_assets.resources.engine import computed, engine, read_parquet
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.resources.source import FilesSource, conform
from wanderbricks_assets.settings import Settings
from wanderbricks_assets.window import Window

TRANSFORMS: Mapping[str, tuple[Callable[..., Table], tuple[str, ...]]] = {
    "property_features": (
        property_features,
        ("dim_property", "dim_destination", "fact_booking_history", "reviews", "property_images"),
    ),
    "user_features": (user_features, ("dim_user", "fact_booking_history")),
    "engagement_features": (engagement_features, ("page_views", "clickstream", "bookings")),
}
ON_SPARK = ("property_features", "user_features")
TIMES, TIMES_ON_SPARK = 5, 2
MOST_OF_SQL, LEAST_OF_SPARK = 2, 10


@dataclass(frozen=True)
class Backfill:
    """One feature table over all days (engagement_features: over the days that its hours are kept for) of a home."""

    name: str
    files: Mapping[str, list[str]]
    first: date
    last: date

    def rows(self) -> Table:
        """What the asset's run would write, not computed yet."""
        transform, inputs = TRANSFORMS[self.name]
        days = Window.of_days(self.first, self.last, opens=self.name != "engagement_features")
        tables = (_contract_rows(name, self.files[name]) for name in inputs)
        return FEATURES[self.name].conform(transform(*tables, days))

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
    """Every feature table of the home beside SQL by hand; those of ON_SPARK beside Spark, too."""
    rows = []
    costs = {name: _beside_sql(one) for name, one in backfills(home).items()}
    spark = _on_spark(home)
    for name, (count, ours, by_hand) in costs.items():
        to_sql = ratio([one.seconds for one in ours], [one.seconds for one in by_hand])
        cells = [
            name,
            f"{count:,}",
            _seconds(ours),
            _seconds(by_hand),
            to_sql.text(),
            verdict(to_sql.median, MOST_OF_SQL),
        ]
        if name in ON_SPARK:
            least = min(one.seconds for one in spark[name])
            to_spark = Spread(tuple(least / one.seconds for one in ours))
            cells += [_seconds(spark[name]), to_spark.text(), verdict(to_spark.median, LEAST_OF_SPARK, is_least=True)]
        rows.append(cells + ["", "", ""] * (name not in ON_SPARK))
    headings = ("table", "rows", "DuckDB s", "SQL by hand s", "to SQL", "bound", "Spark s", "Spark to DuckDB", "bound")
    return markdown(headings, rows)


def _seconds(costs: list[Cost]) -> str:
    return Spread(tuple(one.seconds for one in costs)).text()


def _beside_sql(one: Backfill) -> tuple[int, list[Cost], list[Cost]]:
    say(f"features: {one.name}, DuckDB and SQL by hand")
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        ours, by_hand = one.ours(), one.by_hand(connection)  # which is the first time of both
        same_rows(one.name, ours, by_hand)
        count = ours.num_rows
        del ours, by_hand
        costs = in_turn({"ours": one.ours, "by hand": lambda: one.by_hand(connection)}, TIMES)
    return count, costs["ours"], costs["by hand"]


def _on_spark(home: Path) -> dict[str, list[Cost]]:
    say(f"features: {', '.join(ON_SPARK)} on Spark")
    with tempfile.TemporaryDirectory() as folder:  # of its catalog
        environment = {"WANDERBRICKS_ENGINE": "spark", "WANDERBRICKS_HOME": folder}
        costs = in_process("bench.features", home, "--on-spark", environment=environment)
    return {name: [Cost(*one) for one in taken] for name, taken in costs.items()}


def _cost_on_spark(home: Path) -> dict[str, list[tuple[float, float]]]:
    """In this process, whose engine is Spark: the costs of computing, and of throwing the rows away."""
    costs: dict[str, list[tuple[float, float]]] = {}
    for name, one in backfills(home).items():  # asks for a date, so the session has run by now
        if name in ON_SPARK:
            compute = lambda one=one: engine().rows(one.rows()).write.format("noop").mode("overwrite").save()  # noqa: E731
            costs[name] = [astuple(cost_of(compute)) for _ in range(TIMES_ON_SPARK)]
    return costs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("home", type=Path)
    parser.add_argument("--on-spark", action="store_true", help="print the costs on Spark, as JSON")
    given = parser.parse_args()
    print(json.dumps(_cost_on_spark(given.home)) if given.on_spark else table(given.home))  # noqa: T201


if __name__ == "__main__":
    main()
