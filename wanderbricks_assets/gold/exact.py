"""Sums that do not depend on the order of rows.

Engines add floats in any order, so the last bits differ from run to run and a backfill would not equal its daily runs.
"""

from __future__ import annotations

from wanderbricks_assets.lazy import ibis


def exact(amount: ibis.ir.NumericValue) -> ibis.ir.DecimalValue:
    """Money, or stars in steps of 0.1, as a decimal that adds up the same in every order."""
    return amount.cast("decimal(18, 2)")


def exact_sum(amount: ibis.ir.NumericValue, where: ibis.ir.BooleanValue | None = None) -> ibis.ir.FloatingScalar:
    return exact(amount).sum(where=where).cast("float64")
