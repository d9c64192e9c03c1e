"""Page views as rows to learn from and to score: what was known at the moment of a view, and whether it led
to a booking.

Training and the daily batch use the same `view_features`; `conversion_online` puts the same parts together for a pair.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from wanderbricks_assets.contracts.features import ENGAGEMENT_FEATURES, PROPERTY_FEATURES, USER_FEATURES
from wanderbricks_assets.features.past import Past, in_memory, known_at, taken
from wanderbricks_assets.gold.as_known import bookings_made
from wanderbricks_assets.gold.cleaning import accepted
from wanderbricks_assets.lazy import Columns, Table, ibis, np, pd
from wanderbricks_assets.models.frames import fixed_share
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
# Bookings and views of the same time, as rates are made of both.
YEARS = dict.fromkeys(
    ("page_views", "fact_booking_history", "fact_property_engagement", "property_features", "engagement_features"), 3
)
KEYS = ["view_id", "user_id", "property_id", "viewed_at"]
LABEL = "converted"
LABEL_SPAN = timedelta(days=7)  # docs/models.md: the same user books that property within 7 days
LOOK_BACK = timedelta(days=7)  # of what the user looked at before
TIME_TO_LIVE = timedelta(days=8)  # daily and hourly rows older than that do not describe a listing any more
PRIOR_VISITS = 30  # a rate counts as if so many visits at everybody's rate had come first: at 7%, two bookings
PRIOR_LOOKS = 2  # the same for the share of visits that go to a type of property: a few tell much
PER_MILLION = 1_000_000  # rates are added as integers, which add up exactly in any order

# The numbers, and the factor under which what they add is shown. The first of a factor tells whether it is high or low.
NUMBERS = {
    "price_to_competitors": "price",
    "price_to_viewed": "price",
    "base_price": "price",
    "rating": "rating",
    "photos_count": "photos_count",
    "bedrooms": "size",
    "max_guests": "size",
    "guests_to_viewed": "size",
    "bookings_ma_7d": "demand",
    "occupancy_30d": "demand",
    "property_conversion": "conversion_rate",
    "conversion_rate": "conversion_rate",
    "views_per_visit": "interest_of_others",
    "destination_conversion": "destination_conversion",
    "rivals": "competition",
    "views_7d": "traffic",
    "clicks_7d": "traffic",
    "views_of_property": "interest",
    "share_of_views": "interest",
    "hours_since_first_view": "interest",
    "views_of_search": "browsing",
    "properties_of_search": "browsing",
    "views_last_hour": "browsing",
    "hours_searching": "browsing",
    "user_conversion": "past_bookings",
    "customer_total_bookings": "past_bookings",
    "customer_booking_frequency": "past_bookings",
    "customer_days_since_last_booking": "past_bookings",
    "customer_cancellation_rate": "past_bookings",
    "customer_avg_booking_value": "past_spend",
    "liking_of_type": "liking_of_such_places",
    "tenure_days": "tenure",
}
# Of these the logarithm is used: a few rows have very much of them. RATIOS are positive, COUNTS may be 0.
RATIOS = [
    *("price_to_competitors", "price_to_viewed", "base_price", "guests_to_viewed", "property_conversion"),
    *("views_per_visit", "destination_conversion", "user_conversion", "liking_of_type"),
]
COUNTS = [
    *("rivals", "views_7d", "clicks_7d", "views_of_property", "views_of_search", "properties_of_search"),
    *("views_last_hour", "hours_since_first_view", "hours_searching", "customer_total_bookings", "tenure_days"),
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
ENGAGEMENT = ["views_7d", "clicks_7d", "conversion_rate"]
CUSTOMER = [
    *("total_bookings", "booking_frequency", "days_since_last_booking", "cancellation_rate", "avg_booking_value"),
]
FEATURES = [*NUMBERS, *FLAGS, *CATEGORIES]
_THURSDAY = 3  # the place of 1970-01-01 in:
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_TIMES = ("night", "morning", "afternoon", "evening")  # six hours each, UTC


def believed_views(page_views: Table, start: datetime, end: datetime, low: float = 0.0, high: float = 1.0) -> Table:
    """The believed views in [start, end) of users whose share is in [low, high), computed once as several queries look
    at them: KEYS, device_type, referrer. Views of nobody can have no label."""
    rows = page_views.filter((page_views.timestamp >= start) & (page_views.timestamp < end))
    share = fixed_share(rows.user_id)
    rows = accepted("page_views", rows.filter((share >= low) & (share < high)))
    rows = rows.select("view_id", "user_id", "property_id", "device_type", "referrer", viewed_at=rows.timestamp)
    return ibis.memtable(rows.to_pyarrow(), schema=rows.schema())


def view_features(views: Table, tables: Tables, start: datetime, end: datetime) -> pd.DataFrame:
    """One row per view in [start, end) with KEYS and FEATURES, in the order of time; numbers and flags are float64.

    views: believed views of the users concerned, from LOOK_BACK before `start` on, for what they looked at before.
    """
    known = Known(tables, views, start, end)
    frame = in_memory(views).sort_values(["viewed_at", "view_id"], ignore_index=True)
    frame = known.add_listings(frame.assign(at=frame["viewed_at"]))
    frame = frame.assign(**search(frame))
    frame = frame[frame["viewed_at"] >= start].reset_index(drop=True)
    return pd.DataFrame(derived(known.add_visits(known.add_visitors(known.add_engagement(frame)))))


class Known:
    """What was known in [start, end), and in the LOOK_BACK before, by what it is about: the parts of `view_features`.

    Each part is added to frames with `at` and property_id, or user_id; users: a table with the user_id of those
    concerned.
    """

    def __init__(self, tables: Tables, users: Table, start: datetime, end: datetime):
        listings, engagement = tables["property_features"], tables["engagement_features"]
        customers, oldest = tables["user_features"], start - LOOK_BACK - TIME_TO_LIVE
        self.listings = listings.filter((listings.available_at >= oldest) & (listings.available_at < end))
        self.engagement = engagement.filter((engagement.available_at >= oldest) & (engagement.available_at < end))
        self.customers = customers.filter(customers.available_at < end).semi_join(users, "user_id")
        self.guests = _guests(tables["dim_user"], users, end)
        self.places = _places(self.listings)
        self.visits = _Visits(tables["fact_property_engagement"], tables["fact_booking_history"], self.places, end)
        self.page_views, self.users = tables["page_views"], users

    def add_listings(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Add place and kind of the listing, LISTING, and what visits led to."""
        frame = frame.join(self.places, on="property_id")
        frame = frame.join(known_at(frame, self.listings, PROPERTY_FEATURES, LISTING, TIME_TO_LIVE))
        return frame.join(self.visits.of_listings(frame))

    def add_engagement(self, frame: pd.DataFrame) -> pd.DataFrame:
        return frame.join(known_at(frame, self.engagement, ENGAGEMENT_FEATURES, ENGAGEMENT, TIME_TO_LIVE))

    def add_visitors(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Add CUSTOMER, and who the user is."""
        frame = frame.join(known_at(frame, self.customers, USER_FEATURES, CUSTOMER).add_prefix("customer_"))
        guests = taken(self.guests, Past(frame, self.guests, ["user_id"], or_at=True).latest())
        return frame.join(guests.drop(columns=["user_id", "at"]))

    def add_visits(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Add the user's earlier visits and bookings; the frame must have `kind`, too."""
        return frame.join(self.visits.of_users(frame, self.page_views, self.users))


def with_label(frame: pd.DataFrame, fact_booking_history: Table, views: Table, cutoff: datetime) -> pd.DataFrame:
    """Add the label: 1 where the user booked the property within LABEL_SPAN after the view, and 0 where not.

    The views must end that long before the cutoff, so that every label is known.
    """
    return frame.assign(**{LABEL: is_converted(frame, _bookings(fact_booking_history, views, cutoff))})


def is_converted(views: pd.DataFrame, bookings: pd.DataFrame) -> np.ndarray:
    """[views] 1 where the user booked the property within LABEL_SPAN after the view, and 0 where not.

    views: user_id, property_id, viewed_at; bookings: user_id, property_id, booked_at; both in the order of time.
    """
    after = pd.merge_asof(
        views[["user_id", "property_id", "viewed_at"]],
        bookings[["user_id", "property_id", "booked_at"]],
        left_on="viewed_at",
        right_on="booked_at",
        by=["user_id", "property_id"],
        direction="forward",
        tolerance=LABEL_SPAN,
    )
    return after["booked_at"].notna().to_numpy("int64")


def search(views: Columns) -> dict[str, np.ndarray]:
    """What the user looked at before each view, to the second, in the LOOK_BACK and in the same destination: the search
    that the view belongs to. Its `referrer` is to take the place of the view's.

    views: in the order of time, from LOOK_BACK before the first of interest on.
    """
    searches = Past(views, views, ["user_id", "destination"])
    pair = Past(views, views, ["user_id", "property_id"])
    of_property = pair.count(LOOK_BACK)
    is_first, again = of_property == 0, of_property > 0
    properties = searches.sum(is_first, LOOK_BACK)
    others = properties - again

    def of_others(value: np.ndarray, factor: int) -> np.ndarray:
        """[rows] the sum over the other properties of the search, as integers of one part in `factor`."""
        whole = np.rint(np.where(np.isnan(value), 0, value) * factor).astype("int64")
        return (searches.sum(np.where(is_first, whole, 0), LOOK_BACK) - again * whole) / factor

    def mean_of_others(value: np.ndarray, factor: int) -> np.ndarray:
        return _ratio(of_others(value, factor), others)

    first = searches.first(LOOK_BACK)
    # Who comes back later mostly comes straight: what brought the visitor is known from the beginning of the search.
    began = np.where(first >= 0, first, np.arange(len(first)))
    views_of_search = searches.count(LOOK_BACK)
    conversion, price, guests = (
        np.asarray(views[name], "float64") for name in ("property_conversion", "base_price", "max_guests")
    )
    return {
        "views_of_property": of_property,
        "views_of_search": views_of_search,
        "share_of_views": _ratio(of_property, views_of_search),
        "properties_of_search": properties,
        "views_last_hour": searches.count(timedelta(hours=1)),
        "hours_since_first_view": pair.hours_since(pair.first(LOOK_BACK)),
        "hours_searching": searches.hours_since(first),
        "referrer": np.asarray(views["referrer"])[began],
        "rivals": of_others(conversion, PER_MILLION),
        "price_to_viewed": price / np.maximum(mean_of_others(price, 100), 0.01),
        "guests_to_viewed": guests / np.maximum(mean_of_others(guests, 1), 1),
    }


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """[rows] NaN where the whole is nothing."""
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)


def _guests(dim_user: Table, users: Table, moment: datetime) -> pd.DataFrame:
    """Who the users were, one row per version, begun `at` a time before the moment."""
    guests = dim_user.filter(dim_user.effective_from < moment).semi_join(users, "user_id")
    guests = guests.select(
        "user_id", "is_business", at="effective_from", home_country="country", registered_at="created_at"
    )
    return in_memory(guests).sort_values(["at", "user_id"], ignore_index=True)


def _places(listings: Table) -> pd.DataFrame:
    """By property_id: numbers of its destination and of its type (`kind`), as they were first."""
    known = in_memory(listings.select("property_id", "available_at", "destination", "property_type"))
    known = known.sort_values(["available_at", "property_id"]).drop_duplicates("property_id").set_index("property_id")
    return pd.DataFrame({"destination": known["destination"].cat.codes, "kind": known["property_type"].cat.codes})


class _Visits:
    """What visits led to, by the end of the day before each row. A visit is all that a user views of a property on a
    day. Rates are drawn towards those of everybody."""

    def __init__(self, engagement: Table, history: Table, places: pd.DataFrame, end: datetime):
        daily = engagement.filter(engagement.engagement_date < end.date())
        daily = in_memory(
            daily.select("property_id", "view_count", "unique_user_views", at=daily.engagement_date.cast("timestamp"))
        )
        self.daily = daily
        # By place and kind there are far fewer rows to look through.
        of_kinds = daily.join(places, on="property_id").groupby(["destination", "kind", "at"], dropna=False)
        self.of_kinds = of_kinds[["view_count", "unique_user_views"]].sum().reset_index()
        made = bookings_made(history, end)
        made = in_memory(made.select("property_id", "user_id", made_at=made.created_at))
        self.made = made.assign(at=made["made_at"].dt.normalize()).join(places, on="property_id")
        self.places, self.end = places, end

    def of_listings(self, frame: pd.DataFrame) -> pd.DataFrame:
        """[rows] property_conversion and destination_conversion: bookings per visit; views_per_visit; and of the
        destination, the share of visits that go to the property's type (`share_of_type`)."""
        rows = frame[["property_id", "destination", "kind"]].assign(at=frame["at"].dt.normalize())
        seen, views = self.of_kinds["unique_user_views"].to_numpy(), self.of_kinds["view_count"].to_numpy()
        everywhere = Past(rows, self.of_kinds, [])
        visits = np.maximum(everywhere.sum(seen), 1)
        rate = Past(rows, self.made, []).count() / visits
        there = Past(rows, self.of_kinds, ["destination"]).sum(seen)
        of_kind = Past(rows, self.of_kinds, ["destination", "kind"]).sum(seen)
        of_property = Past(rows, self.daily, ["property_id"])
        own = of_property.sum(self.daily["unique_user_views"].to_numpy())
        own_views = of_property.sum(self.daily["view_count"].to_numpy())
        return pd.DataFrame(
            {
                "rate": rate,
                "property_conversion": _drawn(Past(rows, self.made, ["property_id"]).count(), own, rate),
                "destination_conversion": _drawn(Past(rows, self.made, ["destination"]).count(), there, rate),
                "views_per_visit": _drawn(own_views, own, everywhere.sum(views) / visits),
                "share_of_type": of_kind / np.maximum(there, 1),
            }
        )

    def of_users(self, frame: pd.DataFrame, page_views: Table, users: Table) -> pd.DataFrame:
        """[rows] the user's user_bookings, user_visits, and visits_of_kind to properties of this type; was_guest: has
        booked this property before."""
        looks = page_views.filter(page_views.timestamp < self.end)
        looks = looks.semi_join(users.select("user_id").distinct(), "user_id")
        looks = in_memory(looks.select("user_id", "property_id", at=looks.timestamp.truncate("D")).distinct())
        looks["kind"] = looks["property_id"].map(self.places["kind"])
        rows = frame[["user_id", "property_id", "kind"]].assign(at=frame["at"].dt.normalize())
        made = self.made.assign(at=self.made["made_at"])
        return pd.DataFrame(
            {
                "user_bookings": Past(rows, self.made, ["user_id"]).count(),
                "user_visits": Past(rows, looks, ["user_id"]).count(),
                "visits_of_kind": Past(rows, looks, ["user_id", "kind"]).count(),
                "was_guest": Past(frame, made, ["user_id", "property_id"]).count() > 0,
            }
        )


def _drawn(hits: np.ndarray, tries: np.ndarray, general: np.ndarray, prior: int = PRIOR_VISITS) -> np.ndarray:
    """[rows] hits per try, drawn towards the general rate by `prior` tries."""
    return (hits + prior * general) / (tries + prior)


def _bookings(history: Table, views: Table, moment: datetime) -> pd.DataFrame:
    """[user_id, property_id, booked_at] of the viewing users' bookings made before the moment, in the order of time."""
    made = bookings_made(history, moment).semi_join(views, ["user_id", "property_id"])
    frame = made.select("user_id", "property_id", booked_at="created_at").distinct().to_pandas()
    return frame.sort_values(["booked_at", "user_id", "property_id"], ignore_index=True)


def derived(joined: Columns) -> dict[str, np.ndarray]:
    """KEYS and FEATURES of the joined columns.

    user_conversion: the user's bookings per visit; liking_of_type: the share of the user's visits that went to the
    property's type, over the share of everybody's there.
    """
    needed = ("share_of_type", "visits_of_kind", "user_visits", "user_bookings", "rate", "base_price")
    share, visits_of_kind, visits, bookings, rate, price = (np.asarray(joined[name], "float64") for name in needed)
    viewed_at, home = np.asarray(joined["viewed_at"]), np.asarray(joined["home_country"], "object")
    day = viewed_at.astype("datetime64[D]")
    hour = (viewed_at - day) // np.timedelta64(1, "h")
    liking = _drawn(visits_of_kind, visits, share, PRIOR_LOOKS)
    made = {
        "price_to_competitors": price / np.asarray(joined["competitor_price"], "float64"),
        "user_conversion": _drawn(bookings, visits, rate),
        "liking_of_type": liking / np.maximum(share, 1e-6),
        "tenure_days": (viewed_at - np.asarray(joined["registered_at"])) / np.timedelta64(1, "s") / 86400,
        "is_repeat": np.asarray(joined["customer_total_bookings"], "float64") > 0,
        "is_domestic": np.where(pd.isna(home), np.nan, home == np.asarray(joined["country"], "object")),
        "day_of_week": np.array(_DAYS, "object")[(day.astype("int64") + _THURSDAY) % 7],
        "time_of_day": np.array(_TIMES, "object")[hour // 6],
    }
    columns = {**joined, **made}
    categories = {name: np.asarray(columns[name], "object") for name in CATEGORIES}
    return (
        {name: np.asarray(joined[name]) for name in KEYS}
        | {name: np.asarray(columns[name], "float64") for name in (*NUMBERS, *FLAGS)}
        | {name: np.where(pd.isna(value), "unknown", value) for name, value in categories.items()}
    )
