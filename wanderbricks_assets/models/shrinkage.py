"""Estimates of many listings drawn towards their groups and traits: empirical Bayes with a linear mixed model.

`design` is [listings, 1 + traits + levels], `levels` names its last columns ("destination:..." or "type:..."), and
`seen` has each listing's `estimate` and `information`.
"""

from __future__ import annotations

from collections.abc import Iterator

from wanderbricks_assets.lazy import np, pd

# Elasticities of lodging lie mostly between -0.5 and -3 (Crouch 1996): a spread of about 0.5, of three parts.
_SCALE = 0.3
REFITS = 20  # of the scales, which take most of the time; each serves as many draws


def likeliest_scales(
    design: np.ndarray, levels: list[str], seen: pd.DataFrame, near: dict[str, float] | None = None
) -> dict[str, float]:
    """The scales of greatest marginal posterior density, looked for from `near` on."""
    from scipy.optimize import minimize

    def loss(logs: np.ndarray) -> float:
        return -posterior(design, levels, seen, _scales(logs))[2]

    start = np.log(list(near.values()) if near else [_SCALE, _SCALE, _SCALE, 1.0])
    bounds = np.log([[0.02, 3.0]] * 3 + [[0.5, 5.0]])
    return _scales(minimize(loss, start, method="L-BFGS-B", bounds=bounds).x)


def _scales(logs: np.ndarray) -> dict[str, float]:
    """Dispersion may be below Poisson's: a night is sold only once."""
    destination, kind, listing, dispersion = (float(x) for x in np.exp(logs))
    return {"destination": destination, "property_type": kind, "listing": listing, "dispersion": dispersion}


def posterior(
    design: np.ndarray,
    levels: list[str],
    seen: pd.DataFrame,
    scales: dict[str, float],
    fade_error: float = 0.0,
) -> tuple[np.ndarray, np.ndarray, float]:
    """(mean, covariance of the coefficients, log marginal posterior density of the scales).

    fade_error: relative standard error that all estimates share, by `elasticity.residuals`.
    """
    by_level = [scales["destination" if level.startswith("destination:") else "property_type"] for level in levels]
    prior = np.array([10.0, *[1.0] * (design.shape[1] - 1 - len(levels)), *by_level]) ** 2
    variance = scales["listing"] ** 2 + scales["dispersion"] / seen.information.to_numpy()
    estimate = seen.estimate.to_numpy()
    weighted = design / variance[:, None]
    precision = design.T @ weighted + np.diag(1 / prior)
    pull = weighted.T @ estimate
    covariance = np.linalg.inv(precision)
    mean = covariance @ pull
    fit = (estimate**2 / variance).sum() - pull @ mean
    size = np.log(variance).sum() + np.log(prior).sum() + np.linalg.slogdet(precision)[1]
    spreads = np.array([scales[name] for name in ("destination", "property_type", "listing")])
    # A Rayleigh prior keeps scales off zero, where they would claim certainty (after Chung et al. 2013, Psychometrika
    # 78).
    believed = np.log(spreads).sum() - (spreads**2).sum() / (2 * _SCALE**2)
    return mean, covariance + fade_error**2 * np.outer(mean, mean), believed - 0.5 * (fit + size)


def draws(
    design: np.ndarray,
    levels: list[str],
    seen: pd.DataFrame,
    scales: dict[str, float],
    fade_error: float,
    count: int,
    seed: int,
) -> Iterator[tuple[np.ndarray, float]]:
    """`count` times (coefficients, scale of listings).

    The scales are those that are likeliest for listings drawn with replacement, and the coefficients are drawn from
    what all listings say, given these scales (empirical Bayes intervals by the bootstrap: Laird, Louis 1987, Journal of
    the American Statistical Association 82).
    """
    rng = np.random.default_rng(seed)
    for refit in range(REFITS):
        again = rng.integers(0, len(seen), len(seen))
        drawn = likeliest_scales(design[again], levels, seen.iloc[again], scales)
        mean, covariance, _ = posterior(design, levels, seen, drawn, fade_error)
        root = np.linalg.cholesky(covariance)
        for _ in range(refit, count, REFITS):
            yield mean + root @ rng.standard_normal(len(mean)), drawn["listing"]
