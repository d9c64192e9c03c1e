"""What the tests of decisions run in processes of their own."""

from datetime import datetime, timedelta
from multiprocessing.synchronize import Barrier

from wanderbricks_assets.activation.decisions import Decision, record_decisions
from wanderbricks_assets.resources.lake import Lake


def decide_together(together: Barrier, folder: str, decisions: list[Decision], who: str, decided_at: datetime) -> None:
    """One commit per decision, begun at the same moment as another process."""
    together.wait(timeout=60)
    for number, decision in enumerate(decisions):
        record_decisions(Lake(folder=folder), [decision], who, decided_at + timedelta(seconds=number))
