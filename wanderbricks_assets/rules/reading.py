"""Rules that marketing edits: as packaged, or the edited copy in the home. They are checked whenever they are read."""

import csv
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wanderbricks_assets.contracts.contract import Column, Contract
from wanderbricks_assets.contracts.rules import RULES
from wanderbricks_assets.settings import settings

PACKAGED = Path(__file__).parent
_OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs"}  # as spreadsheets write where the comma is the decimal point
ROW = "row"  # where a rule stands in its file, counted as spreadsheets do


def rules_file(contract: Contract, folder: Path | None = None) -> Path:
    """The edited copy in `folder` (the home's rules), or the packaged file where there is none."""
    edited = (folder or settings().rules_folder) / f"{contract.name}.csv"
    return edited if edited.exists() else PACKAGED / f"{contract.name}.csv"


def read_rules(contract: Contract, folder: Path | None = None) -> list[dict[str, Any]]:
    """The rules in the order of the file, each with its values in the contract's types and its ROW.

    Raises ValueError, naming the file and for every mistake the row, what was found and what to do: a column that is
    unknown or missing, a value that is empty, of another type or out of range, a key that comes twice.
    """
    file = rules_file(contract, folder)
    names = contract.schema.names
    with file.open(encoding="utf-8-sig", newline="") as opened:
        try:
            lines = list(csv.reader(opened))
        except (UnicodeDecodeError, csv.Error) as error:
            raise ValueError(f"{file}: not readable as CSV ({error}); save it as CSV UTF-8, with commas") from error
    head = [cell.strip() for cell in lines[0]] if lines else []
    if head != list(names):
        found = ",".join(head) or "nothing"
        between = next((name for sign, name in _OTHER_SEPARATORS.items() if sign in found and "," not in found), None)
        hint = f"; it has {between} between its values, so save it with commas" if between else ""
        raise ValueError(f"{file}, row 1: the first row must be {','.join(names)} (found: {found}){hint}")
    mistakes: list[str] = []
    rules: list[dict[str, Any]] = []
    rows: dict[tuple, int] = {}
    for number, cells in enumerate(lines[1:], start=2):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(names):
            found = f"{len(cells)} values, and the columns are {len(names)}"
            mistakes.append(f"row {number}: {found} (found: {','.join(cells)}); put commas right")
            continue
        rule = {ROW: number}
        for column, cell in zip(contract.columns, cells, strict=True):
            rule[column.name], wrong = _read(column, cell.strip())
            mistakes += [f"row {number}: {column.name} {reason}" for reason in wrong]
        key = tuple(rule[name] for name in contract.key)
        if key in rows:
            said = ", ".join(str(value) for value in key)
            mistakes.append(f"row {number}: {said} stands in row {rows[key]} already; delete one of them")
        rows.setdefault(key, number)
        rules.append(rule)
    if mistakes:
        raise ValueError(f"{file}, " + "\n".join(mistakes))
    if not rules:
        raise ValueError(f"{file}, row 2: no rule (found: only the first row); add one, or delete the file to use ours")
    return rules


def copy_for_editing(folder: Path | None = None) -> list[Path]:
    """Put the packaged rules where they can be edited; returns the files that were not there yet."""
    folder = folder or settings().rules_folder
    folder.mkdir(parents=True, exist_ok=True)
    missing = [name for name in RULES if not (folder / f"{name}.csv").exists()]
    return [Path(shutil.copyfile(PACKAGED / f"{name}.csv", folder / f"{name}.csv")) for name in missing]


def _read(column: Column, cell: str) -> tuple[Any, list[str]]:
    """The value of a cell, and what is wrong with it."""
    if not cell:
        return None, ["is empty; fill it in or delete the row"]
    if column.allowed and cell not in column.allowed:
        return cell, [f"'{cell}' is none of {', '.join(column.allowed)}; correct it"]
    if column.type == "string":
        return cell, []
    value = _number(cell, whole=column.type == "int64")
    if value is None:
        kind = "a whole number" if column.type == "int64" else "a number like 0.05"
        return cell, [f"'{cell}' is not {kind}; correct it"]
    return value, list(_out_of_range(column, value))


def _number(cell: str, whole: bool) -> float | int | None:
    try:
        value = int(cell) if whole else float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _out_of_range(column: Column, value: float) -> Iterator[str]:
    if column.minimum is not None and value < column.minimum:
        yield f"{value:g} is below {column.minimum:g}; correct it"
    if column.maximum is not None and value > column.maximum:
        yield f"{value:g} is above {column.maximum:g}; correct it"
