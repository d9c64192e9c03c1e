"""The lake of a home, and all tables as they could be known at a moment: what a model is given."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import date, datetime

from wanderbricks_assets.contracts.source import SOURCE
from wanderbricks_assets.contracts.tables import LAKE
from wanderbricks_assets.lazy import Table
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.resources.source import FilesSource
from wanderbricks_assets.resources.spark_lake import SparkLake
from wanderbricks_assets.settings import Settings
from wanderbricks_assets.window import Window, midnight


def lake_of(settings: Settings) -> Lake:
    """The lake of a home, where its engine keeps it."""
    if settings.engine == "spark":
        return SparkLake(database=settings.spark_schema, table_format="delta" if _has_delta(settings) else "parquet")
    return Lake(folder=str(settings.lake_folder))


def _has_delta(settings: Settings) -> bool:
    """Whether Spark is Databricks': in a job of its own, or seen from elsewhere."""
    is_seen = settings.profile == "databricks" and "SPARK_REMOTE" in os.environ
    return is_seen or "DATABRICKS_RUNTIME_VERSION" in os.environ


def tables_until(
    names: Iterable[str], lake: Lake, source: FilesSource, moment: datetime, years: Mapping[str, int] = {}
) -> dict[str, Table]:
    """The named tables of lake and source; of tables with a time column only the rows before the moment, and of those
    in `years` only so many years of them.

    Those begin with a month, as the files of the lake do, and so with the same day for all moments of a month.
    """
    tables = {}
    for name in names:
        place, contract = (lake, LAKE[name]) if name in LAKE else (source, SOURCE[name])
        first = date(moment.year - years[name], moment.month, 1) if name in years else date.min
        past = Window(midnight(first), moment, opens=name not in years)
        tables[name] = place.read(name, past if contract.time_column else None)
    return tables
