"""The data dictionary, written from the contracts: `python -m wanderbricks_assets.contracts.dictionary > FILE`."""

import sys

from wanderbricks_assets.contracts.activation import ACTIVATION
from wanderbricks_assets.contracts.contract import Column, Contract
from wanderbricks_assets.contracts.features import FEATURES
from wanderbricks_assets.contracts.gold import GOLD
from wanderbricks_assets.contracts.monitoring import MONITORING
from wanderbricks_assets.contracts.predictions import PREDICTIONS
from wanderbricks_assets.contracts.rules import RULES
from wanderbricks_assets.contracts.source import SOURCE

_PARTS = {
    "Source: the marketplace's own tables": SOURCE,
    "Gold": GOLD,
    "Features": FEATURES,
    "Predictions": PREDICTIONS,
    "Monitoring": MONITORING,
    "Activation": ACTIVATION,
    "Rules: CSV files that marketing edits": RULES,
}


def data_dictionary() -> str:
    """All tables as Markdown. Times are UTC; money is in the marketplace's one currency."""
    parts = [
        "# Data dictionary\n\nWritten from the contracts by `python -m wanderbricks_assets.contracts.dictionary`. "
        "Times are UTC; money is in the marketplace's one currency.\n"
    ]
    for title, contracts in _PARTS.items():
        parts.append(f"## {title}\n")
        parts += [_table(contract) for contract in contracts.values()]
    return "\n".join(parts)


def _table(contract: Contract) -> str:
    lines = [f"### {contract.name}\n", f"{contract.description} Key: {', '.join(contract.key)}."]
    if contract.time_column:
        lines[-1] += f" Partitions by {contract.time_column}."
    lines += [
        "",
        "| column | type | unit | meaning |",
        "|---|---|---|---|",
        *(_row(column) for column in contract.columns),
    ]
    return "\n".join(lines) + "\n"


def _row(column: Column) -> str:
    rules = [] if column.nullable else ["never null"]
    if column.minimum is not None:
        rules.append(f"at least {column.minimum:g}")
    if column.maximum is not None:
        rules.append(f"at most {column.maximum:g}")
    if column.allowed:
        rules.append("one of " + ", ".join(column.allowed))
    if column.references:
        rules.append(f"in {column.references}")
    if column.identifies:
        rules.append("identifies a person: never exported")
    meaning = column.description + (f" ({'; '.join(rules)})" if rules else "")
    return f"| {column.name} | {column.type} | {column.unit or ''} | {meaning.strip()} |"


if __name__ == "__main__":
    sys.stdout.write(data_dictionary())
