"""A day of predictions made by hand: who looked at what, what they are worth, and what the places cost."""

from datetime import timedelta

import ibis

from wanderbricks_assets.activation.audience import Audience
from wanderbricks_assets.contracts.features import PROPERTY_FEATURES
from wanderbricks_assets.contracts.gold import DIM_USER, FACT_BOOKING_HISTORY
from wanderbricks_assets.contracts.predictions import CONVERSION_SCORES, CUSTOMER_VALUE
from wanderbricks_assets_tests.marketplace import at, day, table_of

DAY = day("2024-03-10")
MOMENT = at("2024-03-11 00:00")
MADE = {"prediction_date": DAY, "made_at": MOMENT, "model_version": "4", "model_name": "a_model"}


def score(user_id: int, property_id: int, probability: float, *factors: tuple[str, float]) -> dict:
    return MADE | {
        "user_id": user_id,
        "property_id": property_id,
        "conversion_probability": probability,
        "confidence_interval": [probability / 2, probability * 1.5],
        "top_factors": [{"factor": factor, "impact": impact} for factor, impact in factors],
    }


def value(user_id: int, segment: str, risk: str, ltv: float = 500.0, **changes) -> dict:
    row = {"user_id": user_id, "ltv_segment": segment, "churn_risk": risk, "predicted_ltv_12m": ltv}
    return MADE | {"model_version": "7", "recommended_actions": ["Call", "Write"]} | row | changes


def user(user_id: int, country: str = "Portugal", **changes) -> dict:
    row = {"user_id": user_id, "country": country, "user_type": "individual", "is_business": False}
    since = at("2023-01-01 00:00")
    return row | {"created_at": since, "effective_from": since, "is_current": True} | changes


def listing(property_id: int, price: float | None = 100.0, destination: str = "Lisbon") -> dict:
    row = {"property_id": property_id, "destination": destination, "base_price": price}
    return row | {"feature_date": DAY, "available_at": MOMENT}


def stay(booking_id: int, property_id: int, nights: int, made: str = "2024-02-01 10:00") -> dict:
    row = {"booking_id": booking_id, "user_id": 1, "property_id": property_id, "nights_booked": nights}
    check_in = day("2024-04-01")
    times = {"known_at": at(made), "created_at": at(made)}
    return row | times | {"check_in_date": check_in, "check_out_date": check_in + timedelta(days=nights)}


def audience_of(scores: list[dict], values: list[dict], users: list[dict] | None = None, **tables) -> Audience:
    """Two properties in Lisbon and Porto at 100 a night, booked for 2 and 4 nights, unless given."""
    listings = tables.get("listings", [listing(1), listing(2, destination="Porto")])
    stays = tables.get("stays", [stay(1, 1, 2), stay(2, 2, 4)])
    return Audience(
        table_of(CONVERSION_SCORES, *scores),
        table_of(CUSTOMER_VALUE, *values),
        table_of(PROPERTY_FEATURES, *listings),
        table_of(DIM_USER, *(users if users is not None else [user(1)])),
        table_of(FACT_BOOKING_HISTORY, *stays),
    )


def rule(segment: str = "High Value", risk: str = "Low", **changes) -> dict:
    row = {"segment": segment, "churn_risk": risk, "min_probability": 0.0, "min_expected_value": 0.0}
    return row | {"max_properties": 3, "holdout_share": 0.0, "channel": "email", "message": "hello"} | changes


def shares(users: int) -> ibis.Table:
    return ibis.range(1, users + 1).unnest().name("user_id").as_table()
