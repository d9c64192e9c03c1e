"""The same assets, computed as jobs of a Databricks workspace: each step submits a job that does what it would do here.

A job installs this package's wheel and runs `wanderbricks-task` (databricks_task.py), which materializes the asset and
its checks in a process of its own. What happened there comes back through Dagster Pipes and a Unity Catalog volume.
"""

from collections.abc import Iterable, Iterator, Sequence

import dagster as dg

_TABLES, _JOURNAL = {"lake", "source"}, "journal"
_Result = dg.MaterializeResult | dg.AssetCheckResult | dg.AssetCheckEvaluation


class DatabricksJobs(dg.ConfigurableResource):
    """Submits what a step is to do as a job, and gives what came of it."""

    def run(
        self, context: dg.OpExecutionContext, assets: Iterable[dg.AssetKey], checks: Iterable[dg.AssetCheckKey]
    ) -> Iterator[_Result]:
        """What the assets and checks gave, over the partitions of the run.

        Raises JobFailed, NoAccess, or DagsterExecutionInterruptedError once an interrupted run's job is cancelled.
        """
        from wanderbricks_assets.resources.databricks_jobs import run_job

        yield from run_job(context, sorted(assets), sorted(checks))


def on_databricks(definitions: dg.Definitions) -> dg.Definitions:
    """The same definitions (keys, partitions, checks, metadata, automation), whose steps that read or write tables run
    as jobs. An asset and its checks are one job, and so are the checks of all source tables: a job takes a while to
    begin. What needs only the registry runs here.

    The sensor of late data is not among them: it watches the files of a source, and a catalog's tables are none.
    """
    steps = [one for one in (*definitions.assets, *definitions.asset_checks) if isinstance(one, dg.AssetsDefinition)]
    there = [step for step in steps if _reads_tables(step)]
    assets = {step.key: step for step in there if not isinstance(step, dg.AssetChecksDefinition)}
    checks = [spec for step in there for spec in step.check_specs]
    of_others = [spec for spec in checks if spec.asset_key not in assets]
    return dg.Definitions(
        assets=[
            *(one for one in definitions.assets if one not in there),
            *(_submitting(asset, [spec for spec in checks if spec.asset_key == key]) for key, asset in assets.items()),
        ],
        asset_checks=[
            *(one for one in definitions.asset_checks if one not in there),
            *([_submitting_checks(of_others)] if of_others else []),
        ],
        jobs=definitions.jobs,
        schedules=definitions.schedules,
        sensors=[sensor for sensor in definitions.sensors if _JOURNAL not in sensor.required_resource_keys],
        resources={**definitions.resources, "jobs": DatabricksJobs()},
        executor=definitions.executor,
    )


def _reads_tables(step: dg.AssetsDefinition) -> bool:
    """Whether a step is given tables, or opens them itself."""
    given = any(not one.dagster_type.is_nothing for one in step.op.input_defs)
    return given or bool(_TABLES & step.required_resource_keys)


def _submitting(asset: dg.AssetsDefinition, checks: Sequence[dg.AssetCheckSpec]) -> dg.AssetsDefinition:
    @dg.multi_asset(
        name=asset.op.name,
        specs=list(asset.specs),
        check_specs=checks,
        can_subset=bool(checks),
        partitions_def=asset.partitions_def,
        backfill_policy=asset.backfill_policy,
        pool=asset.op.pool,
    )
    def submit(context: dg.AssetExecutionContext, jobs: DatabricksJobs) -> Iterator[_Result]:
        chosen = context.op_execution_context
        keys = chosen.selected_asset_keys if checks else {asset.key}
        yield from jobs.run(chosen, keys, chosen.selected_asset_check_keys)

    return submit


def _submitting_checks(specs: Sequence[dg.AssetCheckSpec]) -> dg.AssetChecksDefinition:
    @dg.multi_asset_check(name="source_data", specs=specs, can_subset=True)
    def submit(context: dg.AssetCheckExecutionContext, jobs: DatabricksJobs) -> Iterator[_Result]:
        yield from jobs.run(context.op_execution_context, set(), context.selected_asset_check_keys)

    return submit
