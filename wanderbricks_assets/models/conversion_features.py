"""Page views as rows to learn from and to score: what was known at the moment of a view, and whether it led
to a booking.

Training and serving use the same `view_features`.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from wanderbricks_assets.contracts.features import ENGAGEMENT_FEATURES, PROPERTY_FEATURES, USER_FEATURES
from wanderbricks_assets.features.point_in_time import as_of
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
    rows = _browsing(as_of(views, listings, PROPERTY_FEATURES, "viewed_at", TIME_TO_LIVE))
    rows = rows.filter(rows.viewed_at >= start)
    rows = as_of(rows, engagement, ENGAGEMENT_FEATURES, "viewed_at", TIME_TO_LIVE)
    rows = as_of(rows, customers, USER_FEATURES, "viewed_at", prefix="customer_")
    frame = rows.to_pandas().sort_values(["viewed_at", "view_id"], ignore_index=True)
    guests = _guests(tables["dim_user"], views, end)
    frame = pd.merge_asof(frame, guests, left_on="viewed_at", right_on="effective_from", by="user_id")
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


def _browsing(rows: Table) -> Table:
    """Add what the user looked at in the LOOK_BACK before each view: strictly earlier views, to the second."""
    second = rows.viewed_at.epoch_seconds()
    rows = rows.mutate(second=second)
    span = int(LOOK_BACK.total_seconds())
    user = ibis.range_window(group_by="user_id", order_by="second", preceding=(span, 1))
    hour = ibis.range_window(group_by="user_id", order_by="second", preceding=(3600, 1))
    pair = ibis.range_window(group_by=["user_id", "property_id"], order_by="second", preceding=(span, 1))
    rows = rows.mutate(
        views_of_property=rows.second.count().over(pair),
        views_of_user=rows.second.count().over(user),
        views_last_hour=rows.second.count().over(hour),
        hours_since_first_view=(rows.second - rows.second.min().over(pair)) / 3600,
        hours_browsing=(rows.second - rows.second.min().over(user)) / 3600,
        # Decimal, for a sum that does not depend on the order of rows (gold/exact.py).
        price_viewed=rows.base_price.cast("decimal(18, 2)").mean().over(user).cast("float64"),
    )
    is_first = (rows.views_of_property == 0).cast("int64")
    rows = rows.mutate(is_first=is_first)
    return rows.mutate(properties_of_user=rows.is_first.sum().over(user).fill_null(0))


def _guests(dim_user: Table, views: Table, moment: datetime) -> pd.DataFrame:
    """Who the viewing users were, one row per version begun before the moment."""
    guests = dim_user.filter(dim_user.effective_from < moment).semi_join(views, "user_id")
    guests = guests.select(
        "user_id", "effective_from", "is_business", home_country=guests.country, registered_at=guests.created_at
    )
    return guests.to_pandas().sort_values(["effective_from", "user_id"], ignore_index=True)


def _conversion_so_far(
    frame: pd.DataFrame, views: Table, tables: Tables, end: datetime
) -> tuple[np.ndarray, np.ndarray]:
    """[rows] bookings per view of the property, and bookings of the user per property looked at on a day, by all users
    and of all time until the end of the day before the view."""
    history = tables["fact_booking_history"]
    made = history.filter((history.known_at == history.created_at) & (history.created_at < end))
    made = made.mutate(day=made.created_at.date())
    daily = tables["fact_property_engagement"]
    daily = daily.filter(daily.engagement_date < end.date())
    seen = daily.group_by("property_id", day=daily.engagement_date).agg(count=daily.view_count.sum())
    booked = made.group_by("property_id", "day").agg(count=made.count())
    looks = tables["page_views"]
    looks = looks.filter(looks.timestamp < end).semi_join(views, "user_id")
    looks = looks.mutate(day=looks.timestamp.date())
    looked = looks.group_by("user_id", "day").agg(count=looks.property_id.nunique())
    own = made.semi_join(views, "user_id")
    own = own.group_by("user_id", "day").agg(count=own.count())
    return _rate(frame, "property_id", booked, seen), _rate(frame, "user_id", own, looked)


def _rate(frame: pd.DataFrame, key: str, hits: Table, tries: Table) -> np.ndarray:
    """[rows] hits per try of the row's key before its day, drawn towards the rate of all keys by PRIOR_VIEWS tries."""
    own, everybody = [], []
    for counts in (hits, tries):
        daily = counts.to_pandas().sort_values(["day", key], ignore_index=True)
        daily["day"] = daily["day"].astype("datetime64[us]")
        daily["so_far"] = daily.groupby(key)["count"].cumsum()
        total = daily.groupby("day", as_index=False)["count"].sum()
        total["so_far"] = total["count"].cumsum()
        days = pd.DataFrame({"day": frame["viewed_at"].dt.normalize().astype("datetime64[us]"), key: frame[key]})
        before = {"on": "day", "allow_exact_matches": False}
        own.append(pd.merge_asof(days, daily, by=key, **before)["so_far"].fillna(0).to_numpy("float64"))
        everybody.append(pd.merge_asof(days, total, **before)["so_far"].fillna(0).to_numpy("float64"))
    general = everybody[0] / np.maximum(everybody[1], 1)
    return (own[0] + PRIOR_VIEWS * general) / (own[1] + PRIOR_VIEWS)


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
        is_domestic=(frame["home_country"] == frame["country"]).where(frame["home_country"].notna()),
        day_of_week=np.array(_DAYS)[viewed_at.dt.dayofweek],
        time_of_day=_TIMES[viewed_at.dt.hour // 6],
    )
    numeric = frame[[*NUMBERS, *FLAGS]].astype("float64")
    categories = frame[list(CATEGORIES)].astype("object").where(frame[list(CATEGORIES)].notna(), "unknown")
    return pd.concat([frame[KEYS], numeric, categories.astype("str")], axis=1)
