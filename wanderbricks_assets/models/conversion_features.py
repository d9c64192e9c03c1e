"""Page views as rows to learn from and to score: what was known at the moment of a view, and whether it led
to a booking.

Training and serving use the same `view_features`.
"""

from datetime import datetime, timedelta

import ibis
import numpy as np
import pandas as pd
from ibis import Table

from wanderbricks_assets.contracts.features import ENGAGEMENT_FEATURES, PROPERTY_FEATURES, USER_FEATURES
from wanderbricks_assets.features.point_in_time import as_of
from wanderbricks_assets.gold.cleaning import accepted
from wanderbricks_assets.models.model import Tables

READS = ("page_views", "fact_booking_history", "dim_user", "property_features", "user_features", "engagement_features")
KEYS = ["view_id", "user_id", "property_id", "viewed_at"]
LABEL = "converted"
LABEL_SPAN = timedelta(days=7)  # docs/models.md: the same user books that property within 7 days
LOOK_BACK = timedelta(days=7)  # of what the user looked at before
TIME_TO_LIVE = timedelta(days=8)  # daily and hourly rows older than that do not describe a listing any more

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
    "hours_browsing": "browsing",
    "customer_total_bookings": "past_bookings",
    "customer_booking_frequency": "past_bookings",
    "customer_days_since_last_booking": "past_bookings",
    "customer_cancellation_rate": "past_bookings",
    "customer_avg_booking_value": "past_spend",
    "tenure_days": "tenure",
}
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
_DAYS = np.array(["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"])
_TIMES = np.array(["night", "morning", "afternoon", "evening"])  # six hours each, UTC


def believed_views(page_views: Table, start: datetime, end: datetime) -> Table:
    """The believed views in [start, end): KEYS, device_type, referrer. Views of nobody can have no label."""
    rows = page_views.filter((page_views.timestamp >= start) & (page_views.timestamp < end))
    rows = accepted("page_views", rows).filter(ibis._.user_id.notnull())
    return rows.select("view_id", "user_id", "property_id", "device_type", "referrer", viewed_at=rows.timestamp)


def user_share(user_id: ibis.Value | pd.Series) -> ibis.Value | pd.Series:
    """A fixed number in [0, 1) for each user, spread evenly (multiplicative hashing: Knuth, volume 3, section 6.4).

    Users are sampled and split by it: the same ones every week, on every engine.
    """
    return (user_id % 2**31) * 2654435761 % 2**32 / 2**32


def view_features(views: Table, tables: Tables, start: datetime, end: datetime) -> pd.DataFrame:
    """One row per view in [start, end) with KEYS and FEATURES, in the order of time; numbers and flags are float64.

    views: believed views of the users concerned, from LOOK_BACK before `start` on, for what they looked at before.
    """
    views = views.filter((views.viewed_at >= start - LOOK_BACK) & (views.viewed_at < end))
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
    pair = ibis.range_window(group_by=["user_id", "property_id"], order_by="second", preceding=(span, 1))
    rows = rows.mutate(
        views_of_property=rows.second.count().over(pair),
        views_of_user=rows.second.count().over(user),
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
        day_of_week=_DAYS[viewed_at.dt.dayofweek],
        time_of_day=_TIMES[viewed_at.dt.hour // 6],
    )
    numeric = frame[[*NUMBERS, *FLAGS]].astype("float64")
    categories = frame[list(CATEGORIES)].astype("object").where(frame[list(CATEGORIES)].notna(), "unknown")
    return pd.concat([frame[KEYS], numeric, categories.astype("str")], axis=1)
