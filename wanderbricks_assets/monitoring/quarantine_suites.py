"""What the quarantine says about the source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import dagster as dg

from wanderbricks_assets.contracts.gold import QUARANTINE
from wanderbricks_assets.contracts.source import SOURCE
from wanderbricks_assets.lazy import Table, pd
from wanderbricks_assets.monitoring.data_checks import counts, partition_names, partitioned
from wanderbricks_assets.monitoring.evaluations import Check, Finding, Places, Suite
from wanderbricks_assets.partitions import DAILY, window_of

FEW_ROWS = "few_rows_are_quarantined"
# The worst table of the real sample, payments, repeats 9% of its keys (data dictionary); twice that is a new fault.
LARGEST_SHARE = 0.2
_CHECK = Check(FEW_ROWS, f"No source table has more than {LARGEST_SHARE:.0%} of its rows quarantined.")


def _of_days(places: Places, keys: Sequence[str]) -> list[Finding]:
    window = window_of(DAILY, dg.PartitionKeyRange(keys[0], keys[-1]))
    rows = partitioned(QUARANTINE, places.lake.read("quarantine", window), "D", window)
    told = _by_reason(rows, "_partition").assign(day=lambda told: partition_names(told["_partition"], "D"))
    sizes = {
        name: counts(SOURCE[name], places.source.read(name, window), "D", window)
        for name in told["source_table"].unique()
    }
    of_day = dict(iter(told.groupby("day")))  # asking all rows for each day would cost the square of the days
    return [
        _judged(key, of_day.get(key, told[:0]), {name: int(size.get(key, 0)) for name, size in sizes.items()})
        for key in keys
    ]


def _without_day(places: Places, keys: Sequence[str | None]) -> list[Finding]:
    told = _by_reason(places.lake.read("quarantine_without_day"))
    sizes = {name: places.source.read(name).count().to_pyarrow().as_py() for name in told["source_table"].unique()}
    return [_judged(None, told, sizes)]


def _by_reason(rows: Table, *by: str) -> pd.DataFrame:
    """source_table, reason, rows and `by`, most rows first."""
    grouped = rows.group_by(*by, "source_table", "reason").agg(rows=rows.copies.sum()).to_pandas()
    return grouped.sort_values(["rows", "source_table", "reason"], ascending=[False, True, True], ignore_index=True)


def _judged(key: str | None, told: pd.DataFrame, sizes: Mapping[str, int]) -> Finding:
    """Compares the quarantined rows of each table with the rows of that table."""
    by_table = told.groupby("source_table")["rows"].sum().to_dict()
    # Rows without a time are among the quarantined, and not among those that a window of the source holds.
    sizes = {name: max(sizes[name], count) for name, count in by_table.items()}
    shares = {name: count / sizes[name] for name, count in by_table.items()}
    worst = max(shares, key=shares.get, default=None)
    reasons = told[["source_table", "reason", "rows"]]
    return Finding(
        FEW_ROWS,
        key,
        worst is None or bool(shares[worst] <= LARGEST_SHARE),
        f"{told['rows'].sum():,} rows quarantined"
        + (f"; most in {worst}: {shares[worst]:.1%} of its {sizes[worst]:,}" if worst else ""),
        {
            "reasons": dg.MetadataValue.md(reasons.to_markdown(index=False)) if len(told) else "none",
            **{f"share_{name}": float(share) for name, share in shares.items()},
        },
    )


QUARANTINE_SUITES = [
    Suite("quarantine_share", "quarantine", (_CHECK,), DAILY, _of_days),
    Suite("quarantine_without_day_share", "quarantine_without_day", (_CHECK,), None, _without_day),
]
