"""The model card of a version: what a person should know before relying on it (Mitchell et al. 2019, FAT*)."""

from __future__ import annotations

import inspect
from datetime import datetime

from wanderbricks_assets.lazy import pd
from wanderbricks_assets.models.model import Model, Scores

WORST = 3  # slices shown of each kind


def model_card(model: Model, training: pd.DataFrame, scores: Scores, cutoff: datetime) -> str:
    """Markdown: data, method, metrics with baseline, where it is worst, limits. The floor is added by whoever knows the
    truth."""
    target, metric = model.target(), scores.metric
    times = training.select_dtypes("datetime")
    span = f", {times.min().min():%Y-%m-%d} to {times.max().max():%Y-%m-%d}" if len(times.columns) else ""
    others = pd.DataFrame({"metric": scores.metrics.keys(), "value": [f"{x:.4g}" for x in scores.metrics.values()]})
    return "\n".join(
        [
            f"# {model.name.replace('_', ' ').capitalize()}, as of {cutoff:%Y-%m-%d}",
            "",
            inspect.cleandoc(type(model).__doc__ or ""),
            "",
            f"**Data.** {', '.join(model.reads)}, as known at {cutoff:%Y-%m-%d %H:%M} UTC; "
            f"{len(training):,} training rows{span}.",
            f"**Method.** {'; '.join(f'{name} {value}' for name, value in model.params.items())}; seed {model.seed}.",
            f"**Target.** {target.metric} {target.sign} {target.bound:g}. Reached: {metric.value:.4g}, 90% interval "
            f"{metric.lower:.4g} to {metric.upper:.4g}. Naive baseline: {scores.baseline:.4g}.",
            f"**Calibration.** {'Holds' if scores.calibration.holds else 'Does not hold'}: "
            f"{scores.calibration.statement}.",
            f"**Limits.** {' '.join(model.limits)}",
            "",
            "## All metrics",
            "",
            others.to_markdown(index=False),
            *_worst(scores.slices),
        ]
    )


def _worst(slices: pd.DataFrame) -> list[str]:
    if slices.empty:
        return []
    worst = slices.groupby("slice", sort=False).head(WORST)
    shown = worst.assign(metric=worst["metric"].map("{:.4g}".format))
    return ["", "## Where it is worst", "", shown.to_markdown(index=False)]
