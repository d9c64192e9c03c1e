"""What the tests of the lake run in processes of their own."""

from datetime import date, timedelta
from multiprocessing.synchronize import Barrier
from pathlib import Path

import ibis

from wanderbricks_assets.contracts.features import PROPERTY_FEATURES
from wanderbricks_assets.contracts.gold import DIM_HOST
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.window import Window, midnight
from wanderbricks_assets_tests.marketplace import table_of


def features_of_days(first: date, days: int, properties: int, mark: int) -> ibis.Table:
    """property_features rows that all carry `mark` as their number of photos."""
    numbers = ibis.range(0, days * properties).unnest().name("n").as_table()
    feature_date = (ibis.literal(midnight(first)) + (numbers.n // properties).as_interval("D")).date()
    nulls = {
        column.name: ibis.null(column.type)
        for column in PROPERTY_FEATURES.columns
        if column.name not in ("property_id", "feature_date", "photos_count", "available_at")
    }
    return numbers.select(
        property_id=numbers.n % properties,
        feature_date=feature_date,
        photos_count=ibis.literal(mark, "int64"),
        available_at=feature_date.cast("timestamp") + ibis.interval(days=1),
        **nulls,
    )


def replace_together(together: Barrier, writes: list[tuple[str, date, int]], mark: int) -> None:
    """One write after the other (folder, first day, number of days), each at the same moment as another process's."""
    for folder, first, days in writes:
        rows = features_of_days(first, days, properties=50, mark=mark)
        together.wait(timeout=60)
        Lake(folder=folder).replace("property_features", rows, Window.of_days(first, first + timedelta(days=days - 1)))


def replace_overlapping(together: Barrier, folder: str, mark: int) -> None:
    """Windows of three days, of which each day lies in the windows of three processes; and a table without windows."""
    lake, first = Lake(folder=folder), date(2024, 1, 1) + timedelta(days=mark - 1)
    rows = features_of_days(first, 3, properties=50, mark=mark)
    together.wait(timeout=120)
    lake.replace("property_features", rows, Window.of_days(first, first + timedelta(days=2)))
    lake.revise("dim_host", lambda hosts: hosts.union(table_of(DIM_HOST, {"host_id": mark, "property_count": 0})))


def replace_for_ever(folder: str) -> None:
    """Replace January over and over, each time with another mark, until somebody kills the process."""
    lake = Lake(folder=folder)
    window = Window.of_days(date(2024, 1, 1), date(2024, 1, 31))
    for mark in range(1, 1_000_000):
        lake.replace("property_features", features_of_days(date(2024, 1, 1), 31, properties=300, mark=mark), window)
        (Path(folder) / "alive").touch()
