"""Predictions are made every day; people look at the newest."""

from __future__ import annotations

from datetime import date

from wanderbricks_assets.lazy import Table


def newest_day(predictions: Table) -> date | None:
    """The last day whose data the newest predictions know; None while there are none."""
    return predictions.prediction_date.max().to_pyarrow().as_py()


def newest(predictions: Table) -> Table:
    """The predictions of the newest day."""
    return predictions.filter(predictions.prediction_date == predictions.prediction_date.max().as_scalar())
