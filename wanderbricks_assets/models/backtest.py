"""Backtests: how good a method would have been at past origins, beside simpler ones. Nothing is registered."""

from __future__ import annotations

from datetime import date, timedelta

from wanderbricks_assets.lazy import pd
from wanderbricks_assets.models.model import Model, Tables

COLUMNS = ["method", "horizon", "metric", "value", "lower", "upper"]


def backtest(model: type[Model], tables: Tables, origins: list[date]) -> pd.DataFrame:
    """Fit and evaluate a model and its baselines at each origin, on what was known there.

    Returns method, horizon (days), metric, value: means over the origins; lower, upper: their 90% intervals, NaN where
    a model gives none. A model takes part by a class method `backtest(tables, origins)` that gives this table.
    Raises NotImplementedError for a model that has none, and CannotLearn for origins that the data do not reach.
    """
    run = getattr(model, "backtest", None)
    if run is None:
        raise NotImplementedError(
            f"{model.name} is no forecast in time and has no backtest; its evaluation is already out of time"
        )
    return run(tables, sorted(origins)).reindex(columns=COLUMNS)


def origins_from(first: date, every: str, count: int) -> list[date]:
    """`count` origins from `first` on, a `week` or a calendar `month` apart."""
    if every not in ("week", "month"):
        raise ValueError(f"origins can be a 'week' or a 'month' apart, not '{every}'")
    if every == "week":
        return [first + timedelta(weeks=number) for number in range(count)]
    return [(pd.Timestamp(first) + pd.DateOffset(months=number)).date() for number in range(count)]
