"""What the test of runs at the same moment does in processes of its own."""

from datetime import timedelta
from multiprocessing.synchronize import Barrier

import dagster as dg
import deltalake  # noqa: F401 (imported once, before processes are made from this one)
import ibis.backends.duckdb  # noqa: F401

from wanderbricks_assets.resources.lake import Lake, LakeIOManager
from wanderbricks_assets.window import Window
from wanderbricks_assets_tests.marketplace import day
from wanderbricks_assets_tests.resources.lake_writers import features_of_days

DAILY = dg.DailyPartitionsDefinition(start_date="2024-01-01", end_date="2024-02-01")


def materialize_together(together: Barrier, dagster_home: str, lake: str, mark: int) -> None:
    """Three days from the `mark`-th of January on, in one run, of a table whose rows all carry the mark."""

    @dg.asset(partitions_def=DAILY, backfill_policy=dg.BackfillPolicy.single_run())
    def property_features(context: dg.AssetExecutionContext):
        return features_of_days(Window(*context.partition_time_window).first_day, 3, properties=50, mark=mark)

    first = day("2024-01-01") + timedelta(days=mark - 1)
    range_ = (str(first), str(first + timedelta(days=2)))
    tags = dict(zip(("dagster/asset_partition_range_start", "dagster/asset_partition_range_end"), range_, strict=True))
    io_manager = LakeIOManager(lake=Lake(folder=lake))
    together.wait(timeout=120)
    with dg.DagsterInstance.from_config(dagster_home) as instance:
        result = dg.materialize([property_features], instance=instance, resources={"io_manager": io_manager}, tags=tags)
    assert result.success
