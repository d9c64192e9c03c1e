"""How good the models are, what serves and why, and how predictions have turned out since."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from wanderbricks_assets.lazy import Table, pd
from wanderbricks_assets.models.gates import verdicts
from wanderbricks_assets.models.lifecycle import judge
from wanderbricks_assets.models.registry import ModelRegistry
from wanderbricks_assets.models.versions import Registered
from wanderbricks_assets.targets import Target

SHOWN = 12  # versions of a model


@dataclass(frozen=True)
class Service:
    """The version that serves, if any, and a row for each of the newest versions."""

    serving: Registered | None
    versions: pd.DataFrame


def service(registry: ModelRegistry, target: Target) -> Service:
    """The versions: version, trained_until, value, lower, upper, promoted, decision; the newest SHOWN."""
    registered = registry.registered(target)
    version = registry.serving_version(target)
    rows = [
        {
            "version": one.version,
            "trained_until": pd.Timestamp(one.cutoff),
            **vars(registry.scores(one.run_id).metric),
            "promoted": one.promoted,
            "decision": one.decision or _why_not(registry, target, one),
        }
        for one in registered[:SHOWN]
    ]
    serving = next((one for one in registered if one.version == version), None)
    return Service(serving, pd.DataFrame(rows))


def _why_not(registry: ModelRegistry, target: Target, one: Registered) -> str:
    """Of a version without a decision on record: a gate that it misses ends its promotion before that decides."""
    failed = [verdict for verdict in verdicts(target, registry.scores(one.run_id), None) if not verdict.passed]
    reasons = "; ".join(dict.fromkeys(f"{verdict.gate}: {verdict.reason}" for verdict in failed))
    return f"Not promoted ({reasons})." if failed else "Not decided yet: it is promoted, or not, with the week's run."


def why_no_predictions(registry: ModelRegistry, target: Target) -> str:
    """A sentence: what must happen before the model's predictions are there."""
    candidate, version = registry.candidate(target), registry.serving_version(target)
    if candidate is None:
        return "It has not been trained yet; a week's training comes before the first prediction."
    if version is not None:
        return f"Version {version} serves and predicts with the next day's run."
    if candidate.refusal:
        return f"It could not be trained: {candidate.refusal}."
    failed = dict.fromkeys(verdict.reason for verdict in judge(target, candidate, registry) if not verdict.passed)
    if not failed:
        return "A version has passed its gates, and is let serve with the next week's run."
    return f"No version has passed its gates, and only such a version predicts. The newest: {'; '.join(failed)}."


def predicts_since(predictions: Table, version: str) -> date | None:
    """The first day for which a version predicted; None when it has not."""
    made = predictions.filter(predictions.model_version == version).prediction_date.min().to_pyarrow().as_py()
    return made + timedelta(days=1) if made else None


def realized(realized_accuracy: Table) -> pd.DataFrame:
    """All of realized_accuracy: day, model, metric, value, lower, upper, at_training, bound, reason; by day."""
    columns = ["day", "model", "metric", "value", "lower", "upper", "at_training", "bound", "reason"]
    found = realized_accuracy.select(columns).order_by("model", "metric", "day").to_pandas()
    return found.astype({"day": "datetime64[ns]"})
