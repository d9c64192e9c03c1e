"""How sure a metric is: the bootstrap over whole units (users, customers), whose rows belong together."""

from __future__ import annotations

from collections.abc import Callable

from wanderbricks_assets.lazy import np
from wanderbricks_assets.models.model import Interval


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
