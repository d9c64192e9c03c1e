"""How bookings respond to a listing's price, where prices also follow demand.

Bookings y of a listing in a week are taken to have the mean exp(theta * log price + g(everything else)). With d the
residual of log price on everything else, and h the bookings that everything else lets expect, theta solves

    sum (y exp(-theta d) - h) d = 0,

the doubly robust score of a multiplicative mean (Robins, Mark, Newey 1992, Biometrics 48; Robins, Rotnitzky 2001,
Statistica Sinica 11): a small error in the model of prices or in the model of demand does not move it (Chernozhukov et
al. 2018, Econometrics Journal 21: orthogonal scores, cross-fitting). Zeros need no care.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, wraps
from pathlib import Path

from wanderbricks_assets.lazy import np, pd
from wanderbricks_assets.models.price_panel import CONTROLS

FOLDS = 3
SOON = 4  # weeks
_SWEEPS = 20  # alternating projections; the remainder is then far below the residual itself
_FEW_BOOKINGS = 4.0  # prior weight of a listing's rate, in bookings
_SHARED = {
    "learning_rate": 0.3,  # with so many TREES; more, smaller steps gave the same held-out deviance at twice the time
    "num_leaves": 15,
    # The independent draws of a price are its spells, not its weeks: small leaves would learn single spells.
    "min_data_in_leaf": 200,
    "max_bin": 63,
    "verbosity": -1,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,  # on so few rows a second thread mostly waits
}
TREES = 20


def one_thread(method: Callable) -> Callable:
    """Matrices this small are slower on many threads, and their last bits would differ by the number of cores."""

    @wraps(method)
    def limited(*args, **kwargs):
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1):
            return method(*args, **kwargs)

    return limited


def demand_model(rows: pd.DataFrame, rate: np.ndarray, seed: int):
    """Gradient boosting (Poisson) of weekly bookings on the controls, around each listing's own mean rate."""
    return _booster("poisson", rows, rows.bookings, seed, np.log(rate))


def listing_rate(rows: pd.DataFrame) -> pd.Series:
    """Mean weekly bookings per listing, drawn to those of its destination; indexed by property_id."""
    place = rows.groupby("destination").bookings.mean().clip(lower=1e-3)
    listing = rows.groupby("property_id").agg(
        bookings=("bookings", "sum"), weeks=("bookings", "size"), destination=("destination", "first")
    )
    usual = listing.destination.map(place)
    return (listing.bookings + _FEW_BOOKINGS) / (listing.weeks + _FEW_BOOKINGS / usual)


def residuals(panel: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The panel's weeks soon after a price was set, with `expected_bookings` (h) and `price_residual` (d).

    Later a low price has filled the calendar, and fewer bookings can come: the response of that price would seem small.

    Both models are fitted on other stretches of time than those they are applied to. Prices are centred per listing
    first (the within transformation: Clarke, Polselli 2025, Econometrics Journal), and the residual is centred per
    listing and per destination and week, weighted with h: an error of h that is shared by all weeks of a listing, or by
    all listings of a destination in a week, has no effect.
    """
    panel = panel[panel.weeks_since_set < SOON].reset_index(drop=True)
    rate = panel.property_id.map(listing_rate(panel)).to_numpy()
    log_price = panel.log_price.to_numpy()
    centred = log_price - panel.groupby("property_id").log_price.transform("mean").to_numpy()
    fold = _folds(panel)
    expected, residual = np.empty((2, len(panel)))
    for k in range(FOLDS):
        train, test = panel[fold != k], panel[fold == k]
        if test.empty:
            continue
        demand = demand_model(train, rate[fold != k], seed)
        price = _booster("regression", train, centred[fold != k], seed)
        expected[fold == k] = rate[fold == k] * demand.predict(_controls(test))
        residual[fold == k] = centred[fold == k] - price.predict(_controls(test))
    listing, _ = pd.factorize(panel.property_id)
    market = panel.groupby(["destination", "week"], sort=True).ngroup().to_numpy()
    for _ in range(_SWEEPS):
        for group in (market, listing):
            residual -= (np.bincount(group, expected * residual) / np.bincount(group, expected))[group]
    return panel.assign(expected_bookings=expected, price_residual=residual)


def _folds(panel: pd.DataFrame) -> np.ndarray:
    """Two stretches of time in each fold, so that no season is unknown to the others."""
    week = panel.weeks_ago.to_numpy() - panel.weeks_ago.min()
    return (week // -(-(week.max() + 1) // (2 * FOLDS))) % FOLDS


def _controls(rows: pd.DataFrame) -> np.ndarray:
    return rows[list(CONTROLS)].to_numpy(float)


def _booster(objective: str, rows: pd.DataFrame, target, seed: int, offset: np.ndarray | None = None):
    import lightgbm

    data = lightgbm.Dataset(_controls(rows), np.asarray(target, float), init_score=offset)
    return lightgbm.train(_SHARED | {"objective": objective, "seed": seed}, data, TREES)


@dataclass(frozen=True)
class Response:
    """The pooled elasticity with its standard error, clustered by listing, and what each listing alone says.

    listings: indexed by property_id; `estimate` (one Newton step from the pooled elasticity), `information` (1 / its
    variance if bookings were Poisson), and what elasticities may differ by: destination, property_type, position, size.
    """

    pooled: float
    standard_error: float
    listings: pd.DataFrame


def response(rows: pd.DataFrame) -> Response:
    """Solves the score on rows with residuals."""
    y, h, d = (rows[name].to_numpy() for name in ("bookings", "expected_bookings", "price_residual"))
    listing, ids = pd.factorize(rows.property_id)
    theta = 0.0
    for _ in range(50):
        weight = y * np.exp(-theta * d)
        step = ((weight - h) @ d) / (weight @ d**2)
        theta += float(np.clip(step, -1, 1))
        if abs(step) < 1e-10:
            break
    score = np.bincount(listing, (y * np.exp(-theta * d) - h) * d)
    information = np.bincount(listing, h * d**2)
    standard_error = float(np.sqrt(score @ score) / information.sum())
    listings = traits(rows.groupby("property_id", sort=False).tail(1)).set_index("property_id").loc[ids]
    listings = listings.assign(information=information, estimate=theta + score / np.maximum(information, 1e-12))
    return Response(theta, standard_error, listings[information > 1e-6])


def traits(rows: pd.DataFrame) -> pd.DataFrame:
    """What elasticities may differ by: place, type, price against the competition, and size."""
    return pd.DataFrame(
        {
            "property_id": rows.property_id,
            "destination": rows.destination,
            "property_type": rows.property_type,
            # Where price weighs linearly in a choice, as in a logit, the elasticity is in proportion to it.
            "position": rows.current_price / rows.competitor_price.fillna(rows.current_price),
            "size": np.log1p(rows.bedrooms.fillna(1)),
        }
    )


# Elasticities of lodging lie mostly between -0.5 and -3 (Crouch 1996): a spread of about 0.5, of three parts.
_SCALE = 0.3


@dataclass(frozen=True)
class Elasticities:
    """Elasticities of listings, shrunk by destination and type towards the whole (empirical Bayes).

    A listing's elasticity is that of the whole + its destination's part + its type's part + slopes on position and size
    + a rest of its own; the parts are normal around zero. `scales`: standard deviations of destination, property_type
    and listing, and `dispersion`, the variance of bookings over Poisson's; found by marginal likelihood.
    """

    levels: list[str]
    centre: list[float]  # position and size of the mean listing
    mean: np.ndarray  # [coefficients]
    covariance: np.ndarray  # [coefficients, coefficients]
    scales: dict[str, float]
    listings: pd.DataFrame  # of the Response: by property_id
    pooled: float
    standard_error: float

    @classmethod
    def fit(cls, response: Response) -> Elasticities:
        from scipy.optimize import minimize

        seen = response.listings
        levels = sorted({f"destination:{x}" for x in seen.destination} | {f"type:{x}" for x in seen.property_type})
        centre = [float(seen.position.mean()), float(seen["size"].mean())]
        design = _design(seen, levels, centre)

        def loss(logs: np.ndarray) -> float:
            return -_posterior(design, levels, seen, _scales(logs))[2]

        start, bounds = np.log([_SCALE, _SCALE, _SCALE, 1.0]), np.log([[0.02, 3.0]] * 3 + [[0.5, 5.0]])
        best = minimize(loss, start, method="L-BFGS-B", bounds=bounds)
        mean, covariance, _ = _posterior(design, levels, seen, _scales(best.x))
        return cls(levels, centre, mean, covariance, _scales(best.x), seen, response.pooled, response.standard_error)

    def of(self, rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """([rows] mean, [rows] standard deviation) of what is believed of rows that `traits` can read."""
        listing = traits(rows)
        design = _design(listing, self.levels, self.centre)
        group = design @ self.mean
        group_variance = ((design @ self.covariance) * design).sum(axis=1)
        own = self.listings.reindex(listing.property_id)
        spread = self.scales["listing"] ** 2
        share = spread / (spread + self.scales["dispersion"] / own.information.fillna(1e-12).to_numpy())
        mean = (1 - share) * group + share * own.estimate.fillna(0.0).to_numpy()
        return mean, np.sqrt((1 - share) ** 2 * group_variance + (1 - share) * spread)

    def save(self, file: Path) -> None:
        text = {"levels": self.levels, "centre": self.centre, "scales": self.scales}
        text |= {"pooled": self.pooled, "standard_error": self.standard_error}
        listings = {name: self.listings[name].to_numpy() for name in ("estimate", "information", "position", "size")}
        names = {name: self.listings[name].to_numpy(str) for name in ("destination", "property_type")}
        ids = self.listings.index.to_numpy()
        np.savez(file, text=json.dumps(text), mean=self.mean, covariance=self.covariance, ids=ids, **listings, **names)

    @classmethod
    def load(cls, file: Path) -> Elasticities:
        with np.load(file, allow_pickle=False) as saved:
            text = json.loads(str(saved["text"]))
            names = ("estimate", "information", "position", "size", "destination", "property_type")
            listings = pd.DataFrame({name: saved[name] for name in names}, index=saved["ids"])
            return cls(mean=saved["mean"], covariance=saved["covariance"], listings=listings, **text)

    def design(self, rows: pd.DataFrame) -> np.ndarray:
        """[rows, coefficients]: what `coefficients` are multiplied with to give elasticities by traits alone."""
        return _design(traits(rows), self.levels, self.centre)

    def coefficients(self, weights: np.ndarray) -> np.ndarray:
        """The mean coefficients if each of `listings` counted so many times (a bootstrap sample)."""
        return _posterior(self._design, self.levels, self.listings, self.scales, weights)[0]

    @cached_property
    def _design(self) -> np.ndarray:
        return _design(self.listings, self.levels, self.centre)


def _design(listing: pd.DataFrame, levels: list[str], centre: list[float]) -> np.ndarray:
    """[listings, 3 + levels]: 1, position, size, and indicators of destination and type."""
    index = pd.Index(levels)
    design = np.zeros((len(listing), 3 + len(levels)))
    design[:, 0] = 1.0
    design[:, 1] = listing.position - centre[0]
    design[:, 2] = listing["size"] - centre[1]
    for label in ("destination:" + listing.destination.astype(str), "type:" + listing.property_type.astype(str)):
        column = index.get_indexer(label)
        known = np.flatnonzero(column >= 0)
        design[known, 3 + column[known]] = 1.0
    return design


def _scales(logs: np.ndarray) -> dict[str, float]:
    """Dispersion may be below Poisson's: a night is sold only once."""
    destination, kind, listing, dispersion = (float(x) for x in np.exp(logs))
    return {"destination": destination, "property_type": kind, "listing": listing, "dispersion": dispersion}


def _posterior(
    design: np.ndarray,
    levels: list[str],
    seen: pd.DataFrame,
    scales: dict[str, float],
    weights: np.ndarray | float = 1.0,
) -> tuple[np.ndarray, np.ndarray, float]:
    """(mean, covariance of the coefficients, log marginal posterior density of the scales): a linear mixed model."""
    by_level = [scales["destination" if level.startswith("destination:") else "property_type"] for level in levels]
    prior = np.array([10.0, 1.0, 1.0, *by_level]) ** 2
    variance = scales["listing"] ** 2 + scales["dispersion"] / seen.information.to_numpy()
    estimate = seen.estimate.to_numpy()
    weighted = design * (weights / variance)[:, None]
    precision = design.T @ weighted + np.diag(1 / prior)
    pull = weighted.T @ estimate
    covariance = np.linalg.inv(precision)
    mean = covariance @ pull
    fit = (weights * estimate**2 / variance).sum() - pull @ mean
    size = np.log(variance).sum() + np.log(prior).sum() + np.linalg.slogdet(precision)[1]
    spreads = np.array([scales[name] for name in ("destination", "property_type", "listing")])
    # A Rayleigh prior keeps scales off zero, where they would claim certainty (after Chung et al. 2013, Psychometrika
    # 78).
    believed = np.log(spreads).sum() - (spreads**2).sum() / (2 * _SCALE**2)
    return mean, covariance, believed - 0.5 * (fit + size)
