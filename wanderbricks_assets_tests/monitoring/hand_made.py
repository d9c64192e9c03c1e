"""Predictions and outcomes made by hand, as rows of the lake's tables."""

from datetime import date, datetime, timedelta

import ibis

from wanderbricks_assets.contracts.source import SOURCE
from wanderbricks_assets.contracts.tables import LAKE
from wanderbricks_assets_tests.marketplace import table_of

MOMENT = datetime(2024, 6, 1)
DAY = timedelta(days=1)


def tables(**rows: list[dict]) -> dict[str, ibis.Table]:
    contracts = {**SOURCE, **LAKE}
    return {name: table_of(contracts[name], *given) for name, given in rows.items()}


def said(prediction_date: date | datetime, **columns) -> dict:
    """A row of a prediction table, signed."""
    day = prediction_date.date() if isinstance(prediction_date, datetime) else prediction_date
    made_at = datetime(day.year, day.month, day.day) + DAY
    return {"prediction_date": day, "model_name": "m", "model_version": "1", "made_at": made_at, **columns}


def booked(booking_id: int, created_at: datetime, amount: float = 100.0, user_id: int = 1, **changes) -> dict:
    """A booking as it was made: a row of fact_booking_history."""
    check_in = changes.pop("check_in", created_at.date() + 2 * DAY)
    nights = changes.pop("nights", 1)
    return {
        "booking_id": booking_id,
        "known_at": created_at,
        "created_at": created_at,
        "user_id": user_id,
        "property_id": 1,
        "check_in_date": check_in,
        "check_out_date": check_in + nights * DAY,
        "nights_booked": nights,
        "guests_count": 2,
        "total_amount": amount,
        "status": "confirmed",
        **changes,
    }


def stays(property_id: int, check_in: date | datetime, bookings: int = 1, value: float = 100.0) -> dict:
    """A row of fact_booking_daily."""
    day = check_in.date() if isinstance(check_in, datetime) else check_in
    return {
        "property_id": property_id,
        "check_in_date": day,
        "booking_count": bookings,
        "confirmed_booking_count": bookings,
        "cancellation_count": 0,
        "total_booking_value": value,
    }
