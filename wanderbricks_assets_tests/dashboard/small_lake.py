"""A lake of two destinations, made by hand: each table has as many rows as a page needs to say something."""

from datetime import date, timedelta

from wanderbricks_assets.contracts.tables import LAKE
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.window import Window
from wanderbricks_assets_tests.marketplace import at, table_of

TODAY = date(2024, 3, 4)  # a Monday; the newest predictions know the day before
LAST_WEEK = TODAY - timedelta(days=7)
EVER = Window(at("1900-01-01"), at("2100-01-01"), opens=True)


def day(offset: int) -> date:
    """A day counted from today, which is 0."""
    return TODAY + timedelta(days=offset)


def made(today: date, model: str = "revenue_forecaster", version: str = "1") -> dict:
    """What every prediction that was made at the beginning of a day is signed with."""
    return {
        "prediction_date": today - timedelta(days=1),
        "model_name": f"wanderbricks_{model}",
        "model_version": version,
        "made_at": at(today.isoformat()),
    }


def forecast(of: date, today: date = TODAY, **parts: float) -> dict:
    """A row of revenue_forecast whose parts are 0 unless given; the interval is 10 to each side."""
    parts = dict.fromkeys(("trend", "season", "holiday", "on_the_books", "pick_up"), 0.0) | parts
    yhat = sum(parts.values())
    interval = {"yhat": yhat, "yhat_lower": yhat - 10, "yhat_upper": yhat + 10}
    return {"ds": of, "horizon_days": (of - today).days + 1, **interval, **parts, **made(today)}


def stays(of: date, property_id: int = 1, value: float = 100.0, bookings: int = 1, destination_id: int = 1) -> dict:
    """A row of fact_booking_daily."""
    return {
        "property_id": property_id,
        "check_in_date": of,
        "destination_id": destination_id,
        "booking_count": bookings,
        "total_booking_value": value,
    }


def price(property_id: int = 1, night: date = TODAY, current: float = 100.0, to: float = 90.0, **changes) -> dict:
    """A row of price_recommendations; the revenue expected is 50, and 60 at another price."""
    row = {
        "property_id": property_id,
        "target_date": night,
        "current_price": current,
        "recommended_price": to,
        "expected_demand": 0.5,
        "expected_revenue": 60.0 if to != current else 50.0,
        "current_expected_revenue": 50.0,
        "elasticity": -1.5,
        "reason": "lowered: guests respond strongly to price" if to < current else "kept: already booked",
    }
    return row | made(TODAY, "pricing_optimizer") | changes


def value(user_id: int, predicted: float, segment: str = "High Value", risk: str = "Low", *actions: str) -> dict:
    """A row of customer_value."""
    row = {
        "user_id": user_id,
        "predicted_ltv_12m": predicted,
        "confidence_interval": [0.0, 2 * predicted],
        "ltv_segment": segment,
        "churn_risk": risk,
        "recommended_actions": list(actions or ("Send newsletter",)),
    }
    return row | made(TODAY, "customer_ltv")


def score(user_id: int, property_id: int, probability: float, *factors: tuple[str, float]) -> dict:
    """A row of conversion_scores."""
    row = {
        "user_id": user_id,
        "property_id": property_id,
        "conversion_probability": probability,
        "confidence_interval": [probability / 2, probability * 2],
        "top_factors": [{"factor": name, "impact": impact} for name, impact in factors],
    }
    return row | made(TODAY, "conversion_predictor")


def demand(property_id: int, of: date, expected: float, destination_id: int = 1) -> dict:
    """A row of demand_forecast."""
    row = {"property_id": property_id, "ds": of, "destination_id": destination_id, "expected_bookings": expected}
    return row | {"horizon_days": (of - TODAY).days + 1} | made(TODAY, "demand_predictor")


def listing(property_id: int, destination_id: int = 1, latitude: float = 38.7, longitude: float = -9.1) -> dict:
    """A row of dim_property."""
    return {
        "property_id": property_id,
        "destination_id": destination_id,
        "title": f"Listing {property_id}",
        "property_type": "Apartment",
        "base_price": 100.0,
        "latitude": latitude,
        "longitude": longitude,
        "created_at": date(2022, 1, 1),
        "effective_from": at("2022-01-01"),
        "is_current": True,
    }


DESTINATIONS = (
    {"destination_id": 1, "destination": "Lisbon", "country": "Portugal", "continent": "Europe"},
    {"destination_id": 2, "destination": "Kyoto", "country": "Japan", "continent": "Asia"},
)


def contact(user_id: int, property_id: int, probability: float, expected_value: float, **changes) -> dict:
    """A row of marketing_audience."""
    row = {
        "prediction_date": day(-1),
        "user_id": user_id,
        "property_id": property_id,
        "rank": 1,
        "conversion_probability": probability,
        "expected_value": expected_value,
        "reasons": "low price",
        "segment": "High Value",
        "channel": "email",
        "message": "reminder",
        "is_holdout": False,
        "conversion_version": "1",
        "ltv_version": "1",
    }
    return row | changes


def realized(of: date, value: float | None = 0.1, model: str = "revenue_forecaster") -> dict:
    """A row of realized_accuracy."""
    reason = None if value is not None else "too few days"
    row = {"day": of, "model": model, "metric": "realized_mape", "value": value, "reason": reason, "units": 30}
    return row if value is None else row | {"lower": value / 2, "upper": value * 2, "at_training": 0.09, "bound": 0.15}


def write(lake: Lake, name: str, *rows: dict) -> None:
    """Replace all of a table."""
    contract = LAKE[name]
    lake.replace(name, table_of(contract, *rows), EVER if contract.time_column else None)


def fill(lake: Lake) -> None:
    """Something for every page: a year of stays, and predictions of today and of last week."""
    write(lake, "dim_destination", *DESTINATIONS)
    write(lake, "dim_property", listing(1), listing(2, 2, 35.0, 135.8), listing(3))
    write(lake, "fact_booking_daily", *(stays(day(-offset), value=100.0 + offset % 7) for offset in range(1, 500)))
    forecasts = [forecast(day(ahead), on_the_books=80.0, trend=20.0, pick_up=5.0) for ahead in range(90)]
    earlier = [forecast(day(ahead - 7), LAST_WEEK, on_the_books=60.0, trend=40.0) for ahead in range(90)]
    write(lake, "revenue_forecast", *forecasts, *earlier)
    kyoto = [demand(2, day(ahead), 0.5, 2) for ahead in range(30)]
    write(lake, "demand_forecast", *(demand(1, day(ahead), 1.0) for ahead in range(30)), *kyoto)
    nights = [price(1, day(ahead)) for ahead in range(30)] + [price(2, day(ahead), to=100.0) for ahead in range(30)]
    write(lake, "price_recommendations", *nights)
    likes = ("low price", 0.04), ("mobile device", -0.01)
    write(lake, "conversion_scores", score(7, 1, 0.2, *likes), score(8, 2, 0.1, *likes))
    write(
        lake,
        "realized_accuracy",
        *(realized(day(-ago)) for ago in range(1, 9)),
        realized(day(-1), None, "customer_ltv"),
    )
    write(lake, "marketing_audience", contact(7, 1, 0.2, 60.0), contact(8, 2, 0.1, 30.0, is_holdout=True))
    low = value(9, 1.0, "Low Value", "High")
    write(lake, "customer_value", value(7, 900.0), value(8, 90.0, "Medium Value", "Medium", "Offer voucher"), low)
