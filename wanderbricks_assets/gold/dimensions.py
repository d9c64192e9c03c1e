"""Properties, guests, places, hosts and the calendar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime

from wanderbricks_assets.gold.cleaning import accepted
from wanderbricks_assets.lazy import Table, ibis, pd

_LISTING = ("property_id", "host_id", "destination_id", "title", "description", "property_type")
_GUEST = ("country", "user_type", "is_business")


def version_at(versions: Table, moment: datetime) -> Table:
    """The rows of a type 2 dimension that held just before a moment."""
    ends = versions.effective_to
    return versions.filter((versions.effective_from < moment) & (ends.isnull() | (ends >= moment)))


def dim_property(properties: Table, property_updates: Table, known: Mapping[str, Table] | None = None) -> Table:
    """One row per listing and price. Without a history of prices a listing has one version, from its first day on.

    `known` holds the believed destinations and hosts: a listing that names another one is quarantined.
    """
    properties = accepted("properties", properties, known)
    listed = properties.select("property_id", listed_at=properties.created_at.cast("timestamp"))
    changes = accepted("property_updates", property_updates).join(listed, "property_id")
    is_later = changes.updated_at > changes.listed_at
    opening = changes.group_by("property_id").agg(
        price_when_listed=changes.base_price.argmax(changes.updated_at, where=~is_later),
        changes=changes.count(),
    )
    openings = properties.left_join(opening, "property_id")
    prices = openings.select(
        "property_id",
        effective_from=openings.created_at.cast("timestamp"),
        # Before its first known change a listing had a price that nobody wrote down. Today's price is what it was
        # only where no change is known.
        base_price=openings.price_when_listed.coalesce(openings.changes.isnull().ifelse(openings.base_price, None)),
    ).union(changes.filter(is_later).select("property_id", effective_from="updated_at", base_price="base_price"))
    following = ibis.window(group_by=prices.property_id, order_by=prices.effective_from)
    prices = prices.mutate(effective_to=prices.effective_from.lead().over(following))
    rows = prices.join(properties.drop("base_price"), "property_id")
    return rows.mutate(
        is_current=rows.effective_to.isnull(),
        base_price=rows.base_price.cast("float64").round(2),
        latitude=rows.property_latitude,
        longitude=rows.property_longitude,
    )


def dim_user(users: Table, previous: Table, seen_at: datetime | None) -> Table:
    """One row per guest and version: `previous` is the table as it stands, `seen_at` the moment of the newest event.

    A guest whose attributes differ from the current version gets a new one from `seen_at` on; the old one ends there.
    Of two changes seen at the same moment the second replaces the first.
    """
    users = accepted("users", users)
    current = previous.filter(previous.is_current)
    new = users.anti_join(current, "user_id").select(
        "user_id",
        *_GUEST,
        "created_at",
        effective_from="created_at",
        effective_to=ibis.null("timestamp"),
        is_current=True,
    )
    pairs = current.join(users.select("user_id", **{f"new_{name}": name for name in _GUEST}), "user_id")
    differs = ibis.or_(*(~pairs[name].identical_to(pairs[f"new_{name}"]) for name in _GUEST))
    changed = pairs.filter(differs).mutate(seen_at=ibis.literal(seen_at, "timestamp"))
    begun = changed.select(
        "user_id",
        **{name: f"new_{name}" for name in _GUEST},
        created_at="created_at",
        effective_from=ibis.greatest(changed.effective_from, changed.seen_at),
        effective_to=ibis.null("timestamp"),
        is_current=True,
    )
    ended = changed.filter(changed.effective_from < changed.seen_at).mutate(effective_to="seen_at", is_current=False)
    kept = previous.anti_join(changed.select("user_id", "effective_from"), ["user_id", "effective_from"])
    columns = previous.columns
    return ibis.union(
        *(rows.select(columns).cast(dict(previous.schema().items())) for rows in (kept, new, begun, ended))
    )


def dim_destination(destinations: Table, countries: Table) -> Table:
    places = accepted("destinations", destinations)
    return places.left_join(accepted("countries", countries), "country").drop("country_right")


def dim_host(hosts: Table, dim_property: Table) -> Table:
    current = dim_property.filter(dim_property.is_current)
    listings = current.group_by("host_id").agg(property_count=current.count())
    rows = accepted("hosts", hosts).left_join(listings, "host_id").drop("host_id_right")
    return rows.mutate(property_count=rows.property_count.fill_null(0))


def dim_date(first: date, last: date, countries: Sequence[tuple[str, str | None]]) -> Table:
    """The calendar of each country, `(name, ISO code)`; a country whose holidays nobody knows has `is_holiday` null."""
    days = pd.date_range(first, last, name="date")
    calendar = pd.DataFrame({"date": days.date}, index=days)
    calendar = calendar.assign(
        day_of_week=days.dayofweek + 1,
        day_of_year=days.dayofyear,
        month=days.month,
        quarter=days.quarter,
        year=days.year,
        is_weekend=days.dayofweek >= 5,
    )
    per_country = [calendar.assign(country=name, **_holidays(days, code)) for name, code in countries]
    return ibis.memtable(pd.concat(per_country, ignore_index=True))


def _holidays(days: pd.DatetimeIndex, code: str | None) -> dict[str, list]:
    import holidays

    if code not in holidays.list_supported_countries():
        return {"is_holiday": [None] * len(days), "holiday": [None] * len(days)}
    names = holidays.country_holidays(code, years=range(days[0].year, days[-1].year + 1))
    found = [names.get(day.date()) for day in days]
    return {"is_holiday": [name is not None for name in found], "holiday": found}
