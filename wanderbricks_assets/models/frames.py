"""Tables as the frames that models learn from, and evaluated rows in slices."""

from __future__ import annotations

from collections.abc import Callable

from wanderbricks_assets.lazy import Table, pd
from wanderbricks_assets.models.model import SLICE_COLUMNS


def frame(rows: Table, *order: str) -> pd.DataFrame:
    """The rows in an order, their dates as datetime64: Ibis gives objects, which take four times as long to make."""
    return rows.order_by(*order).to_pyarrow().to_pandas(date_as_object=False)


def sliced(
    losses: pd.Series, kinds: dict[str, pd.Series], metric: Callable[[float], float] = lambda mean: mean
) -> pd.DataFrame:
    """SLICE_COLUMNS, worst first: of each value of each kind of slice the `metric` of the mean loss of its rows.

    losses, kinds: of the same rows in the same order; smaller losses are better.
    """
    found = []
    for kind, values in kinds.items():
        means = losses.groupby(values.to_numpy()).agg(["mean", "size"])
        found += [(kind, str(value), int(rows), metric(mean)) for value, mean, rows in means.itertuples()]
    return pd.DataFrame(found, columns=SLICE_COLUMNS).sort_values("metric", ascending=False, ignore_index=True)
