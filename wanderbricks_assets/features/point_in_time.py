"""The point-in-time join: what a feature table said at the moment of each row, and nothing that it said later."""

from __future__ import annotations

from datetime import timedelta

from wanderbricks_assets.contracts.contract import Contract
from wanderbricks_assets.contracts.features import KEYS_AND_TIME
from wanderbricks_assets.lazy import Table, ibis


def as_of(
    rows: Table,
    features: Table,
    contract: Contract,
    moment: str,
    time_to_live: timedelta | None = None,
    prefix: str = "",
) -> Table:
    """Add to each row the features of its entity as they were available at its moment.

    rows: has the contract's entity column (property_id or user_id) and a timestamp column named `moment`.
    The features are those of the latest row with available_at <= moment, null where there is none or where it is older
    than `time_to_live`. Columns that grow with the calendar are brought up to the moment. `prefix` is put before the
    names of the features, for tables that share names.
    """
    entity = contract.key[0]
    # A running maximum instead of an as-of join, which Ibis does not have on Spark.
    marks = features.select(entity, at="available_at", available_at="available_at").union(
        rows.select(entity, at=moment, available_at=ibis.null("timestamp")).distinct()
    )
    # Available at the very moment counts, so feature rows come before the rows that ask.
    so_far = ibis.cumulative_window(group_by=entity, order_by=["at", marks.available_at.isnull()])
    latest = marks.mutate(latest=marks.available_at.max().over(so_far))
    latest = latest.filter(latest.available_at.isnull()).select(entity, "at", "latest")
    if time_to_live is not None:
        fresh = latest.latest >= latest.at - ibis.interval(time_to_live)
        latest = latest.mutate(latest=fresh.ifelse(latest.latest, None))
    found = latest.join(features, (latest[entity] == features[entity]) & (latest.latest == features.available_at))
    age = (found.at.date() - found.available_at.date()).cast("int64")
    values = {
        prefix + column.name: found[column.name] + age if column.grows_daily else found[column.name]
        for column in contract.columns
        if column.name not in KEYS_AND_TIME
    }
    found = found.select(entity, "at", **values)
    return rows.left_join(found, [entity, (rows[moment], found.at)]).drop(f"{entity}_right", "at")
