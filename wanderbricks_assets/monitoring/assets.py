"""Realized accuracy of each day, and a check per model that fails when it has clearly left its bound."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import dagster as dg

from wanderbricks_assets.contracts.dagster_face import described
from wanderbricks_assets.contracts.monitoring import REALIZED_ACCURACY
from wanderbricks_assets.contracts.source import SOURCE
from wanderbricks_assets.contracts.tables import LAKE
from wanderbricks_assets.lazy import Table, ibis, pa
from wanderbricks_assets.models.registry import ModelRegistry
from wanderbricks_assets.monitoring.evaluations import Check, Finding, Places, Suite
from wanderbricks_assets.monitoring.realized import FIGURES, READS, YEARS
from wanderbricks_assets.partitions import DAILY, LAST_3_YEARS, ended, run_window, window_of
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.resources.source import FilesSource
from wanderbricks_assets.resources.tables import tables_until
from wanderbricks_assets.targets import TARGETS, Target

HOLDS_ITS_BOUND = {model: f"{model}_holds_its_bound" for model in FIGURES}
"""The check on `realized_accuracy` of each model, by the model's name."""
_INPUTS = sorted({name for names in READS.values() for name in names})


@dg.asset(
    **described(REALIZED_ACCURACY, "monitoring"),
    partitions_def=DAILY,
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=[
        dg.AssetDep(name, partition_mapping=LAST_3_YEARS if {**SOURCE, **LAKE}[name].time_column else None)
        for name in _INPUTS
    ],
)
def realized_accuracy(
    context: dg.AssetExecutionContext, lake: Lake, source: FilesSource, registry: ModelRegistry
) -> Table:
    window = run_window(context)
    first = window.end - timedelta(days=len(context.partition_keys))
    moments = [first + timedelta(days=1 + number) for number in range(len(context.partition_keys))]
    rows = [row for moment in moments for row in rows_of(lake, source, registry, moment)]
    return ibis.memtable(pa.Table.from_pylist(rows, schema=REALIZED_ACCURACY.arrow_schema))


def unmeasured_days(instance: dg.DagsterInstance, moment: datetime) -> tuple[str, str] | None:
    """The range of days to measure: from the first that is missing since any was measured, of a new home the newest."""
    days = ended(DAILY, moment)
    have = instance.get_materialized_partitions(dg.AssetKey("realized_accuracy"))
    since = min(have, default=days[-1] if days else "")
    missing = [day for day in days if day >= since and day not in have]
    return (missing[0], days[-1]) if missing else None


def rows_of(lake: Lake, source: FilesSource, registry: ModelRegistry, moment: datetime) -> Iterator[dict]:
    """The rows of the day that ends at a moment, from what was known then."""
    for model, figures in FIGURES.items():
        tables = tables_until(READS[model], lake, source, moment, YEARS)
        target = TARGETS[model]
        version = registry.serving_version(target, moment)
        trained = registry.metrics(registry.run_of(target, version)) if version else {}
        for number, figure in enumerate(figures):
            realized = figure(tables, moment)
            interval = realized.interval
            yield {
                "day": (moment - timedelta(days=1)).date(),
                "model": model,
                "metric": realized.metric,
                "value": interval.value if interval else None,
                "lower": interval.lower if interval else None,
                "upper": interval.upper if interval else None,
                "at_training": trained.get(realized.metric.removeprefix("realized_")),
                "bound": target.bound if number == 0 else None,
                "units": realized.units,
                "reason": realized.reason,
                "model_version": version,
            }


def has_left(target: Target, lower: float, upper: float) -> bool:
    """Whether the whole interval lies beyond the bound: a gate asks for certainty that it is kept, an alarm for
    certainty that it is broken, or noise would retrain."""
    return not target.keeps(lower if target.direction == "below" else upper)


def _bounds(places: Places, keys: Sequence[str]) -> list[Finding]:
    rows = places.lake.read("realized_accuracy", window_of(DAILY, dg.PartitionKeyRange(keys[0], keys[-1])))
    rows = rows.filter(rows.bound.notnull() & rows.value.notnull()).order_by("day", "model").to_pyarrow().to_pylist()
    return [_judged(row) for row in rows]


def _judged(row: dict) -> Finding:
    target, interval = TARGETS[row["model"]], f"[{row['lower']:.4g}, {row['upper']:.4g}]"
    left = has_left(target, row["lower"], row["upper"])
    verdict = "the whole interval is beyond it" if left else "not clearly left"
    numbers = {name: row[name] for name in ("value", "lower", "upper", "bound", "at_training") if row[name] is not None}
    return Finding(
        HOLDS_ITS_BOUND[row["model"]],
        row["day"].isoformat(),
        not left,
        f"{row['metric']} {row['value']:.4g} {interval}, bound {target.sign} {target.bound:g}: {verdict}",
        {**numbers, "units": row["units"], "metric": row["metric"], "model_version": row["model_version"] or "none"},
    )


REALIZED = Suite(
    "realized_accuracy_bounds",
    "realized_accuracy",
    tuple(
        Check(
            name,
            "Realized, not at training: fails when the whole 90% interval of what past predictions reached is "
            f"beyond {TARGETS[model].metric} {TARGETS[model].sign} {TARGETS[model].bound:g}. Not evaluated while there "
            "is nothing to compare; the table says why.",
        )
        for model, name in HOLDS_ITS_BOUND.items()
    ),
    DAILY,
    _bounds,
)
