"""What to do about a customer: the rules that marketing edits in customer_actions.csv, one action per row."""

import csv
from pathlib import Path

SEGMENTS = ("High Value", "Medium Value", "Low Value")
RISKS = ("Low", "Medium", "High")
ACTIONS_FILE = Path(__file__).with_suffix(".csv")
_COLUMNS = {"segment": SEGMENTS, "churn_risk": RISKS, "action": None}


def read_actions(file: Path = ACTIONS_FILE) -> dict[tuple[str, str], list[str]]:
    """The actions of each segment and churn risk, in the order of the file.

    Raises ValueError, naming the file, the row and what to do, when a row cannot be understood or a case has no action.
    """
    with file.open(encoding="utf-8-sig", newline="") as opened:
        reader = csv.DictReader(opened)
        if tuple(reader.fieldnames or ()) != tuple(_COLUMNS):
            found = ",".join(reader.fieldnames or ["nothing"])
            raise ValueError(f"{file}: the first row must be {','.join(_COLUMNS)} (found: {found})")
        actions: dict[tuple[str, str], list[str]] = {(segment, risk): [] for segment in SEGMENTS for risk in RISKS}
        for row in reader:
            segment, risk, action = (_checked(file, reader.line_num, row, column) for column in _COLUMNS)
            actions[segment, risk].append(action)
    for (segment, risk), found in actions.items():
        if not found:
            raise ValueError(f"{file}: no action for {segment} customers of churn risk {risk}; add a row")
    return actions


def _checked(file: Path, line: int, row: dict[str, str | None], column: str) -> str:
    value, allowed = (row[column] or "").strip(), _COLUMNS[column]
    if not value:
        raise ValueError(f"{file}, row {line}: {column} is empty; fill it in or delete the row")
    if allowed and value not in allowed:
        raise ValueError(f"{file}, row {line}: {column} '{value}' is none of {', '.join(allowed)}; correct it")
    return value
