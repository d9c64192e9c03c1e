"""Gold and features of a marketplace and of one ten times its size: `python -m bench.size HOME`.

The source of a home is laid side by side ten times, under other ids, in other places (`bench.scale`), and once. Each is
built by a process of its own into a lake, as the steps of a first run do it, without Dagster and without checks: facts
of all days, features of the last DAYS_OF_FEATURES, and what is made of page views of DAYS_OF_VIEWS.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from datetime import date, timedelta
from functools import partial
from pathlib import Path

from bench.measuring import cost_of, in_process, markdown, peak_memory, say, verdict
from bench.scale import TABLES, lay_side_by_side
from wanderbricks_assets.features.engagement_features import engagement_features
from wanderbricks_assets.features.property_features import property_features
from wanderbricks_assets.features.user_features import user_features
from wanderbricks_assets.gold.bookings import fact_booking_daily, fact_booking_history
from wanderbricks_assets.gold.dimensions import dim_destination, dim_property, dim_user
from wanderbricks_assets.gold.engagement import fact_property_engagement
from wanderbricks_assets.gold.reviews import fact_review
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.resources.source import FilesSource
from wanderbricks_assets.settings import Settings
from wanderbricks_assets.window import Window

TIMES_AS_LARGE = 10
DAYS_OF_FEATURES, DAYS_OF_VIEWS = 180, 14  # as the whole must take minutes
MOST_TIMES, MOST_MEMORY = 12, 6  # GB
LAID = (*TABLES, "users", "payments")


def table(home: Path) -> str:
    """Rows and seconds of each table at both sizes, the ratio of the seconds, and the peak memory of the process."""
    settings = Settings(home=home)
    source, lake = FilesSource(folder=str(settings.source_folder)), Lake(folder=str(settings.lake_folder))
    first, last = settings.first_day, lake.read("property_features").feature_date.max().to_pyarrow().as_py()
    views = _last(DAYS_OF_VIEWS, last).back(days=7)
    built = {}
    for copies in (1, TIMES_AS_LARGE):
        with tempfile.TemporaryDirectory() as folder:
            say(f"size: {copies} times the source, laid side by side and built")
            lay_side_by_side(source, copies, Path(folder), LAID, views)
            built[copies] = in_process("bench.size", folder, "--build", first, last)
    one, ten = built[1], built[TIMES_AS_LARGE]
    rows = []
    for name in (*one["tables"], "in all"):
        small, large = (each["tables"].get(name, each) for each in (one, ten))
        times = large["seconds"] / small["seconds"]
        bound = verdict(times, MOST_TIMES) if name == "in all" else ""
        rows.append((name, *_cells(small), *_cells(large), f"{times:.1f}", bound))
    memory, most = (each["peak"] / 1e9 for each in (one, ten))
    rows.append(
        (
            "peak memory",
            "",
            f"{memory:.1f} GB",
            "",
            f"{most:.1f} GB",
            f"{most / memory:.1f}",
            verdict(most, MOST_MEMORY, "GB"),
        )
    )
    return markdown(("", "rows at 1x", "s / CPU s", "rows at 10x", "s / CPU s", "times", "bound"), rows)


def _cells(taken: dict[str, float]) -> tuple[str, str]:
    return f"{taken['rows']:,}", f"{taken['seconds']:.1f} / {taken['cpu']:.1f}"


def _last(days: int, last: date) -> Window:
    return Window.of_days(last - timedelta(days=days - 1), last)


def build(folder: Path, first: date, last: date) -> dict:
    """Build the tables of the source in a folder, in this process; what each cost, and the memory of all."""
    lake, source = Lake(folder=str(folder / "lake")), FilesSource(folder=str(folder))
    tables, rows = {}, {}
    for name, write in _steps(lake, source, first, last).items():

        def counted(name=name, write=write) -> None:
            rows[name] = write()

        cost = cost_of(counted)
        tables[name] = {"seconds": cost.seconds, "cpu": cost.cpu, "rows": rows[name]}
    in_all = {what: sum(each[what] for each in tables.values()) for what in ("seconds", "cpu", "rows")}
    return {"tables": tables, **in_all, "peak": peak_memory()}


def _steps(lake: Lake, source: FilesSource, first: date, last: date) -> dict[str, Callable[[], int]]:
    """How each table is written, in the order of the graph; features piece by piece, as their assets are."""
    read, kept, years = source.read, lake.read, Window.of_days(first, last, opens=True)
    views, features = _last(DAYS_OF_VIEWS, last), _last(DAYS_OF_FEATURES, last)
    clicked = [read(name, views.back(days=7)) for name in ("page_views", "clickstream", "bookings")]
    whole = {
        "dim_property": (lambda: dim_property(read("properties"), read("property_updates")), None),
        "dim_destination": (lambda: dim_destination(read("destinations"), read("countries")), None),
        "dim_user": (lambda: dim_user(read("users"), kept("dim_user"), None), None),
        "fact_booking_history": (
            lambda: fact_booking_history(read("bookings", years), read("booking_updates", years), years),
            years,
        ),
        "fact_booking_daily": (
            lambda: fact_booking_daily(kept("fact_booking_history"), read("payments"), kept("dim_property"), years),
            years,
        ),
        "fact_review": (lambda: fact_review(read("reviews"), years), years),
    }
    by_piece = {
        "fact_property_engagement": (partial(fact_property_engagement, *clicked), views),
        "property_features": (
            lambda days: property_features(
                kept("dim_property"),
                kept("dim_destination"),
                kept("fact_booking_history"),
                kept("fact_review"),
                read("property_images"),
                days,
            ),
            features,
        ),
        "user_features": (lambda days: user_features(kept("dim_user"), kept("fact_booking_history"), days), features),
        "engagement_features": (partial(engagement_features, *clicked), views),
    }
    replaced = {
        name: lambda n=name, r=rows, w=window: lake.replace(n, r(), w) for name, (rows, window) in whole.items()
    }
    return replaced | {name: partial(lake.fill, name, *how) for name, how in by_piece.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("home", type=Path)
    parser.add_argument("--build", nargs=2, type=date.fromisoformat, help="of a folder, as JSON: first and last day")
    given = parser.parse_args()
    print(json.dumps(build(given.home, *given.build)) if given.build else table(given.home))  # noqa: T201
