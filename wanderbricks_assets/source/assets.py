"""The marketplace's own tables: observed and read, never written. Events are cut by the hour in which they happened."""

import dagster as dg

from wanderbricks_assets.contracts.dagster_face import described
from wanderbricks_assets.contracts.source import SOURCE
from wanderbricks_assets.partitions import SOURCE_HOURS

SOURCE_ASSETS = [
    dg.AssetSpec(
        **described(contract, group="source", kind="parquet"),
        partitions_def=SOURCE_HOURS if contract.time_column else None,
    ).with_io_manager_key("source_io")
    for contract in SOURCE.values()
]
