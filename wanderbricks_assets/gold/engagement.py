"""What visitors do on the pages of properties."""

from __future__ import annotations

from wanderbricks_assets.gold.cleaning import accepted
from wanderbricks_assets.lazy import Table, ibis
from wanderbricks_assets.window import Window

LONGEST_STAY_ON_PAGE = 1800  # seconds: a longer gap to the next event means that the visitor was away (data dictionary)


def fact_property_engagement(page_views: Table, clickstream: Table, bookings: Table, days: Window) -> Table:
    """One row per property and day of the window with a visit, click, search or booking."""
    rows = engagement(page_views, clickstream, bookings, days, unit="D")
    return rows.mutate(
        engagement_date=rows.period.date(),
        unique_user_views=rows.unique_users,
        conversion_rate=rows.booking_count / rows.view_count.nullif(0),
        avg_time_on_page=rows.time_on_page,
    )


def engagement(page_views: Table, clickstream: Table, bookings: Table, within: Window, unit: str) -> Table:
    """Counts per property and period (`unit` "D" or "h") of a window, from source rows that are believed.

    Time on page is the gap to the same user's next event of the same period: what comes later was not known at its end.
    """
    # Before they are judged, which no filter passes: a long window is filled in pieces.
    page_views, clickstream = (rows.filter(within.contains(rows.timestamp)) for rows in (page_views, clickstream))
    bookings = bookings.filter(within.contains(bookings.created_at))
    views = accepted("page_views", page_views).select("property_id", "user_id", "timestamp", event=ibis.literal("view"))
    # The clickstream repeats the views, under no id that would let one see which.
    acts = accepted("clickstream", clickstream).filter(ibis._.event != "view")
    events = views.union(acts.select("property_id", "user_id", "timestamp", "event"))
    events = events.mutate(period=events.timestamp.truncate(unit))
    # Events of the same second need an order too: a click comes before the view that it leads to.
    order = [events.timestamp, events.event, events.property_id]
    following = ibis.window(group_by=[events.user_id, events.period], order_by=order)
    gap = events.timestamp.lead().over(following).epoch_seconds() - events.timestamp.epoch_seconds()
    # Not least(), which passes over nulls: a view that nothing follows has no time, not the longest.
    events = events.mutate(gap=(gap > LONGEST_STAY_ON_PAGE).ifelse(LONGEST_STAY_ON_PAGE, gap))
    is_view = events.event == "view"
    is_timed = is_view & events.user_id.notnull() & events.gap.notnull()
    # By visitor first: counting distinct visitors of millions of small groups at once takes several times as long.
    visits = events.group_by("property_id", "period", "user_id").agg(
        view_count=events.count(where=is_view),
        click_count=events.count(where=events.event == "click"),
        search_count=events.count(where=events.event == "search"),
        seconds=events.gap.sum(where=is_timed),
        timed=events.count(where=is_timed),
    )
    visits = visits.group_by("property_id", "period").agg(
        view_count=visits.view_count.sum(),
        click_count=visits.click_count.sum(),
        search_count=visits.search_count.sum(),
        unique_users=visits.count(where=(visits.view_count > 0) & visits.user_id.notnull()),
        time_on_page=visits.seconds.sum() / visits.timed.sum().nullif(0),
        booking_count=ibis.literal(0, "int64"),
    )
    made = accepted("bookings", bookings)
    made = made.mutate(period=made.created_at.truncate(unit))
    booked = made.group_by("property_id", "period").agg(booking_count=made.count())
    counts = ("view_count", "click_count", "search_count", "unique_users")
    booked = booked.mutate(**dict.fromkeys(counts, ibis.literal(0, "int64")), time_on_page=ibis.null("float64"))
    both = visits.union(booked.select(visits.columns))
    return both.group_by("property_id", "period").agg(
        **{name: both[name].sum() for name in (*counts, "booking_count")}, time_on_page=both.time_on_page.max()
    )
