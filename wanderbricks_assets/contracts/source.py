"""The 16 tables of the marketplace's own database (the schema of `samples.wanderbricks`), and one that we add.

Types are those of Unity Catalog. A source that lacks an optional table is read as if the table were empty.
"""

from wanderbricks_assets.contracts.contract import Column as C
from wanderbricks_assets.contracts.contract import Contract, table

BOOKING_STATUSES = ("pending", "confirmed", "completed", "cancelled")
PROPERTY_TYPES = ("Urban Year-Round", "Summer Getaway", "Historical Place", "Ski Resort")
DEVICES = ("mobile", "desktop", "tablet")
REFERRERS = ("direct", "google", "facebook", "email", "instagram")
CLICK_EVENTS = ("view", "click", "search", "filter")
PAYMENT_STATUSES = ("completed", "refunded", "failed")
PAYMENT_METHODS = ("credit_card", "debit_card", "paypal", "apple_pay", "google_pay")
# What is above, or not a number at all, is a slip or a lie, and one such value would ruin every mean.
MOST_MONEY, MOST_PLACES = 1e9, 10_000

_BOOKING_COLUMNS = (
    C("user_id", "int64", "guest who booked", nullable=False, references="users.user_id"),
    C("property_id", "int64", "property booked", nullable=False, references="properties.property_id"),
    C("check_in", "date", "first night", nullable=False),
    C("check_out", "date", "day of departure", nullable=False),
    C("guests_count", "int32", "guests", minimum=0, maximum=MOST_PLACES),
    C(
        "total_amount",
        "float32",
        "price of the whole stay; cancelled bookings keep it",
        "currency",
        False,
        minimum=0,
        maximum=MOST_MONEY,
    ),
    C("status", "string", "state of the booking when the row was written", nullable=False, allowed=BOOKING_STATUSES),
    C("created_at", "timestamp", "when the booking was made", nullable=False),
    C("updated_at", "timestamp", "when this state began", nullable=False),
)

USERS = table(
    "users",
    "Registered guests.",
    C("user_id", "int64", nullable=False),
    C("email", "string", identifies=True),
    C("name", "string", identifies=True),
    C("country", "string", "home country"),
    C("user_type", "string", "individual or business"),
    C("created_at", "timestamp", "registration", nullable=False),
    C("is_business", "boolean"),
    C("company_name", "string", identifies=True),
    key="user_id",
    required=True,
)
HOSTS = table(
    "hosts",
    "People and companies that offer properties.",
    C("host_id", "int64", nullable=False),
    C("name", "string", identifies=True),
    C("email", "string", identifies=True),
    C("phone", "string", identifies=True),
    C("is_verified", "boolean"),
    C("is_active", "boolean"),
    C("rating", "float32", "mean rating of the host", "stars", minimum=1, maximum=5),
    C("country", "string"),
    C("joined_at", "date"),
    key="host_id",
)
PROPERTIES = table(
    "properties",
    "Listings, as they are today.",
    C("property_id", "int64", nullable=False),
    C("host_id", "int64", references="hosts.host_id"),
    C("destination_id", "int64", nullable=False, references="destinations.destination_id"),
    C("title", "string"),
    C("description", "string"),
    C("base_price", "float32", "listed price of a night, today", "currency per night", minimum=0, maximum=MOST_MONEY),
    C("property_type", "string"),
    C("max_guests", "int32", minimum=0, maximum=MOST_PLACES),
    C("bedrooms", "int32", minimum=0, maximum=MOST_PLACES),
    C("bathrooms", "int32", minimum=0, maximum=MOST_PLACES),
    C("property_latitude", "float32", unit="degrees", minimum=-90, maximum=90),
    C("property_longitude", "float32", unit="degrees", minimum=-180, maximum=180),
    C("created_at", "date", "first day on the marketplace", nullable=False),
    key="property_id",
    required=True,
)
DESTINATIONS = table(
    "destinations",
    "Places that properties are in.",
    C("destination_id", "int64", nullable=False),
    C("destination", "string", nullable=False),
    C("country", "string"),
    C("state_or_province", "string"),
    C("state_or_province_code", "string"),
    C("description", "string"),
    key="destination_id",
    required=True,
)
COUNTRIES = table(
    "countries",
    "Countries of destinations and people.",
    C("country", "string", nullable=False),
    C("country_code", "string", "ISO 3166-1 alpha-2"),
    C("continent", "string"),
    key="country",
)
AMENITIES = table(
    "amenities",
    "What a property can offer.",
    C("amenity_id", "int64", nullable=False),
    C("name", "string"),
    C("category", "string"),
    C("icon", "string"),
    key="amenity_id",
)
PROPERTY_AMENITIES = table(
    "property_amenities",
    "Which property offers what.",
    C("property_id", "int64", nullable=False, references="properties.property_id"),
    C("amenity_id", "int64", nullable=False, references="amenities.amenity_id"),
    key="property_id amenity_id",
)
PROPERTY_IMAGES = table(
    "property_images",
    "Photos of a listing.",
    C("image_id", "int64", nullable=False),
    C("property_id", "int64", nullable=False, references="properties.property_id"),
    C("url", "string"),
    C("sequence", "int32"),
    C("is_primary", "boolean"),
    C("uploaded_at", "date"),
    key="image_id",
)
BOOKINGS = table(
    "bookings",
    "Bookings as they were made; the state moves on in booking_updates.",
    C("booking_id", "int64", nullable=False),
    *_BOOKING_COLUMNS,
    key="booking_id",
    time_column="created_at",
    required=True,
)
BOOKING_UPDATES = table(
    "booking_updates",
    "Every later state of a booking, whole.",
    C("booking_update_id", "int64", nullable=False),
    C("booking_id", "int64", nullable=False, references="bookings.booking_id"),
    *_BOOKING_COLUMNS,
    key="booking_update_id",
    time_column="updated_at",
)
PAYMENTS = table(
    "payments",
    "Money moved for a booking; a refund is a second, negative row.",
    C("payment_id", "int64", nullable=False),
    C("booking_id", "int64", nullable=False, references="bookings.booking_id"),
    C("amount", "decimal(15, 4)", "negative when refunded", "currency", False, -MOST_MONEY, MOST_MONEY),
    C("payment_method", "string"),
    C("status", "string", allowed=PAYMENT_STATUSES),
    C("payment_date", "timestamp", nullable=False),
    key="payment_id",
    time_column="payment_date",
)
PAGE_VIEWS = table(
    "page_views",
    "One row per view of a property's page.",
    C("view_id", "int64", nullable=False),
    C("user_id", "int64", references="users.user_id"),
    C("property_id", "int64", nullable=False, references="properties.property_id"),
    C("page_url", "string"),
    C("device_type", "string", allowed=DEVICES),
    C("referrer", "string"),
    C("timestamp", "timestamp", nullable=False),
    key="view_id",
    time_column="timestamp",
)
CLICKSTREAM = table(
    "clickstream",
    "What users do on a page. Rows have no id: the same event at the same instant counts once.",
    C("event", "string", nullable=False, allowed=CLICK_EVENTS),
    C("user_id", "int64"),
    C("property_id", "int64", nullable=False, references="properties.property_id"),
    C("timestamp", "timestamp", nullable=False),
    C("metadata", "struct<device: string, referrer: string>"),
    key="user_id property_id event timestamp",
    time_column="timestamp",
)
REVIEWS = table(
    "reviews",
    "What guests said after their stay; a deleted review has no rating.",
    C("review_id", "int64", nullable=False),
    C("booking_id", "int64", references="bookings.booking_id"),
    C("property_id", "int64", nullable=False, references="properties.property_id"),
    C("user_id", "int64", references="users.user_id"),
    C("rating", "float64", "steps of 0.1", "stars", minimum=1, maximum=5),
    C("comment", "string", identifies=True),
    C("is_deleted", "boolean"),
    C("created_at", "timestamp", nullable=False),
    C("updated_at", "timestamp"),
    key="review_id",
    time_column="created_at",
)
EMPLOYEES = table(
    "employees",
    "Staff of hosts.",
    C("employee_id", "int64", nullable=False),
    C("host_id", "int64", references="hosts.host_id"),
    C("name", "string", identifies=True),
    C("role", "string"),
    C("email", "string", identifies=True),
    C("phone", "string", identifies=True),
    C("country", "string"),
    C("joined_at", "date"),
    C("end_service_date", "date"),
    C("is_currently_employed", "boolean"),
    key="employee_id",
)
CUSTOMER_SUPPORT_LOGS = table(
    "customer_support_logs",
    "Conversations with customer support. `created_at` is text in the source, and sentiments are spelt two ways.",
    C("ticket_id", "string", nullable=False),
    C("user_id", "int64", references="users.user_id"),
    C("support_agent_id", "string"),
    C("created_at", "string"),
    C(
        "messages",
        "array<struct<message: string, sender: string, sentiment: string, timestamp: string>>",
        identifies=True,
    ),
    key="ticket_id",
)
PROPERTY_UPDATES = table(
    "property_updates",
    "History of listed prices: this project's own addition, as `properties` holds only today's.",
    C("property_id", "int64", nullable=False, references="properties.property_id"),
    C(
        "base_price",
        "float32",
        "listed price from `updated_at` on",
        "currency per night",
        False,
        minimum=0,
        maximum=MOST_MONEY,
    ),
    C("updated_at", "timestamp", nullable=False),
    key="property_id updated_at",
    time_column="updated_at",
)

SOURCE: dict[str, Contract] = {
    contract.name: contract
    for contract in (
        USERS,
        HOSTS,
        PROPERTIES,
        DESTINATIONS,
        COUNTRIES,
        AMENITIES,
        PROPERTY_AMENITIES,
        PROPERTY_IMAGES,
        BOOKINGS,
        BOOKING_UPDATES,
        PAYMENTS,
        PAGE_VIEWS,
        CLICKSTREAM,
        REVIEWS,
        EMPLOYEES,
        CUSTOMER_SUPPORT_LOGS,
        PROPERTY_UPDATES,
    )
}
