"""Page views as rows to learn from and to score: what was known at the moment of a view, and whether it led
to a booking.

Training and serving use the same `view_features`.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from wanderbricks_assets.contracts.features import ENGAGEMENT_FEATURES, PROPERTY_FEATURES, USER_FEATURES
from wanderbricks_assets.features.past import Past, in_memory, known_at, taken
from wanderbricks_assets.gold.cleaning import accepted
from wanderbricks_assets.lazy import Table, ibis, np, pd
from wanderbricks_assets.models.model import Tables

READS = (
    "page_views",
    "fact_booking_history",
    "fact_property_engagement",
    "dim_user",
    "property_features",
    "user_features",
    "engagement_features",
)
KEYS = ["view_id", "user_id", "property_id", "viewed_at"]
LABEL = "converted"
LABEL_SPAN = timedelta(days=7)  # docs/models.md: the same user books that property within 7 days
LOOK_BACK = timedelta(days=7)  # of what the user looked at before
TIME_TO_LIVE = timedelta(days=8)  # daily and hourly rows older than that do not describe a listing any more
PRIOR_VIEWS = 30  # a conversion rate counts as if so many views at everybody's rate had come first: at 7%, two bookings

# The numbers, and the factor under which what they add is shown. The first of a factor tells whether it is high or low.
NUMBERS = {
    "price_to_competitors": "price",
    "price_to_viewed": "price",
    "base_price": "price",
    "rating": "rating",
    "photos_count": "photos_count",
    "bedrooms": "size",
    "max_guests": "size",
    "bookings_ma_7d": "demand",
    "occupancy_30d": "demand",
    "property_conversion": "conversion_rate",
    "conversion_rate": "conversion_rate",
    "views_7d": "traffic",
    "clicks_7d": "traffic",
    "view_count": "traffic",
    "click_count": "traffic",
    "search_count": "traffic",
    "unique_users": "traffic",
    "time_on_page": "time_on_page",
    "views_of_property": "interest",
    "share_of_views": "interest",
    "hours_since_first_view": "interest",
    "views_of_user": "browsing",
    "properties_of_user": "browsing",
    "views_last_hour": "browsing",
    "hours_browsing": "browsing",
    "user_conversion": "past_bookings",
    "customer_total_bookings": "past_bookings",
    "customer_booking_frequency": "past_bookings",
    "customer_days_since_last_booking": "past_bookings",
    "customer_cancellation_rate": "past_bookings",
    "customer_avg_booking_value": "past_spend",
    "tenure_days": "tenure",
}
# Of these the logarithm is used: a few rows have very much of them. RATIOS are positive, COUNTS may be 0.
RATIOS = ["price_to_competitors", "price_to_viewed", "base_price", "property_conversion", "user_conversion"]
COUNTS = [
    *(
        "views_7d",
        "clicks_7d",
        "view_count",
        "time_on_page",
        "views_of_property",
        "views_of_user",
        "properties_of_user",
    ),
    *("views_last_hour", "hours_since_first_view", "hours_browsing", "customer_total_bookings", "tenure_days"),
    *("customer_booking_frequency", "customer_days_since_last_booking", "customer_avg_booking_value"),
]
# The flags, and the names of their factor when they are up and when they are not.
FLAGS = {
    "is_repeat": ("repeat_customer", "new_customer"),
    "was_guest": ("guest_of_this_property", "not_yet_a_guest"),
    "is_business": ("business_customer", "private_customer"),
    "is_domestic": ("domestic_trip", "trip_abroad"),
}
# The categories, and what is put behind the value to name its factor: "mobile_device".
CATEGORIES = {
    "device_type": "device",
    "referrer": "referrer",
    "property_type": "property",
    "home_country": "home",
    "day_of_week": "view",
    "time_of_day": "view",
}
# Where the columns that are not made here come from.
LISTING = [
    *("base_price", "competitor_price", "rating", "photos_count", "bedrooms", "max_guests", "bookings_ma_7d"),
    *("occupancy_30d", "property_type", "country"),
]
ENGAGEMENT = [
    *("view_count", "click_count", "search_count", "unique_users", "time_on_page"),
    *("views_7d", "clicks_7d", "conversion_rate"),
]
CUSTOMER = [
    *("total_bookings", "booking_frequency", "days_since_last_booking", "cancellation_rate", "avg_booking_value"),
]
FEATURES = [*NUMBERS, *FLAGS, *CATEGORIES]
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_TIMES = np.array(["night", "morning", "afternoon", "evening"])  # six hours each, UTC


def believed_views(page_views: Table, start: datetime, end: datetime) -> Table:
    """The believed views in [start, end): KEYS, device_type, referrer. Views of nobody can have no label."""
    rows = page_views.filter((page_views.timestamp >= start) & (page_views.timestamp < end))
    rows = accepted("page_views", rows).filter(ibis._.user_id.notnull())
    return rows.select("view_id", "user_id", "property_id", "device_type", "referrer", viewed_at=rows.timestamp)


def materialized(rows: Table) -> Table:
    """The rows, computed once: several queries look at them."""
    return ibis.memtable(rows.to_pyarrow(), schema=rows.schema())


def user_share(user_id: ibis.Value | pd.Series) -> ibis.Value | pd.Series:
    """A fixed number in [0, 1) for each user, spread evenly (multiplicative hashing: Knuth, volume 3, section 6.4).

    Users are sampled and split by it: the same ones every week, on every engine.
    """
    return (user_id % 2**31) * 2654435761 % 2**32 / 2**32


def view_features(views: Table, tables: Tables, start: datetime, end: datetime) -> pd.DataFrame:
    """One row per view in [start, end) with KEYS and FEATURES, in the order of time; numbers and flags are float64.

    views: believed views of the users concerned, from LOOK_BACK before `start` on, for what they looked at before.
    """
    listings, engagement = tables["property_features"], tables["engagement_features"]
    customers = tables["user_features"]
    oldest = start - LOOK_BACK - TIME_TO_LIVE
    listings = listings.filter((listings.available_at >= oldest) & (listings.available_at < end))
    engagement = engagement.filter((engagement.available_at >= oldest) & (engagement.available_at < end))
    customers = customers.filter(customers.available_at < end).semi_join(views, "user_id")
    frame = in_memory(views).sort_values(["viewed_at", "view_id"], ignore_index=True)
    frame["at"] = frame["viewed_at"]
    frame = frame.join(known_at(frame, listings, PROPERTY_FEATURES, LISTING, TIME_TO_LIVE))
    frame = _browsing(frame)
    frame = frame[frame["viewed_at"] >= start].reset_index(drop=True)
    frame = frame.join(known_at(frame, engagement, ENGAGEMENT_FEATURES, ENGAGEMENT, TIME_TO_LIVE))
    frame = frame.join(known_at(frame, customers, USER_FEATURES, CUSTOMER).add_prefix("customer_"))
    guests = _guests(tables["dim_user"], views, end)
    frame = frame.join(
        taken(guests, Past(frame, guests, ["user_id"], or_at=True).latest()).drop(columns=["user_id", "at"])
    )
    frame["property_conversion"], frame["user_conversion"] = _conversion_so_far(frame, views, tables, end)
    return _derived(frame, _bookings(tables["fact_booking_history"], views, end))


def with_label(frame: pd.DataFrame, fact_booking_history: Table, views: Table, cutoff: datetime) -> pd.DataFrame:
    """Add the label: 1 where the user booked the property within LABEL_SPAN after the view, and 0 where not.

    The views must end that long before the cutoff, so that every label is known.
    """
    booked = _bookings(fact_booking_history, views, cutoff)
    after = pd.merge_asof(
        frame[KEYS],
        booked,
        left_on="viewed_at",
        right_on="booked_at",
        by=["user_id", "property_id"],
        direction="forward",
        tolerance=LABEL_SPAN,
    )
    return frame.assign(**{LABEL: after["booked_at"].notna().to_numpy("int64")})


def _browsing(frame: pd.DataFrame) -> pd.DataFrame:
    """Add what the user looked at in the LOOK_BACK before each view: strictly earlier views, to the second.

    frame: views in the order of time, from LOOK_BACK before the first of interest on.
    """
    user, pair = Past(frame, frame, ["user_id"]), Past(frame, frame, ["user_id", "property_id"])
    views_of_property = pair.count(LOOK_BACK)
    price = frame["base_price"].to_numpy()
    priced = user.sum(~np.isnan(price), LOOK_BACK)
    cents = user.sum(np.rint(np.nan_to_num(price) * 100).astype("int64"), LOOK_BACK)
    return frame.assign(
        views_of_property=views_of_property,
        views_of_user=user.count(LOOK_BACK),
        views_last_hour=user.count(timedelta(hours=1)),
        properties_of_user=user.sum(views_of_property == 0, LOOK_BACK),
        hours_since_first_view=pair.hours_since(pair.first(LOOK_BACK)),
        hours_browsing=user.hours_since(user.first(LOOK_BACK)),
        price_viewed=np.divide(cents, 100 * priced, out=np.full(len(frame), np.nan), where=priced > 0),
    )


def _guests(dim_user: Table, views: Table, moment: datetime) -> pd.DataFrame:
    """Who the viewing users were, one row per version, begun `at` a time before the moment."""
    guests = dim_user.filter(dim_user.effective_from < moment).semi_join(views, "user_id")
    guests = guests.select(
        "user_id", "is_business", at="effective_from", home_country="country", registered_at="created_at"
    )
    return in_memory(guests).sort_values(["at", "user_id"], ignore_index=True)


def _conversion_so_far(
    frame: pd.DataFrame, views: Table, tables: Tables, end: datetime
) -> tuple[np.ndarray, np.ndarray]:
    """[rows] bookings per view of the property, and bookings of the user per property looked at on a day, by all users
    and of all time until the end of the day before the view. Both are drawn towards the rate of everybody."""
    history = tables["fact_booking_history"]
    made = history.filter((history.known_at == history.created_at) & (history.created_at < end))
    made = in_memory(made.select("property_id", "user_id", at=made.created_at.truncate("D")))
    daily = tables["fact_property_engagement"]
    daily = daily.filter(daily.engagement_date < end.date())
    daily = daily.select("property_id", "view_count", "unique_user_views", at=daily.engagement_date.cast("timestamp"))
    seen = in_memory(daily)
    looks = tables["page_views"]
    looks = looks.filter(looks.timestamp < end).semi_join(views.select("user_id").distinct(), "user_id")
    looks = in_memory(looks.select("user_id", "property_id", at=looks.timestamp.truncate("D")).distinct())
    rows = frame.assign(at=frame["at"].dt.normalize())
    everybody = Past(rows, made, []).count()
    all_seen = Past(rows, seen, [])
    of_property = _drawn(
        Past(rows, made, ["property_id"]).count(),
        Past(rows, seen, ["property_id"]).sum(seen["view_count"].to_numpy()),
        everybody / np.maximum(all_seen.sum(seen["view_count"].to_numpy()), 1),
    )
    of_user = _drawn(
        Past(rows, made, ["user_id"]).count(),
        Past(rows, looks, ["user_id"]).count(),
        everybody / np.maximum(all_seen.sum(seen["unique_user_views"].to_numpy()), 1),
    )
    return of_property, of_user


def _drawn(hits: np.ndarray, tries: np.ndarray, general: np.ndarray) -> np.ndarray:
    """[rows] hits per try, drawn towards the general rate by PRIOR_VIEWS tries."""
    return (hits + PRIOR_VIEWS * general) / (tries + PRIOR_VIEWS)


def _bookings(history: Table, views: Table, moment: datetime) -> pd.DataFrame:
    """[user_id, property_id, booked_at] of the viewing users' bookings made before the moment, in the order of time."""
    made = history.filter((history.known_at == history.created_at) & (history.created_at < moment))
    made = made.semi_join(views, ["user_id", "property_id"])
    frame = made.select("user_id", "property_id", booked_at="created_at").distinct().to_pandas()
    return frame.sort_values(["booked_at", "user_id", "property_id"], ignore_index=True)


def _derived(frame: pd.DataFrame, booked: pd.DataFrame) -> pd.DataFrame:
    """Reduce the joined columns to KEYS and FEATURES."""
    before = pd.merge_asof(
        frame[KEYS],
        booked,
        left_on="viewed_at",
        right_on="booked_at",
        by=["user_id", "property_id"],
        allow_exact_matches=False,
    )
    viewed_at = frame["viewed_at"]
    frame = frame.assign(
        price_to_competitors=frame["base_price"] / frame["competitor_price"],
        price_to_viewed=frame["base_price"] / frame["price_viewed"],
        share_of_views=frame["views_of_property"] / frame["views_of_user"].where(frame["views_of_user"] > 0),
        tenure_days=(viewed_at - frame["registered_at"]).dt.total_seconds() / 86400,
        is_repeat=frame["customer_total_bookings"].fillna(0) > 0,
        was_guest=before["booked_at"].notna(),
        is_domestic=(frame["home_country"].astype("object") == frame["country"].astype("object")).where(
            frame["home_country"].notna()
        ),
        day_of_week=np.array(_DAYS)[viewed_at.dt.dayofweek],
        time_of_day=_TIMES[viewed_at.dt.hour // 6],
    )
    numeric = frame[[*NUMBERS, *FLAGS]].astype("float64")
    categories = frame[list(CATEGORIES)].astype("object").where(frame[list(CATEGORIES)].notna(), "unknown")
    return pd.concat([frame[KEYS], numeric, categories.astype("str")], axis=1)
