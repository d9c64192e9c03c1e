"""The model card of a version: what a person should know before relying on it (Mitchell et al. 2019, FAT*)."""

from __future__ import annotations

import inspect
from datetime import datetime

from wanderbricks_assets.lazy import pd
from wanderbricks_assets.models.model import Evaluation, Model

WORST = 3  # slices shown of each kind


def model_card(model: Model, training: pd.DataFrame, evaluation: Evaluation, cutoff: datetime) -> str:
    """Markdown: data, method, metrics with baseline, where it is worst, limits. What the truth says is added by whoever
    knows it."""
    target, metric = model.target(), evaluation.metric
    others = evaluation.metrics
    others = pd.DataFrame({"metric": others.keys(), "value": [f"{value:.4g}" for value in others.values()]})
    return "\n".join(
        [
            f"# {model.name.replace('_', ' ').capitalize()}, as of {cutoff:%Y-%m-%d}",
            "",
            inspect.cleandoc(type(model).__doc__ or ""),
            "",
            f"**Data.** {', '.join(model.reads)}, as known at {cutoff:%Y-%m-%d %H:%M} UTC; "
            f"{len(training):,} training rows{_span(training)}.",
            f"**Evaluated on.** {len(evaluation.rows):,} predictions{_span(evaluation.rows)}, none by a model that "
            "had seen them.",
            f"**Method.** {'; '.join(f'{name} {value}' for name, value in model.params.items())}; seed {model.seed}.",
            f"**Target.** {target.metric} {target.sign} {target.bound:g}. Reached: {metric.value:.4g}, 90% interval "
            f"{metric.lower:.4g} to {metric.upper:.4g}. Naive baseline: {evaluation.baseline:.4g}.",
            f"**Calibration.** {'Holds' if evaluation.calibration.holds else 'Does not hold'}: "
            f"{evaluation.calibration.statement}.",
            f"**Limits.** {' '.join(model.limits)}",
            "",
            "## All metrics",
            "",
            others.to_markdown(index=False),
            *_worst(evaluation.slices),
        ]
    )


def _span(rows: pd.DataFrame) -> str:
    times = rows.select_dtypes("datetime")
    return f", {times.min().min():%Y-%m-%d} to {times.max().max():%Y-%m-%d}" if len(times.columns) else ""


def _worst(slices: pd.DataFrame) -> list[str]:
    if slices.empty:
        return []
    worst = slices.groupby("slice", sort=False).head(WORST)
    shown = worst.assign(metric=worst["metric"].map("{:.4g}".format))
    return ["", "## Where it is worst", "", shown.to_markdown(index=False)]
