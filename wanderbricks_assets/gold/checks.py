"""What the quarantine says about the source."""

import dagster as dg

from wanderbricks_assets.gold.assets import QUARANTINED, quarantine
from wanderbricks_assets.lazy import ibis
from wanderbricks_assets.partitions import DAILY, window_of
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.resources.source import FilesSource

# The worst table of the real sample, payments, repeats 9% of its keys (data dictionary); twice that is a new fault.
LARGEST_SHARE = 0.2


@dg.asset_check(
    asset=quarantine, description=f"No source table has more than {LARGEST_SHARE:.0%} of its rows quarantined."
)
def few_rows_are_quarantined(
    context: dg.AssetCheckExecutionContext, lake: Lake, source: FilesSource
) -> dg.AssetCheckResult:
    window = window_of(DAILY, context.partition_key_range) if context.has_partition_key_range else None
    rows = lake.read("quarantine", window)
    counts = rows.group_by("source_table", "reason").agg(rows=rows.count()).order_by(ibis.desc("rows")).to_pandas()
    by_table = counts.groupby("source_table")["rows"].sum()
    sizes = {name: source.read(name, window).count().to_pyarrow().as_py() for name in ("bookings", *QUARANTINED)}
    shares = {name: by_table.get(name, 0) / size for name, size in sizes.items() if size}
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


GOLD_CHECKS = [few_rows_are_quarantined]
