"""How a table looks in Dagster: description, columns, key and owners, all from its contract."""

from typing import Any

import dagster as dg

from wanderbricks_assets.contracts.contract import Column, Contract

DATA_TEAM = "team:data-platform"


def described(
    contract: Contract, group: str, owners: tuple[str, ...] = (DATA_TEAM,), kind: str = "delta"
) -> dict[str, Any]:
    """The keyword arguments that an asset or an AssetSpec of this table shares."""
    return {
        "key": contract.name,
        "group_name": group,
        "description": contract.description,
        "owners": list(owners),
        "kinds": {kind},
        "metadata": {
            "dagster/column_schema": dg.TableSchema(columns=[_column(column) for column in contract.columns]),
            "dagster/table_name": contract.name,
            "key": ", ".join(contract.key),
        },
    }


def _column(column: Column) -> dg.TableColumn:
    bounds = [
        f"{sign} {bound:g}" for sign, bound in ((">=", column.minimum), ("<=", column.maximum)) if bound is not None
    ]
    if column.allowed:
        bounds.append("one of " + ", ".join(column.allowed))
    if column.references:
        bounds.append(f"in {column.references}")
    description = column.description + (f" [{column.unit}]" if column.unit else "")
    return dg.TableColumn(
        column.name,
        column.type,
        description=description.strip() or None,
        constraints=dg.TableColumnConstraints(nullable=column.nullable, other=bounds),
    )
