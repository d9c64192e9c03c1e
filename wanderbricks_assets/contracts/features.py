"""The three feature tables: exactly 15, 12 and 8 features.

A row is computed from what was known by the end of its day or hour, and may be used from `available_at` on.
"""

from wanderbricks_assets.contracts.contract import Column as C
from wanderbricks_assets.contracts.contract import Contract, table

_AVAILABLE = C(
    "available_at", "timestamp", "first moment the row may be used, the end of its day or hour", nullable=False
)

PROPERTY_FEATURES = table(
    "property_features",
    "One row per listed property and day.",
    C("property_id", "int64", nullable=False, references="dim_property.property_id"),
    C("feature_date", "date", nullable=False),
    C("property_type", "string"),
    C("bedrooms", "int64", minimum=0),
    C("base_price", "float64", "listed price at the end of the day", "currency per night", minimum=0),
    C("max_guests", "int64", minimum=0),
    C("destination", "string"),
    C("country", "string"),
    C("latitude", "float64", unit="degrees"),
    C("longitude", "float64", unit="degrees"),
    C("bookings_lag_7d", "int64", "bookings made on the day 7 days earlier", "bookings", minimum=0),
    C("bookings_lag_30d", "int64", "bookings made on the day 30 days earlier", "bookings", minimum=0),
    C("bookings_ma_7d", "float64", "mean daily bookings made in the 7 days to that day", "bookings per day", minimum=0),
    C("occupancy_30d", "float64", "share of the last 30 nights that were sold", minimum=0),
    C("rating", "float64", "mean of the reviews so far; null without one", "stars", minimum=1, maximum=5),
    C("photos_count", "int64", unit="photos", minimum=0),
    C(
        "competitor_price",
        "float64",
        "mean listed price of the other properties of that destination and type",
        "currency per night",
        minimum=0,
    ),
    _AVAILABLE,
    key="property_id feature_date",
    time_column="feature_date",
)
USER_FEATURES = table(
    "user_features",
    "One row per customer and day on which a booking was made, changed, or left one of the look-backs.",
    C("user_id", "int64", nullable=False),
    C("feature_date", "date", nullable=False),
    C("country", "string", "home country"),
    C("user_type", "string"),
    C("is_business", "boolean"),
    C("tenure_days", "int64", "since registration", "days", minimum=0, grows_daily=True),
    C("total_bookings", "int64", "bookings ever made", "bookings", minimum=0),
    C("total_spend", "float64", "value of all bookings not cancelled", "currency", minimum=0),
    C("avg_booking_value", "float64", "of bookings not cancelled; null without one", "currency", minimum=0),
    C("booking_frequency", "float64", "bookings made in the last 365 days", "bookings per year", minimum=0),
    C("avg_lead_time", "float64", "mean days from booking to check-in", "days"),
    C("cancellation_rate", "float64", "share of bookings cancelled so far", minimum=0, maximum=1),
    C("days_since_last_booking", "int64", unit="days", minimum=0, grows_daily=True),
    C("booking_trend", "float64", "bookings in the last 180 days less those in the 180 before", "bookings"),
    _AVAILABLE,
    key="user_id feature_date",
    time_column="feature_date",
)
ENGAGEMENT_FEATURES = table(
    "engagement_features",
    "One row per property and hour in which one of the eight changed: an event came, or one left the seven-day window. "
    "So the latest row at or before a moment is exact for that moment.",
    C("property_id", "int64", nullable=False, references="dim_property.property_id"),
    C("feature_hour", "timestamp", "start of the hour", nullable=False),
    C("view_count", "int64", "in that hour", "views", minimum=0),
    C("click_count", "int64", "in that hour", "clicks", minimum=0),
    C("search_count", "int64", "in that hour", "searches", minimum=0),
    C("unique_users", "int64", "who viewed in that hour", "users", minimum=0),
    C("time_on_page", "float64", "mean in that hour; null without a view", "seconds", minimum=0, maximum=1800),
    C("views_7d", "int64", "in the 168 hours to the end of that hour", "views", minimum=0),
    C("clicks_7d", "int64", "in the 168 hours to the end of that hour", "clicks", minimum=0),
    C("conversion_rate", "float64", "bookings made per view over those 168 hours; null without a view", minimum=0),
    _AVAILABLE,
    key="property_id feature_hour",
    time_column="feature_hour",
)

FEATURES: dict[str, Contract] = {
    contract.name: contract for contract in (PROPERTY_FEATURES, USER_FEATURES, ENGAGEMENT_FEATURES)
}
KEYS_AND_TIME = frozenset({"property_id", "user_id", "feature_date", "feature_hour", "available_at"})
