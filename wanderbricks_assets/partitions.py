"""How time is cut, and which past of its inputs each asset needs."""

import warnings
from datetime import UTC, datetime
from typing import cast

import dagster as dg

from wanderbricks_assets.settings import settings
from wanderbricks_assets.window import ON_THE_BOOKS, Window, naive_utc

# Single-run backfills are called beta; nothing here can do without them, and every asset would warn of it.
warnings.filterwarnings("ignore", category=dg.BetaWarning)

_START = datetime.combine(settings().first_day, datetime.min.time())

# The hours in which events of the source happened, and the hours that features are kept for.
SOURCE_HOURS = dg.HourlyPartitionsDefinition(start_date=_START)
HOURLY = dg.HourlyPartitionsDefinition(start_date=datetime.combine(settings().first_hourly_day, datetime.min.time()))
DAILY = dg.DailyPartitionsDefinition(start_date=_START)
# Weeks start on Monday; the week's end is the training cutoff.
WEEKLY = dg.WeeklyPartitionsDefinition(start_date=_START, day_offset=1)

SAME_TIME = dg.TimeWindowPartitionMapping()
# Rates and sums over the last seven days, of an hourly asset.
LAST_7_DAYS_OF_HOURS = dg.TimeWindowPartitionMapping(start_offset=-7 * 24)
LAST_YEAR = dg.TimeWindowPartitionMapping(start_offset=-364)
LAST_3_YEARS = dg.TimeWindowPartitionMapping(start_offset=-ON_THE_BOOKS.days)
LAST_3_YEARS_OF_WEEKS = dg.TimeWindowPartitionMapping(start_offset=-3 * 52)
# What a customer did, and what guests said of a property, counts from the first day on.
SINCE_THE_BEGINNING = dg.TimeWindowPartitionMapping(start_offset=-30 * 365)


def ended(partitions: dg.PartitionsDefinition, moment: datetime) -> list[str]:
    """The partitions that have ended by a moment (naive UTC), oldest first."""
    return list(partitions.get_partition_keys(current_time=moment.replace(tzinfo=UTC)))


def run_window(context: dg.AssetExecutionContext) -> Window:
    """The time that this run covers for its asset."""
    return window_of(context.assets_def.partitions_def, context.partition_key_range)


def window_of(partitions: dg.PartitionsDefinition, keys: dg.PartitionKeyRange) -> Window:
    """The time that a range of partitions covers; the first day of all opens it to the past."""
    windows = cast("dg.TimeWindowPartitionsDefinition", partitions)  # all are; the hints of Dagster's jobs say less
    start = windows.time_window_for_partition_key(keys.start).start
    end = windows.time_window_for_partition_key(keys.end).end
    first = windows.get_first_partition_window()
    opens = partitions is not HOURLY and first is not None and start <= first.start
    return Window(naive_utc(start), naive_utc(end), opens)
