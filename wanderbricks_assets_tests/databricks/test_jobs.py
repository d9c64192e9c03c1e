"""Assets as jobs of a workspace, end to end, against a stand-in that runs them."""

from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq

from wanderbricks_assets.contracts.source import SOURCE
from wanderbricks_assets.definitions import everything
from wanderbricks_assets.resources.databricks import on_databricks
from wanderbricks_assets_tests.databricks.stand_in import StandIn
from wanderbricks_assets_tests.marketplace import arrow_of

THERE = on_databricks(everything)


def deliver(stand_in: StandIn, **tables: list[dict]) -> None:
    folder = stand_in.folder / "Volumes/main/wanderbricks/files/home/source"
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        pq.write_table(arrow_of(SOURCE[name], rows), folder / f"{name}.parquet")


def materialize(instance: dg.DagsterInstance, *assets: str, tags: dict[str, str] | None = None):
    job = dg.define_asset_job("job", dg.AssetSelection.assets(*assets))
    defs = dg.Definitions.merge(THERE, dg.Definitions(jobs=[job]))
    return defs.resolve_job_def("job").execute_in_process(instance=instance, tags=tags, raise_on_error=False)


def test_an_asset_is_materialized_by_a_job_and_told_of_here(stand_in: StandIn):
    deliver(stand_in, destinations=[{"destination_id": 1, "destination": "Lisbon", "country": "Portugal"}])
    with dg.DagsterInstance.ephemeral() as instance:
        result = materialize(instance, "dim_destination")
        assert result.success, Path(stand_in.jobs[1].log).read_text()
        (event,) = result.get_asset_materialization_events()
        assert event.step_materialization_data.materialization.metadata["dagster/row_count"].value == 1
