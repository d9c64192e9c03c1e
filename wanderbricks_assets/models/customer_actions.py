"""What to do about a customer, by the rules that marketing edits (rules/customer_actions.csv), one action per row."""

from functools import lru_cache
from pathlib import Path

from wanderbricks_assets.contracts.predictions import RISKS, SEGMENTS
from wanderbricks_assets.contracts.rules import CUSTOMER_ACTIONS
from wanderbricks_assets.rules.reading import read_rules, rules_file


def read_actions(folder: Path | None = None) -> dict[tuple[str, str], list[str]]:
    """The actions of each segment and churn risk, in the order of the file; `folder` as in `read_rules`.

    Raises ValueError, naming the file, the row and what to do, when a row cannot be understood or a case has no action.
    """
    file = rules_file(CUSTOMER_ACTIONS, folder)
    state = file.stat()
    return _read(file, folder, state.st_ino, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=1)
def _read(file: Path, folder: Path | None, *_: int) -> dict[tuple[str, str], list[str]]:
    """Kept while the file stays as it is: the service asks for every customer."""
    actions: dict[tuple[str, str], list[str]] = {(segment, risk): [] for segment in SEGMENTS for risk in RISKS}
    for rule in read_rules(CUSTOMER_ACTIONS, folder):
        actions[rule["segment"], rule["churn_risk"]].append(rule["action"])
    for (segment, risk), found in actions.items():
        if not found:
            raise ValueError(f"{file}: no action for {segment} customers of churn risk {risk}; add a row")
    return actions
