"""What the models say about the future: daily tables, every row signed with the version that made it."""

from wanderbricks_assets.contracts.contract import Column as C
from wanderbricks_assets.contracts.contract import Contract, table

SEGMENTS = ("High Value", "Medium Value", "Low Value")
RISKS = ("Low", "Medium", "High")

_MADE = (
    C(
        "prediction_date",
        "date",
        "last day whose data was known; the prediction is for the days after it",
        nullable=False,
    ),
    C("model_name", "string", "registered model", nullable=False),
    C("model_version", "string", "its version in the registry", nullable=False),
    C("made_at", "timestamp", "moment the prediction was made from: the end of prediction_date", nullable=False),
)

REVENUE_FORECAST = table(
    "revenue_forecast",
    "Revenue of the marketplace by check-in date, for each of the next 90 days.",
    C("ds", "date", "check-in date", nullable=False),
    C("horizon_days", "int64", "days from made_at to ds, from 1", nullable=False, minimum=1, maximum=90),
    C("yhat", "float64", "expected revenue", "currency", minimum=0),
    C("yhat_lower", "float64", "lower end of the 80% interval", "currency", minimum=0),
    C("yhat_upper", "float64", "upper end of the 80% interval", "currency", minimum=0),
    C("trend", "float64", "part of yhat: what a day usually still brings, by the trend", "currency"),
    C("season", "float64", "part of yhat: more or less of that by season and weekday", "currency"),
    C("holiday", "float64", "part of yhat: more or less of that by public holidays", "currency"),
    C("on_the_books", "float64", "part of yhat: revenue already booked and not cancelled", "currency", minimum=0),
    C("pick_up", "float64", "part of yhat: more or less than usual still to come, by pace and bookings", "currency"),
    *_MADE,
    key="prediction_date ds",
    time_column="prediction_date",
)
DEMAND_FORECAST = table(
    "demand_forecast",
    "Bookings by check-in date for every active property, for each of the next 30 days; sums over properties are the "
    "forecasts of destinations and countries.",
    C("property_id", "int64", nullable=False),
    C("ds", "date", "check-in date", nullable=False),
    C("horizon_days", "int64", nullable=False, minimum=1, maximum=30),
    C("destination_id", "int64"),
    C("country", "string", "country of the destination"),
    C("expected_bookings", "float64", unit="bookings", minimum=0),
    *_MADE,
    key="prediction_date property_id ds",
    time_column="prediction_date",
)
CONVERSION_SCORES = table(
    "conversion_scores",
    "How likely a user who viewed a property in the last 7 days is to book it within 7 days of that view.",
    C("property_id", "int64", nullable=False),
    C("user_id", "int64", nullable=False),
    C("conversion_probability", "float64", minimum=0, maximum=1),
    C("confidence_interval", "array<float64>", "lower and upper end of the 90% interval of the probability"),
    C(
        "top_factors",
        "array<struct<factor: string, impact: float64>>",
        "the three factors that move it most, each with its signed share of the probability",
    ),
    *_MADE,
    key="prediction_date user_id property_id",
    time_column="prediction_date",
)
PRICE_RECOMMENDATIONS = table(
    "price_recommendations",
    "The price of highest expected revenue for each active property and night of the next 30, within the guard rails.",
    C("property_id", "int64", nullable=False),
    C("target_date", "date", "night of the stay", nullable=False),
    C("current_price", "float64", unit="currency per night", minimum=0),
    C("recommended_price", "float64", unit="currency per night", minimum=0),
    C("expected_demand", "float64", "bookings at the recommended price", "bookings", minimum=0),
    C("expected_revenue", "float64", "at the recommended price", "currency", minimum=0),
    C("current_expected_revenue", "float64", "at the current price", "currency", minimum=0),
    C("elasticity", "float64", "change of demand in % for 1% of price, as estimated for this listing"),
    C("reason", "string", "why this price, or why it stays", nullable=False),
    *_MADE,
    key="prediction_date property_id target_date",
    time_column="prediction_date",
)
CUSTOMER_VALUE = table(
    "customer_value",
    "What each customer will be worth in the next 12 months, and what to do about it.",
    C("user_id", "int64", nullable=False),
    C("predicted_ltv_12m", "float64", "value of bookings made in the next 12 months", "currency", minimum=0),
    C("confidence_interval", "array<float64>", "lower and upper end of the 80% interval", "currency"),
    C("ltv_segment", "string", "by quantiles of the prediction", allowed=SEGMENTS),
    C("churn_risk", "string", "of no booking in 12 months", allowed=RISKS),
    C("recommended_actions", "array<string>", "from the table of rules that marketing edits"),
    *_MADE,
    key="prediction_date user_id",
    time_column="prediction_date",
)

PREDICTIONS: dict[str, Contract] = {each.name: each for each in list(vars().values()) if isinstance(each, Contract)}
"""All that stand above, by name."""
MADE_COLUMNS = tuple(column.name for column in _MADE)
