"""What a forecaster who knows the simulator's true probabilities would reach on the rows that a model was evaluated on.

Only the scoreboard and the benchmark read the truth, and only a simulated source has one.
"""

from wanderbricks_assets.models.model import Evaluation
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.resources.source import FilesSource


def floor(model: str, evaluation: Evaluation, lake: Lake, source: FilesSource) -> float | None:
    """The floor of a model's metric; None where the source has no truth."""
    return None
