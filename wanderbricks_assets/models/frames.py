"""Tables as the frames that models learn from, and evaluated rows in slices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

from wanderbricks_assets.lazy import Columns, Table, ibis, np, pd
from wanderbricks_assets.models.model import SLICE_COLUMNS


def frame(rows: Table, *order: str) -> pd.DataFrame:
    """The rows in an order, their dates as datetime64: Ibis gives objects, which take four times as long to make."""
    return rows.order_by(*order).to_pyarrow().to_pandas(date_as_object=False)


def stacked(columns: Columns, names: Sequence[str]) -> np.ndarray:
    """[rows, names] the named columns as float64."""
    matrix = np.empty((len(columns[names[0]]), len(names)))
    for at, name in enumerate(names):
        matrix[:, at] = columns[name]
    return matrix


def codes(values: Iterable[object], known: Sequence[object], unknown: float) -> np.ndarray:
    """[rows] the place of each value among the known ones, as float64; `unknown` of the others."""
    places = {value: at for at, value in enumerate(known)}
    return np.array([places.get(value, unknown) for value in values], "float64")


def standardized(x: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """[rows, columns] in deviations from the mean; a missing value counts as the mean."""
    z = (x - mean) / scale
    z[np.isnan(z)] = 0.0
    return z


def fixed_share(number: ibis.Value | pd.Series) -> ibis.Value | pd.Series:
    """A fixed number in [0, 1) for each whole number, spread evenly (multiplicative hashing: Knuth, volume 3, 6.4).

    Users and listings are sampled and split by it: the same ones every week, on every engine.
    """
    return (number % 2**31) * 2654435761 % 2**32 / 2**32


def sliced(
    rows: pd.DataFrame,
    kinds: Mapping[str, str],
    metric: Callable[[pd.DataFrame], float],
    worst: Literal["least", "greatest"],
) -> pd.DataFrame:
    """SLICE_COLUMNS, worst first: the metric of the rows with each value of a column.

    kinds: what each kind of slice is called, and its column. A slice of which the metric is NaN is left out.
    """
    found = [
        (kind, str(value), len(part), metric(part))
        for kind, column in kinds.items()
        for value, part in rows.groupby(column)
    ]
    slices = pd.DataFrame(found, columns=SLICE_COLUMNS).dropna(subset="metric")
    return slices.sort_values("metric", ascending=worst == "least", kind="stable", ignore_index=True)
