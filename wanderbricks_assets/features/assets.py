"""The three feature tables as assets: each gives how its rows of any window are made, so that no backfill is too long
for the memory."""

from collections.abc import Callable
from functools import partial

import dagster as dg

from wanderbricks_assets.contracts import features as contracts
from wanderbricks_assets.contracts.dagster_face import described
from wanderbricks_assets.features import engagement_features as by_hour
from wanderbricks_assets.features import property_features as by_property
from wanderbricks_assets.features import user_features as by_user
from wanderbricks_assets.lazy import Table
from wanderbricks_assets.partitions import (
    DAILY,
    HOURLY,
    LAST_3_YEARS,
    LAST_7_DAYS_OF_HOURS,
    SINCE_THE_BEGINNING,
)

SINGLE_RUN = dg.BackfillPolicy.single_run()
LAST_7_DAYS = dg.AssetIn(partition_mapping=LAST_7_DAYS_OF_HOURS)


@dg.asset(
    **described(contracts.PROPERTY_FEATURES, "features"),
    partitions_def=DAILY,
    backfill_policy=SINGLE_RUN,
    ins={
        "fact_booking_history": dg.AssetIn(partition_mapping=LAST_3_YEARS),
        "fact_review": dg.AssetIn(partition_mapping=SINCE_THE_BEGINNING),
    },
)
def property_features(
    dim_property: Table,
    dim_destination: Table,
    fact_booking_history: Table,
    fact_review: Table,
    property_images: Table,
) -> Callable:
    return partial(
        by_property.property_features, dim_property, dim_destination, fact_booking_history, fact_review, property_images
    )


@dg.asset(
    **described(contracts.USER_FEATURES, "features"),
    partitions_def=DAILY,
    backfill_policy=SINGLE_RUN,
    ins={"fact_booking_history": dg.AssetIn(partition_mapping=SINCE_THE_BEGINNING)},
)
def user_features(dim_user: Table, fact_booking_history: Table) -> Callable:
    return partial(by_user.user_features, dim_user, fact_booking_history)


@dg.asset(
    **described(contracts.ENGAGEMENT_FEATURES, "features"),
    partitions_def=HOURLY,
    backfill_policy=SINGLE_RUN,
    ins={"page_views": LAST_7_DAYS, "clickstream": LAST_7_DAYS, "bookings": LAST_7_DAYS},
)
def engagement_features(page_views: Table, clickstream: Table, bookings: Table) -> Callable:
    return partial(by_hour.engagement_features, page_views, clickstream, bookings)
