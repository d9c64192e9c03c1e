"""Tables as Unity Catalog declares them, from their contracts: comments, keys, and what makes a feature table."""

from __future__ import annotations

from wanderbricks_assets.contracts.contract import Column, Contract
from wanderbricks_assets.contracts.features import FEATURES

AVAILABLE = "available_at"


def create_table(contract: Contract, schema: str) -> str:
    """The statement that makes the Delta table of a contract in a schema (catalog.schema), unless it is there.

    A primary key is declared where no part of it can be null; it informs and is not enforced, which the checks do. A
    feature table's key is timed by the moment from which a row may be used, not by the day that it describes: point-in-
    time lookups take rows up to the moment that is asked for, and a day's row is not known before the day has ended.
    """
    columns, key = [_column(column) for column in contract.columns], _key(contract)
    if not any(contract.column(name).nullable for name in key):
        parts = [f"`{name}`{' TIMESERIES' if name == AVAILABLE else ''}" for name in key]
        columns.append(f"CONSTRAINT {contract.name}_key PRIMARY KEY ({', '.join(parts)})")
    cut = f"\nCLUSTER BY ({contract.time_column})" if contract.time_column else ""
    inside = ",\n  ".join(columns)
    return (
        f"CREATE TABLE IF NOT EXISTS {schema}.{contract.name} (\n  {inside}\n)\n"
        f"USING DELTA{cut}\nCOMMENT {_quoted(contract.description)}"
    )


def _key(contract: Contract) -> list[str]:
    if contract.name not in FEATURES:
        return list(contract.key)
    return [*(name for name in contract.key if name != contract.time_column), AVAILABLE]


def _column(column: Column) -> str:
    unit = f" [{column.unit}]" if column.unit else ""
    comment = f" COMMENT {_quoted((column.description + unit).strip())}" if column.description or unit else ""
    return f"`{column.name}` {_type(column)}{'' if column.nullable else ' NOT NULL'}{comment}"


def _type(column: Column) -> str:
    from ibis.backends.sql.datatypes import DatabricksType
    from ibis.expr.datatypes import dtype

    return DatabricksType.to_string(dtype(column.type))


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
