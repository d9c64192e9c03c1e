"""Backtests on the tables of a home."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from wanderbricks_assets.lazy import pd
from wanderbricks_assets.models.all import MODELS
from wanderbricks_assets.models.backtest import backtest, origins_from
from wanderbricks_assets.plain import plain
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.resources.source import FilesSource
from wanderbricks_assets.resources.tables import tables_until
from wanderbricks_assets.window import midnight

LONGEST_HORIZON = 90  # days after the last origin that must be over


@dataclass(frozen=True)
class BacktestResult:
    """rows: method, horizon (days), metric, value (percentage errors as fractions), lower, upper (90% interval)."""

    model: str
    origins: list[date]
    rows: pd.DataFrame

    def as_json(self) -> dict[str, object]:
        """Plain JSON: a number that is not finite is null."""
        return {
            "model": self.model,
            "origins": [origin.isoformat() for origin in self.origins],
            "rows": plain(self.rows.to_dict("records")),
        }


def backtest_home(
    name: str, lake: Lake, source: FilesSource, count: int, first: date | None, every: str
) -> BacktestResult:
    """Backtest a model at `count` origins: from `first` on, or the last ones whose 90 days are over.

    Raises ValueError for an unknown model or a home without tables.
    """
    if name not in MODELS:
        raise ValueError(f"there is no model '{name}'; the models are {', '.join(MODELS)}")
    last = lake.read("fact_booking_daily").check_in_date.max().to_pyarrow().as_py()
    if last is None:
        raise ValueError(f"{lake.place} holds no bookings yet: materialize the gold tables first (`wanderbricks run`)")
    if first is None:
        newest = pd.Timestamp(last) - pd.Timedelta(days=LONGEST_HORIZON - 1)
        first = (newest - pd.DateOffset(months=count - 1)).date()
    origins = origins_from(first, every, count)
    model = MODELS[name]
    tables = tables_until(model.reads, lake, source, moment=midnight(last + timedelta(days=1)))
    return BacktestResult(name, origins, backtest(model, tables, origins))
