"""What is known about a listing at the end of a day."""

from __future__ import annotations

from wanderbricks_assets.gold.as_known import bookings_made, cancelled, versions
from wanderbricks_assets.gold.cleaning import accepted
from wanderbricks_assets.gold.exact import exact
from wanderbricks_assets.lazy import Table, ibis
from wanderbricks_assets.window import ON_THE_BOOKS, Window, add_days

OCCUPANCY_NIGHTS = 30
# What happened to a listing on a day, as sums.
_SUMS = {
    **dict.fromkeys(("made_in_7_days", "made_7_days_before", "made_30_days_before", "nights_sold"), "int64"),
    "stars": "decimal(18, 2)",
    **dict.fromkeys(("reviews", "photos"), "int64"),
}


def property_features(
    dim_property: Table,
    dim_destination: Table,
    fact_booking_history: Table,
    fact_review: Table,
    property_images: Table,
    days: Window,
) -> Table:
    """One row per listing and day of the window on which it was listed."""
    listings = _listings(dim_property, dim_destination, days)
    happened = _summed(
        _bookings_per_day(fact_booking_history, days),
        _nights_sold(fact_booking_history, days),
        _ratings(fact_review, listings, days),
        _photos(property_images, listings, days),
    )
    rows = listings.left_join(happened, ["property_id", "feature_date"])
    rows = rows.drop("property_id_right", "feature_date_right")
    rows = rows.mutate(**{name: rows[name].fill_null(0) for name in _SUMS})
    by_time = ibis.cumulative_window(group_by=rows.property_id, order_by=rows.feature_date)
    rated = rows.reviews.sum().over(by_time)
    others = ibis.window(group_by=[rows.destination_id, rows.property_type, rows.feature_date])
    prices, priced = exact(rows.base_price).sum().over(others), rows.base_price.count().over(others)
    return rows.mutate(
        bookings_lag_7d=rows.made_7_days_before,
        bookings_lag_30d=rows.made_30_days_before,
        bookings_ma_7d=rows.made_in_7_days / 7,
        occupancy_30d=rows.nights_sold / OCCUPANCY_NIGHTS,
        rating=rows.stars.sum().over(by_time).cast("float64") / rated.nullif(0),
        photos_count=rows.photos.sum().over(by_time),
        competitor_price=(prices.cast("float64") - rows.base_price) / (priced - 1).nullif(0),
        available_at=rows.feature_date.cast("timestamp") + ibis.interval(days=1),
    )


def _listings(dim_property: Table, dim_destination: Table, days: Window) -> Table:
    """The listed properties of each day, with the price that held when the day ended."""
    span = ibis.range(ibis.timestamp(days.start), ibis.timestamp(days.end), ibis.interval(days=1))
    calendar = span.unnest().name("feature_date").as_table()
    calendar = calendar.mutate(feature_date=calendar.feature_date.date())
    day_end = calendar.feature_date.cast("timestamp") + ibis.interval(days=1)
    rows = dim_property.join(
        calendar,
        (dim_property.effective_from < day_end)
        & (dim_property.effective_to.isnull() | (dim_property.effective_to >= day_end)),
    )
    places = dim_destination.select("destination_id", "destination", "country")
    return rows.left_join(places, "destination_id").drop("destination_id_right")


def _bookings_per_day(history: Table, days: Window) -> Table:
    made = bookings_made(history)
    made = made.mutate(day=made.created_at.date())
    made = made.filter(days.back(days=31).contains(made.day))
    daily = made.group_by("property_id", "day").agg(made=made.count())
    # A day is one of the last seven of itself and six days after it, and lies 7 and 30 days before two others.
    later = daily.mutate(shift=ibis.array([*range(8), 30]).unnest())
    later = later.mutate(feature_date=add_days(later.day, later.shift))
    return later.group_by("property_id", "feature_date").agg(
        made_in_7_days=later.made.sum(where=later.shift < 7),
        made_7_days_before=later.made.sum(where=later.shift == 7),
        made_30_days_before=later.made.sum(where=later.shift == 30),
    )


def _nights_sold(history: Table, days: Window) -> Table:
    """Nights sold among the last 30 of each day, by the bookings known and not cancelled when the day ended."""
    states = versions(history)
    states = states.filter(~cancelled(states))
    first = ibis.greatest(states.known_at.date(), states.check_in_date, ibis.date(days.first_day))
    last = ibis.least(
        add_days(states.known_until.date(), -1).fill_null(ibis.date(days.last_day)),
        add_days(states.check_out_date, OCCUPANCY_NIGHTS - 2),
        ibis.date(days.last_day),
    )
    states = states.mutate(first=first, last=last).filter(ibis._.first <= ibis._.last)
    end = states.last.cast("timestamp") + ibis.interval(days=1)
    span = ibis.range(states.first.cast("timestamp"), end, ibis.interval(days=1))
    nights = states.mutate(midnight=span.unnest())
    nights = nights.filter(nights.known_at >= nights.midnight - ibis.interval(days=ON_THE_BOOKS.days))
    nights = nights.mutate(feature_date=nights.midnight.date())
    until = ibis.least(nights.check_out_date, add_days(nights.feature_date, 1))
    since = ibis.greatest(nights.check_in_date, add_days(nights.feature_date, 1 - OCCUPANCY_NIGHTS))
    nights = nights.mutate(sold=(until - since).cast("int64"))
    return nights.group_by("property_id", "feature_date").agg(nights_sold=nights.sold.sum())


def _ratings(fact_review: Table, listings: Table, days: Window) -> Table:
    given = _on_first_listed_day(fact_review.mutate(day=fact_review.created_at.date()), listings, days)
    return given.group_by("property_id", "feature_date").agg(stars=exact(given.rating).sum(), reviews=given.count())


def _photos(property_images: Table, listings: Table, days: Window) -> Table:
    photos = accepted("property_images", property_images)
    photos = photos.mutate(day=photos.uploaded_at.fill_null(ibis.date(1, 1, 1)))
    photos = _on_first_listed_day(photos, listings, days)
    return photos.group_by("property_id", "feature_date").agg(photos=photos.count())


def _on_first_listed_day(rows: Table, listings: Table, days: Window) -> Table:
    """Move what happened before the listing's first row to that row, so that running sums begin with it."""
    begun = listings.group_by("property_id").agg(begun=listings.feature_date.min())
    rows = rows.filter(rows.day <= ibis.date(days.last_day)).join(begun, "property_id")
    return rows.mutate(feature_date=ibis.greatest(rows.day, rows.begun))


def _summed(*parts: Table) -> Table:
    """The sums of all parts by listing and day: one join to the listings instead of one for each part."""
    columns = ("property_id", "feature_date", *_SUMS)
    nothing = {name: ibis.literal(0) for name in _SUMS}
    wide = [part.mutate(**{k: v for k, v in nothing.items() if k not in part.columns}) for part in parts]
    first, *others = (part.select(columns).cast(_SUMS) for part in wide)
    rows = first.union(*others)
    return rows.group_by("property_id", "feature_date").agg(**{name: rows[name].sum() for name in _SUMS})
