"""Which source rows are believed. The rules come from the contracts; a row that breaks one goes to the quarantine with
the first reason that applies, and everything downstream sees the other rows only."""

from __future__ import annotations

from collections.abc import Mapping

from wanderbricks_assets.contracts.contract import Column, Contract
from wanderbricks_assets.contracts.source import SOURCE
from wanderbricks_assets.lazy import Table, ibis
from wanderbricks_assets.window import ON_THE_BOOKS

REASON = "quarantine_reason"


def judged(name: str, rows: Table, known: Mapping[str, Table] | None = None) -> Table:
    """The rows with the column `quarantine_reason`: null for rows that are believed.

    `known` holds the tables that references are checked against, by name (those of the contract that are not in it are
    not checked). An event cannot refer to one that comes later: a day would be judged otherwise once more is known.
    Nor to one of more than ON_THE_BOOKS before its day, which a run of that day does not look for.
    Keys are compared within the day of the row: a row delivered twice carries the same time, and looking for its twin
    in all of history would cost the history every day. A table without days is compared whole. A reference into an
    optional table that the source does not have says nothing against a row.
    """
    contract = SOURCE[name]
    reasons = [_broken_column(rows, column) for column in contract.columns]
    if "check_out" in rows.columns:
        reasons.append((rows.check_out < rows.check_in).ifelse("check_out before check_in", None))
    rows = rows.mutate(**{REASON: ibis.coalesce(*[reason for reason in reasons if reason is not None])})
    for column in contract.columns:
        if column.references and column.references.split(".")[0] in (known or {}):
            rows = _judge_reference(rows, contract, column, known)
    rows = _keep_one(rows, contract, contract.key, f"{' '.join(contract.key)} repeated")
    if name == "booking_updates":
        rows = _keep_one(rows, contract, ("booking_id", "updated_at"), "another update at the same moment")
    return rows


def accepted(name: str, rows: Table, known: Mapping[str, Table] | None = None) -> Table:
    """The rows that are believed, without the reason."""
    rows = judged(name, rows, known)
    return rows.filter(rows[REASON].isnull()).drop(REASON)


def rejected(name: str, rows: Table, known: Mapping[str, Table] | None = None) -> Table:
    """The rows that are not, in the columns of the quarantine table. Rows without a time may have a `day` instead."""
    contract = SOURCE[name]
    rows = judged(name, rows, known).filter(ibis._[REASON].notnull())
    times = [rows[column].cast("timestamp") for column in (contract.time_column, "day") if column in rows.columns]
    event_time = ibis.coalesce(ibis.null("timestamp"), *times)
    rows = rows.select(
        source_table=ibis.literal(name),
        event_time=event_time,
        reason=rows[REASON],
        row_key=ibis.literal("/").join([rows[key].cast("string").fill_null("null") for key in contract.key]),
        row=ibis.struct({column.name: rows[column.name] for column in contract.columns}).cast("json").cast("string"),
    )
    return rows.group_by(rows.columns).agg(copies=rows.count())


def rejected_without_day(tables: Mapping[str, Table]) -> Table:
    """The rows that are not believed and belong to no day: those of the tables that the source keeps as they stand
    (users, properties, ...), and of the event tables what is given of them."""
    known = {name: accepted(name, tables[name]) for name in ("users", "hosts", "destinations", "amenities")}
    known["properties"] = accepted("properties", tables["properties"], known)
    first, *others = (
        rejected(name, rows, None if SOURCE[name].time_column else known) for name, rows in tables.items()
    )
    return first.union(*others)


def _broken_column(rows: Table, column: Column) -> ibis.ir.StringValue | None:
    value = rows[column.name]
    cases = []
    if not column.nullable:
        cases.append((value.isnull(), f"{column.name} is null"))
    if column.minimum is not None:
        cases.append((value < column.minimum, f"{column.name} below {column.minimum:g}"))
    if column.maximum is not None:
        cases.append((value > column.maximum, f"{column.name} above {column.maximum:g}"))
    if column.allowed:
        cases.append((value.notin(column.allowed), f"{column.name} is none of {', '.join(column.allowed)}"))
    return ibis.cases(*cases, else_=None) if cases else None


def _judge_reference(rows: Table, contract: Contract, column: Column, known: Mapping[str, Table]) -> Table:
    name, key = column.references.split(".")
    there, time_column = known[name], SOURCE[name].time_column
    is_there = None if SOURCE[name].required else there.count().as_scalar() > 0
    since = there[time_column].min() if time_column else there.count()
    there = there.group_by(_key=there[key]).agg(_since=since)
    rows = rows.left_join(there, rows[column.name] == there._key)
    is_unknown = rows._since.isnull()
    if time_column:
        moment = rows[contract.time_column]
        oldest = moment.date().cast("timestamp") - ibis.interval(days=ON_THE_BOOKS.days)
        is_unknown |= (rows._since > moment) | (rows._since < oldest)
    if is_there is not None:
        is_unknown &= is_there
    reason = (rows[column.name].notnull() & is_unknown).ifelse(f"{column.name} is not in {name}", None)
    return rows.mutate(**{REASON: rows[REASON].coalesce(reason)}).drop("_key", "_since")


def _keep_one(rows: Table, contract: Contract, key: tuple[str, ...], reason: str) -> Table:
    """Give the reason to all but one of the believed rows of a key, in a table with days of a key and day.

    The one is the last by the contract's key and then by content, so the choice does not depend on the order of files.
    """
    content = [*contract.key, *(name for name in contract.schema.names if name not in contract.key)]
    day = [rows[contract.time_column].date()] if contract.time_column else []
    order = ibis.window(
        group_by=[rows[REASON].isnull(), *day, *(rows[column] for column in key)],
        order_by=[rows[name].desc() for name in content if name not in key and not rows[name].type().is_struct()],
    )
    is_extra = rows[REASON].isnull() & (ibis.row_number().over(order) > 0)
    return rows.mutate(**{REASON: is_extra.ifelse(reason, rows[REASON])})
