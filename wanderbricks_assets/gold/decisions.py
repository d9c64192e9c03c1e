"""Reading what hosts decided about recommended prices."""

from __future__ import annotations

from wanderbricks_assets.lazy import Table, ibis

RECOMMENDATION = ("property_id", "target_date", "prediction_date")


def standing(price_decisions: Table) -> Table:
    """One row per recommendation that was decided on: the last decision, of the same moment the greatest id."""
    latest = ibis.cumulative_window(
        group_by=[price_decisions[name] for name in RECOMMENDATION],
        order_by=[price_decisions.decided_at.desc(), price_decisions.decision_id.desc()],
    )
    rows = price_decisions.mutate(place=ibis.row_number().over(latest))
    return rows.filter(rows.place == 0).drop("place")
