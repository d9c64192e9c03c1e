"""The gold tables as assets: which source partitions each needs, and which transform makes it."""

from collections.abc import Callable
from datetime import date
from functools import partial
from typing import Any

import dagster as dg

from wanderbricks_assets.contracts import gold as contracts
from wanderbricks_assets.contracts.dagster_face import described
from wanderbricks_assets.contracts.source import SOURCE
from wanderbricks_assets.gold import bookings as booking_tables
from wanderbricks_assets.gold import dimensions
from wanderbricks_assets.gold import engagement as engagement_tables
from wanderbricks_assets.gold import reviews as review_tables
from wanderbricks_assets.gold.cleaning import accepted, rejected, rejected_without_day
from wanderbricks_assets.lazy import Table
from wanderbricks_assets.partitions import DAILY, LAST_3_YEARS, SAME_TIME, run_window
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.resources.source import FilesSource
from wanderbricks_assets.window import Window, midnight

DAILY_TABLE: dict[str, Any] = {"partitions_def": DAILY, "backfill_policy": dg.BackfillPolicy.single_run()}
LONGEST_LEAD_YEARS = 3  # a stay further ahead is a slip of the pen, and no reason for a calendar of centuries
SAME_DAY = dg.AssetIn(partition_mapping=SAME_TIME)
RECENT_YEARS = dg.AssetIn(partition_mapping=LAST_3_YEARS)
QUARANTINED = tuple(name for name, contract in SOURCE.items() if contract.time_column and name != "bookings")


@dg.asset(**described(contracts.DIM_PROPERTY, "gold"))
def dim_property(properties: Table, property_updates: Table, destinations: Table, hosts: Table) -> Table:
    known = {"destinations": accepted("destinations", destinations), "hosts": accepted("hosts", hosts)}
    return dimensions.dim_property(properties, property_updates, known)


@dg.asset(**described(contracts.DIM_USER, "gold"), deps=["bookings"])
def dim_user(lake: Lake, source: FilesSource, users: Table) -> dg.MaterializeResult:
    """The one table that is made of itself: it keeps the changes that it has seen."""
    count = lake.revise("dim_user", partial(dimensions.dim_user, users, seen_at=source.newest("bookings")))
    return dg.MaterializeResult(metadata={"dagster/row_count": count})


@dg.asset(**described(contracts.DIM_DESTINATION, "gold"))
def dim_destination(destinations: Table, countries: Table) -> Table:
    return dimensions.dim_destination(destinations, countries)


@dg.asset(**described(contracts.DIM_HOST, "gold"))
def dim_host(hosts: Table, dim_property: Table) -> Table:
    return dimensions.dim_host(hosts, dim_property)


@dg.asset(**described(contracts.DIM_DATE, "gold"))
def dim_date(dim_destination: Table, fact_booking_history: Table) -> Table:
    """The years of all stays, and one more on either side for look-backs and horizons."""
    stays = fact_booking_history
    stays = stays.filter(stays.check_in_date.year() <= stays.created_at.year() + LONGEST_LEAD_YEARS)
    stays = stays.aggregate(first=stays.check_in_date.min(), last=stays.check_in_date.max())
    years = stays.select(first=stays.first.year(), last=stays.last.year()).to_pandas()
    if years.isna().any(axis=None):
        raise ValueError("bookings holds no row that is believed, so there are no years to make a calendar of")
    countries = dim_destination.select("country", "country_code").distinct().order_by("country").to_pandas()
    first, last = date(int(years["first"][0]) - 1, 1, 1), date(int(years["last"][0]) + 1, 12, 31)
    return dimensions.dim_date(first, last, list(countries.itertuples(index=False, name=None)))


@dg.asset(
    **described(contracts.FACT_BOOKING_HISTORY, "gold"),
    **DAILY_TABLE,
    # An update may belong to a booking made long ago.
    ins={"bookings": RECENT_YEARS, "booking_updates": SAME_DAY},
)
def fact_booking_history(context: dg.AssetExecutionContext, bookings: Table, booking_updates: Table) -> Table:
    return booking_tables.fact_booking_history(bookings, booking_updates, run_window(context))


@dg.asset(
    **described(contracts.FACT_BOOKING_DETAIL, "gold"),
    **DAILY_TABLE,
    ins={
        # The state of a booking and its payments come later than the day it was made.
        "fact_booking_history": dg.AssetIn(partition_mapping=dg.AllPartitionMapping()),
    },
    deps=[dg.AssetDep("payments", partition_mapping=dg.AllPartitionMapping())],
)
def fact_booking_detail(
    context: dg.AssetExecutionContext,
    source: FilesSource,
    fact_booking_history: Table,
    dim_property: Table,
    dim_user: Table,
) -> Table:
    days = run_window(context)
    # None is paid before it is made: of thousands of files only those since then.
    payments = source.read("payments", Window(days.start, midnight(date.max), days.opens))
    return booking_tables.fact_booking_detail(fact_booking_history, payments, dim_property, dim_user, days)


@dg.asset(
    **described(contracts.FACT_BOOKING_DAILY, "gold"),
    **DAILY_TABLE,
    ins={"fact_booking_history": RECENT_YEARS},
    deps=[dg.AssetDep("payments", partition_mapping=LAST_3_YEARS)],
)
def fact_booking_daily(
    context: dg.AssetExecutionContext, source: FilesSource, fact_booking_history: Table, dim_property: Table
) -> Table:
    days, states = run_window(context), fact_booking_history
    oldest = states.created_at.min(where=days.contains(states.check_in_date)).to_pyarrow().as_py()
    payments = source.read("payments", Window(oldest or days.start, days.end))
    return booking_tables.fact_booking_daily(states, payments, dim_property, days)


@dg.asset(
    **described(contracts.FACT_PROPERTY_ENGAGEMENT, "gold"),
    **DAILY_TABLE,
    ins={"page_views": SAME_DAY, "clickstream": SAME_DAY, "bookings": SAME_DAY},
)
def fact_property_engagement(page_views: Table, clickstream: Table, bookings: Table) -> Callable:
    return partial(engagement_tables.fact_property_engagement, page_views, clickstream, bookings)


@dg.asset(
    **described(contracts.FACT_REVIEW, "gold"),
    **DAILY_TABLE,
    ins={"reviews": SAME_DAY},
)
def fact_review(context: dg.AssetExecutionContext, reviews: Table) -> Table:
    return review_tables.fact_review(reviews, run_window(context))


@dg.asset(
    **described(contracts.QUARANTINE, "gold"),
    **DAILY_TABLE,
    ins={"bookings": RECENT_YEARS, **dict.fromkeys(QUARANTINED, SAME_DAY)},
)
def quarantine(context: dg.AssetExecutionContext, source: FilesSource, bookings: Table, **sources: Table) -> Table:
    """An event without a time is told on the day of the folder that it lies in."""
    days = run_window(context)
    made = bookings.filter(days.contains(bookings.created_at))
    tables = {"bookings": made, **sources}
    known = {"bookings": accepted("bookings", bookings)}
    undated = (rejected(name, source.undated(name, days)) for name in tables)
    first, *others = (*(rejected(name, rows, known) for name, rows in tables.items()), *undated)
    return first.union(*others)


@dg.asset(**described(contracts.QUARANTINE_WITHOUT_DAY, "gold"), deps=list(SOURCE))
def quarantine_without_day(source: FilesSource) -> Table:
    """The tables without days, and what of the others has neither a time nor the folder of a day."""
    return rejected_without_day(
        {name: source.undated(name) if contract.time_column else source.read(name) for name, contract in SOURCE.items()}
    )
