"""Backtests of a home's tables."""

from dataclasses import dataclass
from datetime import date

import pandas as pd

from wanderbricks_assets.models.all import MODELS


@dataclass(frozen=True)
class BacktestResult:
    model: str
    origins: list[date]
    rows: pd.DataFrame  # method, horizon, metric, value

    def as_json(self) -> dict[str, object]:
        return {
            "model": self.model,
            "origins": [origin.isoformat() for origin in self.origins],
            "rows": self.rows.to_dict("records"),
        }


def backtest_home(model: str, count: int, first: date | None, every: str) -> BacktestResult:
    """Backtest a model on the tables of this home, at `count` origins: from `first` on, or the last ones that are over."""
    raise NotImplementedError
