"""Which segment each customer is in, since when, and what to do first."""

from __future__ import annotations

from datetime import datetime

from wanderbricks_assets.gold.dimensions import version_at
from wanderbricks_assets.lazy import Table, ibis


def customer_segments(customer_value: Table, dim_user: Table, earlier: Table, moment: datetime) -> Table:
    """Rows of the contract for the day that ends at `moment`.

    customer_value: that day's rows. earlier: customer_segments of the days before; the newest of them tells whether a
    customer stayed, so a day that was never computed breaks no stay.
    """
    last = earlier.filter(earlier.prediction_date == earlier.prediction_date.max().as_scalar()).select(
        "user_id", was="segment", was_since="segment_since"
    )
    users = version_at(dim_user, moment).select("user_id", "country", "user_type")
    rows = customer_value.left_join(last, "user_id").drop("user_id_right")
    rows = rows.left_join(users, "user_id").drop("user_id_right")
    stays = rows.was == rows.ltv_segment
    return rows.mutate(
        segment=rows.ltv_segment,
        segment_since=stays.ifelse(rows.was_since, rows.prediction_date),
        previous_segment=(rows.was != rows.ltv_segment).ifelse(rows.was, ibis.null("string")),
        recommended_action=rows.recommended_actions[0],
        ltv_version="model_version",
    )
