"""Whether what a model is given, and what it says, is distributed as it was when it was trained.

A reference is kept with every version: for each feature the bounds of ten bins with equal shares (or the levels of a
category) and the shares in them, of the very frame that the version would have predicted from at its cutoff. So a day
is compared with a day, made by the same function, and monitoring needs no training set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wanderbricks_assets.lazy import np, pd

BINS = 10
MOST_LEVELS = 30  # a text with more is a name, not a category
LARGE = 0.25  # population stability index that the field calls a major shift (Siddiqi 2006, Credit Risk Scorecards)
CHANCE = 0.001  # that two samples of one distribution differ by more than the bound of their sizes
# The grid that is predicted for is the same every day; the calendar and the age of the data move by themselves.
_NOT_FEATURES = ("horizon_days", "weight", "month", "week_of_year", "day_of_week", "age_weeks", "weeks_ago")
_FOR_PREDICTIONS = 1000  # rows that the reference of predictions is made of


@dataclass(frozen=True)
class Drift:
    """How far a feature has moved: the index, and the bound that chance and custom set for samples of these sizes."""

    psi: float
    bound: float

    @property
    def has_drifted(self) -> bool:
        return self.psi > self.bound


def reference(frame: pd.DataFrame) -> dict[str, dict]:
    """What `drifts` compares with, plain JSON: by feature `units`, `shares`, and `bounds` (numbers) or `levels`.

    Numbers, flags and texts of few levels are features; keys, dates and lists are not. The last share is that of
    missing values.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, values in frame.items():
        if name in _NOT_FEATURES or name.endswith("_id") or not len(frame):
            continue
        kind = values.dtype.kind
        if kind in "iuf":
            numbers = values.to_numpy(float)
            present = numbers[np.isfinite(numbers)]
            bounds = np.unique(np.quantile(present, np.linspace(0, 1, BINS + 1)[1:-1])) if len(present) else np.empty(0)
            found[name] = {"bounds": [float(bound) for bound in bounds]}
        elif kind in "bO" or isinstance(values.dtype, pd.CategoricalDtype | pd.StringDtype):
            levels = values.dropna()
            if len(levels) and isinstance(levels.iloc[0], list | dict | np.ndarray | tuple):
                continue
            levels = sorted(levels.astype(str).unique())
            if len(levels) > MOST_LEVELS:
                continue
            found[name] = {"levels": levels}
        else:
            continue
        found[name] |= {"units": _units(values), "shares": _shares(values, found[name]).tolist()}
    return found


def drifts(reference: Mapping[str, Mapping], frame: pd.DataFrame) -> dict[str, Drift]:
    """The population stability index of each feature of the reference, the greatest excess over its bound first.

    sum over bins of (q - p) ln(q / p). Under no change it is about chi-squared with bins - 1 degrees of freedom times
    (1/n + 1/m) (Yurdakul and Naranjo 2020, Journal of Risk Model Validation 14), so the bound is the greater of LARGE
    and that distribution's 1 - CHANCE quantile. n and m count independent rows. Half a row
    is added to each bin, as is usual for empty cells (Haldane 1956): the index is infinite at zero.
    """
    from scipy.stats import chi2

    found = {}
    for name, kept in reference.items():
        if name not in frame or not len(frame):
            continue
        before, now = np.array(kept["shares"]), _shares(frame[name], kept)
        used = (before > 0) | (now > 0)
        n, m, bins = kept["units"], _units(frame[name]), used.sum()
        p, q = (before[used] * n + 0.5) / (n + 0.5 * bins), (now[used] * m + 0.5) / (m + 0.5 * bins)
        noise = chi2.ppf(1 - CHANCE, max(bins - 1, 1)) * (1 / n + 1 / m)
        found[name] = Drift(float(((q - p) * np.log(q / p)).sum()), max(LARGE, float(noise)))
    return dict(sorted(found.items(), key=lambda item: item[1].bound - item[1].psi))


def sample(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows that predictions of a reference are made for: evenly spread, at most _FOR_PREDICTIONS."""
    return frame.iloc[:: max(len(frame) // _FOR_PREDICTIONS, 1)].reset_index(drop=True)


def _units(values: pd.Series) -> float:
    """How many independent rows the rows are worth: of a number that whole groups share, as figures of a destination,
    Kish's effective number of groups (1965, Survey Sampling); else all."""
    if values.dtype.kind != "f" or values.nunique() <= MOST_LEVELS:
        return float(len(values))
    sizes = values.value_counts().to_numpy(float)
    return float(sizes.sum() ** 2 / (sizes**2).sum())


def _shares(values: pd.Series, kept: Mapping) -> np.ndarray:
    """[bins + 1] shares of the rows: per bin or level, then of levels that are new, then of missing values."""
    if "bounds" in kept:
        numbers = values.to_numpy(float)
        is_there = np.isfinite(numbers)
        place = np.searchsorted(kept["bounds"], numbers[is_there], side="left")
        counts = np.bincount(place, minlength=len(kept["bounds"]) + 1)
    else:
        is_there = values.notna().to_numpy()
        place = pd.Index([*kept["levels"]]).get_indexer(values[is_there].astype(str))
        counts = np.bincount(np.where(place < 0, len(kept["levels"]), place), minlength=len(kept["levels"]) + 1)
    return np.append(counts, (~is_there).sum()) / len(values)
