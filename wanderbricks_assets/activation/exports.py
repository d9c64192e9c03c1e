"""Tables as files for other systems: `<folder>/<table>/date=YYYY-MM-DD/<table>.parquet` and `.csv`.

A file holds the columns of the contract (docs/data-dictionary.md), in its order, sorted by its key: the same rows give
the same bytes.
"""

from __future__ import annotations

import uuid
from datetime import date
from pathlib import Path

from wanderbricks_assets.contracts.contract import Contract
from wanderbricks_assets.contracts.source import SOURCE
from wanderbricks_assets.lazy import Table

IDENTIFYING = frozenset(column.name for contract in SOURCE.values() for column in contract.columns if column.identifies)


def export(contract: Contract, rows: Table, day: date, folder: Path) -> list[Path]:
    """Write the rows of a day as Parquet and CSV; returns the two files.

    Each file comes whole: it is written beside its place and renamed, so a reader finds the old one or the new one, and
    a write that fails leaves the old one. Raises ValueError where the contract has a column that tells who a person is.
    """
    from pyarrow import csv, parquet

    check_exportable(contract)
    arrow = contract.conform(rows).order_by(list(contract.key)).to_pyarrow().cast(contract.arrow_schema)
    place = folder / contract.name / f"date={day}"
    place.mkdir(parents=True, exist_ok=True)
    writers = {"parquet": parquet.write_table, "csv": csv.write_csv}
    written = []
    for kind, write in writers.items():
        file, aside = place / f"{contract.name}.{kind}", place / f".{uuid.uuid4().hex}"
        try:
            write(arrow, aside)
            aside.replace(file)
        finally:
            aside.unlink(missing_ok=True)
        written.append(file)
    return written


def check_exportable(contract: Contract) -> None:
    """Raises ValueError where a column tells who a person is, or bears the name of one that does in the source."""
    telling = [column.name for column in contract.columns if column.identifies or column.name in IDENTIFYING]
    if telling:
        raise ValueError(f"{contract.name} is not exported: {', '.join(telling)} would tell who a person is")
