"""Decisions about recommended prices, made by hand."""

import ibis

from wanderbricks_assets.contracts.activation import PRICE_DECISIONS
from wanderbricks_assets_tests.marketplace import at, day, table_of


def decisions_of(*rows: dict) -> ibis.Table:
    """Acceptances of 80 instead of 100 for property 1 on 10 April, unless they say otherwise."""
    usual = {
        "property_id": 1,
        "target_date": day("2024-04-10"),
        "prediction_date": day("2024-03-31"),
        "current_price": 100.0,
        "recommended_price": 80.0,
        "decision": "accept",
        "decided_at": at("2024-04-01 12:00"),
        "decided_by": "host",
    }
    return table_of(PRICE_DECISIONS, *(usual | {"decision_id": f"{n:04}"} | row for n, row in enumerate(rows)))
