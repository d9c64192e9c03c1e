"""The classical model of customer value, to compare with: BG/NBD for how often, Gamma-Gamma for how much.

Both are fitted by maximum likelihood, without labels: of what a customer did until now only the count, the last time
and the mean value matter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass
from typing import Self

from wanderbricks_assets.lazy import np, pd


@dataclass(frozen=True)
class BgNbd:
    """Purchases come at a rate of one's own (gamma: r, alpha), and after each one the customer leaves for ever with a
    probability of one's own (beta: a, b): Fader, Hardie and Lee 2005, Marketing Science 24."""

    r: float
    alpha: float
    a: float
    b: float

    @classmethod
    def fit(cls, repeats: np.ndarray, recency: np.ndarray, age: np.ndarray) -> Self:
        """[customers] purchases after the first, and the time from the first to the last of them and to now."""
        from scipy.special import gammaln

        # The likelihood depends on counts through gammaln only: each of the few distinct ones is computed once.
        count, which = np.unique(repeats, return_inverse=True)
        repeated = repeats > 0

        def log_likelihood(parameters: np.ndarray) -> float:
            r, alpha, a, b = parameters
            by_count = gammaln(r + count) - gammaln(r) + r * np.log(alpha)
            by_count += gammaln(a + b) + gammaln(b + count) - gammaln(b) - gammaln(a + b + count)
            stayed = -(r + repeats) * np.log(alpha + age)
            left = np.log(a / (b + np.maximum(repeats, 1) - 1)) - (r + repeats) * np.log(alpha + recency)
            return (by_count[which] + np.where(repeated, np.logaddexp(stayed, left), stayed)).mean()

        return cls(*_most_likely(log_likelihood, 4))

    def expected(self, repeats: np.ndarray, recency: np.ndarray, age: np.ndarray, time: float) -> np.ndarray:
        """[customers] expected purchases in the next `time` (equation 10, after Euler's transformation of the
        hypergeometric function, which keeps it small for many purchases)."""
        from scipy.special import hyp2f1

        r, alpha, a, b = astuple(self)
        z = time / (alpha + age + time)
        rest = (1 - z) ** (a - 1) * hyp2f1(a + b - 1 - r, a - 1, a + b + repeats - 1, z)
        odds = a / (b + np.maximum(repeats, 1) - 1) * ((alpha + age) / (alpha + recency)) ** (r + repeats)
        return (a + b + repeats - 1) / (a - 1) * (1 - rest) / (1 + np.where(repeats > 0, odds, 0.0))


@dataclass(frozen=True)
class GammaGamma:
    """Values of one customer's purchases are gamma (shape p) about a mean of one's own (q, v), which tells nothing of
    how often: Fader and Hardie 2013, "The Gamma-Gamma model of monetary value"."""

    p: float
    q: float
    v: float

    @classmethod
    def fit(cls, count: np.ndarray, mean: np.ndarray) -> Self:
        """[customers] number of purchases (at least 1) and their mean value."""
        from scipy.special import gammaln

        unit = mean.mean()
        counts, which = np.unique(count, return_inverse=True)
        x, m = count, mean / unit

        def log_likelihood(parameters: np.ndarray) -> float:
            p, q, v = parameters
            by_count = gammaln(p * counts + q) - gammaln(p * counts) - gammaln(q)
            by_value = q * np.log(v) + (p * x - 1) * np.log(m) + p * x * np.log(x) - (p * x + q) * np.log(v + x * m)
            return (by_count[which] + by_value).mean()

        p, q, v = _most_likely(log_likelihood, 3)
        return cls(p, q, v * unit)

    def expected(self, count: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """[customers] expected value of a purchase; of customers without one (count 0) that of everybody."""
        p, q, v = astuple(self)
        return p * (v + np.where(count > 0, count * mean, 0.0)) / (p * count + q - 1)


def expected_spend(purchases: pd.DataFrame, time: float) -> np.ndarray:
    """[customers] expected purchases in the next `time`, times the expected value of one.

    purchases: repeats, recency, age (in the unit of `time`) and mean_value (NaN without a purchase).
    """
    repeats, recency, age, mean = purchases[["repeats", "recency", "age", "mean_value"]].to_numpy("float64").T
    count = np.where(np.isnan(mean), 0.0, repeats + 1)
    bought = (count > 0) & (mean > 0)
    often = BgNbd.fit(repeats, recency, age).expected(repeats, recency, age, time)
    return often * GammaGamma.fit(count[bought], mean[bought]).expected(np.where(bought, count, 0.0), mean)


def _most_likely(log_likelihood: Callable[[np.ndarray], float], count: int) -> np.ndarray:
    """The positive parameters of greatest likelihood, from 1 on, by their logarithms."""
    from scipy.optimize import minimize

    found = minimize(
        lambda logs: -log_likelihood(np.exp(logs)), np.zeros(count), method="L-BFGS-B", bounds=[(-7, 7)] * count
    )
    return np.exp(found.x)
