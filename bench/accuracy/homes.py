"""What the benchmarks measure on: finished homes."""

import sys
from datetime import datetime
from pathlib import Path

from wanderbricks_assets.lazy import Table, pd
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.resources.source import FilesSource
from wanderbricks_assets.settings import Settings


def opened(home: Path) -> tuple[Lake, FilesSource, datetime]:
    """The lake and the source of a home, and the end of its last whole week: what its newest training may know."""
    settings = Settings(home=home)
    if not settings.is_made:
        sys.exit(f"{home} is no home: make one with `wanderbricks run --source SOURCE --home {home}`")
    lake, source = Lake(folder=str(settings.lake_folder)), FilesSource(folder=str(settings.source_folder))
    return lake, source, last_monday(lake.read("fact_booking_history").known_at)


def last_monday(times: Table) -> datetime:
    """The last midnight between Sunday and Monday that the events reach to within an hour."""
    newest = pd.Timestamp(times.max().to_pyarrow().as_py()).ceil("h").normalize()
    return (newest - pd.Timedelta(newest.weekday(), "D")).to_pydatetime()
