"""The gold tables: the marketplace's history, cleaned, at the grain that analysts and models ask for."""

from wanderbricks_assets.contracts.contract import Column as C
from wanderbricks_assets.contracts.contract import Contract, table
from wanderbricks_assets.contracts.source import BOOKING_STATUSES

_VERSION = (
    C("effective_from", "timestamp", "moment this version began (inclusive)", nullable=False),
    C("effective_to", "timestamp", "moment it ended (exclusive); null while it holds"),
    C("is_current", "boolean", "whether it still holds", nullable=False),
)

DIM_PROPERTY = table(
    "dim_property",
    "Listings, one row per version of the listed price (type 2).",
    C("property_id", "int64", nullable=False),
    C("host_id", "int64"),
    C("destination_id", "int64", nullable=False, references="dim_destination.destination_id"),
    C("title", "string"),
    C("description", "string"),
    C("base_price", "float64", "listed price of a night", "currency per night", minimum=0),
    C("property_type", "string"),
    C("max_guests", "int64", minimum=0),
    C("bedrooms", "int64", minimum=0),
    C("bathrooms", "int64", minimum=0),
    C("latitude", "float64", unit="degrees", minimum=-90, maximum=90),
    C("longitude", "float64", unit="degrees", minimum=-180, maximum=180),
    C("created_at", "date", "first day on the marketplace", nullable=False),
    *_VERSION,
    key="property_id effective_from",
)
DIM_USER = table(
    "dim_user",
    "Guests, one row per version (type 2). The source keeps no history of users: a version begins when it is seen.",
    C("user_id", "int64", nullable=False),
    C("country", "string", "home country"),
    C("user_type", "string", "individual or business"),
    C("is_business", "boolean"),
    C("created_at", "timestamp", "registration", nullable=False),
    *_VERSION,
    key="user_id effective_from",
)
DIM_DESTINATION = table(
    "dim_destination",
    "Places that properties are in.",
    C("destination_id", "int64", nullable=False),
    C("destination", "string", nullable=False),
    C("country", "string"),
    C("country_code", "string", "ISO 3166-1 alpha-2"),
    C("continent", "string"),
    C("state_or_province", "string"),
    key="destination_id",
)
DIM_HOST = table(
    "dim_host",
    "People and companies that offer properties.",
    C("host_id", "int64", nullable=False),
    C("name", "string", identifies=True),
    C("country", "string"),
    C("is_verified", "boolean"),
    C("is_active", "boolean"),
    C("rating", "float64", unit="stars", minimum=1, maximum=5),
    C("joined_at", "date"),
    C("property_count", "int64", "listings today", minimum=0),
    key="host_id",
)
DIM_DATE = table(
    "dim_date",
    "The calendar, one row per day and country of a destination.",
    C("date", "date", nullable=False),
    C("country", "string", nullable=False),
    C("day_of_week", "int64", "1 Monday to 7 Sunday", minimum=1, maximum=7),
    C("day_of_year", "int64", minimum=1, maximum=366),
    C("month", "int64", minimum=1, maximum=12),
    C("quarter", "int64", minimum=1, maximum=4),
    C("year", "int64"),
    C("is_weekend", "boolean", "Saturday or Sunday"),
    C("is_holiday", "boolean", "public holiday in that country"),
    C("holiday", "string", "its name"),
    key="date country",
)

_STAY = (
    C("user_id", "int64", nullable=False),
    C("property_id", "int64", nullable=False, references="dim_property.property_id"),
    C("check_in_date", "date", "first night", nullable=False),
    C("check_out_date", "date", "day of departure", nullable=False),
    C("nights_booked", "int64", "0 for a day use", "nights", minimum=0),
    C("guests_count", "int64", unit="guests", minimum=0),
    C("total_amount", "float64", "price of the whole stay; kept when cancelled", "currency", minimum=0),
    C("status", "string", allowed=BOOKING_STATUSES),
)
FACT_BOOKING_HISTORY = table(
    "fact_booking_history",
    "Every state a booking was ever in, one row per booking and change: what makes bookings readable as they were "
    "known at any moment. A partition holds the changes of that day and is never rewritten by later ones.",
    C("booking_id", "int64", nullable=False),
    C("known_at", "timestamp", "moment this state began and could be known", nullable=False),
    C("created_at", "timestamp", "moment the booking was made", nullable=False),
    *_STAY,
    key="booking_id known_at",
    time_column="known_at",
)
FACT_BOOKING_DETAIL = table(
    "fact_booking_detail",
    "Bookings in their latest known state, one row each, with the times of its changes and what was paid.",
    C("booking_id", "int64", nullable=False),
    *_STAY,
    C("host_id", "int64"),
    C("destination_id", "int64"),
    C("payment_amount", "float64", "paid less refunded", "currency"),
    C("payment_method", "string", "of the first payment"),
    C("created_at", "timestamp", "moment the booking was made", nullable=False),
    C("updated_at", "timestamp", "moment of its last change", nullable=False),
    C("days_between_booking_and_checkin", "int64", "lead time", "days"),
    C("is_cancelled", "boolean", nullable=False),
    C("cancelled_at", "timestamp", "moment of the cancellation"),
    C("is_business_booking", "boolean", "made by a business account"),
    key="booking_id",
    time_column="created_at",
)
FACT_BOOKING_DAILY = table(
    "fact_booking_daily",
    "Stays that begin on a day, per property, as known at the end of that day. No row where nobody checked in.",
    C("property_id", "int64", nullable=False, references="dim_property.property_id"),
    C("check_in_date", "date", nullable=False),
    C("destination_id", "int64"),
    C("booking_count", "int64", "all bookings for that day, cancelled or not", "bookings", minimum=0),
    C("confirmed_booking_count", "int64", "bookings not cancelled", "bookings", minimum=0),
    C("cancellation_count", "int64", unit="bookings", minimum=0),
    C("total_booking_value", "float64", "value of bookings not cancelled", "currency", minimum=0),
    C("avg_booking_value", "float64", "of bookings not cancelled", "currency", minimum=0),
    C("total_guests", "int64", "of bookings not cancelled", "guests", minimum=0),
    C("avg_nights_booked", "float64", "of bookings not cancelled", "nights", minimum=0),
    C("payment_completion_rate", "float64", "share of bookings not cancelled that are paid", minimum=0, maximum=1),
    key="property_id check_in_date",
    time_column="check_in_date",
)
FACT_PROPERTY_ENGAGEMENT = table(
    "fact_property_engagement",
    "What visitors did on a property's page in a day. No row where nobody came.",
    C("property_id", "int64", nullable=False, references="dim_property.property_id"),
    C("engagement_date", "date", nullable=False),
    C("view_count", "int64", unit="views", minimum=0),
    C("unique_user_views", "int64", unit="users", minimum=0),
    C("click_count", "int64", unit="clicks", minimum=0),
    C("search_count", "int64", unit="searches", minimum=0),
    C("conversion_rate", "float64", "bookings made that day per view; null without a view", minimum=0),
    C("avg_time_on_page", "float64", "to the same user's next event, at most 1800", "seconds", minimum=0, maximum=1800),
    key="property_id engagement_date",
    time_column="engagement_date",
)
FACT_REVIEW = table(
    "fact_review",
    "What guests gave in stars, one row per review; of a deleted one nothing.",
    C("review_id", "int64", nullable=False),
    C("property_id", "int64", "which may be listed no more, or not be known", nullable=False),
    C("rating", "float64", "steps of 0.1", "stars", nullable=False, minimum=1, maximum=5),
    C("created_at", "timestamp", "moment it was given", nullable=False),
    key="review_id",
    time_column="created_at",
)
_QUARANTINED = (
    C("reason", "string", nullable=False),
    C("row_key", "string", "the row's key, written out", nullable=False),
    C("row", "string", "the whole row as JSON", nullable=False),
    C("copies", "int64", "how many such rows were not believed", "rows", False),
)
QUARANTINE = table(
    "quarantine",
    "Events of the source that were not believed, each with the reason; nothing is dropped in silence.",
    C("source_table", "string", nullable=False),
    C(
        "event_time",
        "timestamp",
        "the row's own time; of a row without one the day of the folder that it lies in",
        nullable=False,
    ),
    *_QUARANTINED,
    key="source_table event_time reason row_key row",
    time_column="event_time",
)
QUARANTINE_WITHOUT_DAY = table(
    "quarantine_without_day",
    "Source rows that were not believed and belong to no day, as the source stands: rows of tables that it rewrites "
    "whole, such as users and properties, and events with neither a time nor the folder of a day.",
    C("source_table", "string", nullable=False),
    *_QUARANTINED,
    key="source_table reason row_key row",
)

GOLD: dict[str, Contract] = {
    contract.name: contract
    for contract in (
        DIM_PROPERTY,
        DIM_USER,
        DIM_DESTINATION,
        DIM_HOST,
        DIM_DATE,
        FACT_BOOKING_HISTORY,
        FACT_BOOKING_DETAIL,
        FACT_BOOKING_DAILY,
        FACT_PROPERTY_ENGAGEMENT,
        FACT_REVIEW,
        QUARANTINE,
        QUARANTINE_WITHOUT_DAY,
    )
}
