"""What the quarantine says about the source."""

from collections.abc import Callable

import dagster as dg

from wanderbricks_assets.gold.assets import quarantine, quarantine_without_day
from wanderbricks_assets.lazy import Table, ibis
from wanderbricks_assets.partitions import DAILY, window_of
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.resources.source import FilesSource

FEW_ROWS = "few_rows_are_quarantined"
# The worst table of the real sample, payments, repeats 9% of its keys (data dictionary); twice that is a new fault.
LARGEST_SHARE = 0.2
_DESCRIPTION = f"No source table has more than {LARGEST_SHARE:.0%} of its rows quarantined."


@dg.asset_check(asset=quarantine, name=FEW_ROWS, description=_DESCRIPTION)
def few_events_are_quarantined(
    context: dg.AssetCheckExecutionContext, lake: Lake, source: FilesSource
) -> dg.AssetCheckResult:
    of_days = context.has_partition_key or context.has_partition_key_range
    window = window_of(DAILY, context.partition_key_range) if of_days else None
    return _judged(lake.read("quarantine", window), lambda name: source.read(name, window))


@dg.asset_check(asset=quarantine_without_day, name=FEW_ROWS, description=_DESCRIPTION)
def few_rows_without_day_are_quarantined(lake: Lake, source: FilesSource) -> dg.AssetCheckResult:
    return _judged(lake.read("quarantine_without_day"), source.read)


def _judged(rows: Table, source_rows: Callable[[str], Table]) -> dg.AssetCheckResult:
    """Counts the quarantined rows by table and reason, and compares them with the rows of those tables."""
    counts = rows.group_by("source_table", "reason").agg(rows=rows.copies.sum()).order_by(ibis.desc("rows")).to_pandas()
    by_table = counts.groupby("source_table")["rows"].sum().to_dict()
    sizes = {name: source_rows(name).count().to_pyarrow().as_py() for name in by_table}
    # Rows without a time are among the quarantined, and not among those that a window of the source holds.
    sizes = {name: max(size, by_table[name]) for name, size in sizes.items()}
    shares = {name: count / sizes[name] for name, count in by_table.items()}
    worst = max(shares, key=shares.get, default=None)
    return dg.AssetCheckResult(
        passed=worst is None or bool(shares[worst] <= LARGEST_SHARE),
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{counts['rows'].sum():,} rows quarantined"
        + (f"; most in {worst}: {shares[worst]:.1%} of its {sizes[worst]:,}" if worst else ""),
        metadata={
            "reasons": dg.MetadataValue.md(counts.to_markdown(index=False)) if len(counts) else "none",
            **{f"share_{name}": float(share) for name, share in shares.items()},
        },
    )


GOLD_CHECKS = [few_events_are_quarantined, few_rows_without_day_are_quarantined]
