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
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from wanderbricks_assets.lazy import Columns, np, pd
from wanderbricks_assets.models.frames import stacked
from wanderbricks_assets.models.model import CannotLearn
from wanderbricks_assets.models.price_panel import CONTROLS
from wanderbricks_assets.models.shrinkage import draws, likeliest_scales, posterior

FOLDS = 3
SURE = 1.645  # standard deviations: 90% of a normal distribution lies within
VERY_SURE = 2.58  # standard errors: a true model exceeds them once in a hundred times
# To learn from; of more, every so manyth week: neighbours share a price and most of their calendar.
ENOUGH_ROWS = 60_000
# Weeks since the price was set: not the week of the change itself, which has bookings at both prices, by guests who
# began to look before it, and up to a quarter, after which most prices were set anew.
SETTLED = (1, 12)
# Of the variance of a listing's log price. With less, errors of the two models are no longer small beside what is left.
LEAST_LEFT = 0.2
_SWEEPS = 20  # alternating projections; the remainder is then far below the residual itself
_NEWTON_STEPS = 30
_MOST_FADE = 0.5 / SETTLED[1]  # half of the response, at the end
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
    """The panel's weeks with a SETTLED price, with `expected_bookings` (h) and `price_residual` (d).

    As weeks pass a low price fills the calendar and fewer bookings can come, so its response fades. d is the residual
    times 1 - fade * weeks since the price was set, so that theta is the response when the calendar is as it was then;
    `fade_error` is the relative standard error that the fade brings to every elasticity.

    Both models are fitted on other stretches of time than those they are applied to. Prices are centred per listing
    first (the within transformation: Clarke, Polselli 2025, Econometrics Journal). h is scaled to what each listing had
    in all its weeks, as in a Poisson regression with fixed effects (Hausman, Hall, Griliches 1984, Econometrica 52): a
    rate drawn towards the usual would make listings that are seldom booked seem to mind a price less than they do.
    Listings never booked say nothing and are left out. The residual is centred per
    listing and per destination and week, weighted with h: an error of h that is shared by all weeks of a listing, or by
    all listings of a destination in a week, has no effect.
    """
    panel = panel[panel.weeks_since_set.between(*SETTLED)].reset_index(drop=True)
    rate = panel.property_id.map(listing_rate(panel)).to_numpy()
    log_price = panel.log_price.to_numpy()
    centred = log_price - panel.groupby("property_id").log_price.transform("mean").to_numpy()
    fold = _folds(panel)
    expected, residual = np.empty((2, len(panel)))
    thin = panel.weeks_ago.to_numpy() % -(-len(panel) // ENOUGH_ROWS) == 0
    for k in range(FOLDS):
        test = panel[fold == k]
        if test.empty:
            continue
        learn = (fold != k) & thin
        demand = demand_model(panel[learn], rate[learn], seed)
        price = _booster("regression", panel[learn], centred[learn], seed)
        expected[fold == k] = rate[fold == k] * demand.predict(_controls(test))
        residual[fold == k] = centred[fold == k] - price.predict(_controls(test))
    panel = panel.assign(expected_bookings=expected, price_residual=residual)
    sums = panel.groupby("property_id")[["bookings", "expected_bookings"]].transform("sum")
    panel["expected_bookings"] *= sums.bookings / sums.expected_bookings
    panel = panel[sums.bookings > 0].reset_index(drop=True)
    expected, residual = panel.expected_bookings.to_numpy(), panel.price_residual.to_numpy()
    listing, _ = pd.factorize(panel.property_id)
    market = panel.groupby(["destination", "week"], sort=True).ngroup().to_numpy()

    def centred_by_group(values: np.ndarray) -> np.ndarray:
        values = values.copy()
        for _ in range(_SWEEPS):
            for group in (market, listing):
                values -= (np.bincount(group, expected * values) / np.bincount(group, expected))[group]
        return values

    residual, own = (
        centred_by_group(residual),
        panel.log_price - panel.groupby("property_id").log_price.transform("mean"),
    )
    left = _share_left(residual, own, listing, market, panel.destination.nunique())
    if left < LEAST_LEFT:
        raise CannotLearn(
            f"listed prices only follow demand: season, market, demand and occupancy explain {1 - left:.0%} of how a "
            f"listing's price changes (at most {1 - LEAST_LEFT:.0%} may be), so an answer to the price cannot be told "
            "from what moved the price"
        )
    later = centred_by_group(residual * panel.weeks_since_set.to_numpy())
    fade, error = _fade(panel.bookings.to_numpy(), expected, residual, later, listing)
    return panel.assign(price_residual=residual - fade * later, fade_error=error)


def _share_left(
    residual: np.ndarray, own: np.ndarray, listing: np.ndarray, market: np.ndarray, destinations: int
) -> float:
    """The variance of the residual over that of a listing's own prices, each per degree of freedom.

    Centring takes one from each listing and from each destination and week, but for one per destination, which both
    share. Where destinations have few listings that is much: without it a small market would seem to follow demand.
    """
    listings, markets = len(np.unique(listing)), len(np.unique(market))
    free = len(residual) - listings - markets + destinations
    if free <= 0:
        raise CannotLearn(
            f"{len(residual)} weeks with a settled price, of {listings} listings in {destinations} destinations, are "
            "too few to tell what moves a price from how bookings answer it"
        )
    return float((residual @ residual / free) / (own @ own / (len(own) - listings)))


def _fade(y: np.ndarray, h: np.ndarray, d: np.ndarray, later: np.ndarray, listing: np.ndarray) -> tuple[float, float]:
    """The share of the response lost per week, and the relative standard error it brings to the elasticity.

    Solves the score for theta * (d - fade * later); errors are clustered by listing.
    """
    x = np.column_stack([d, later])
    theta, errors = solved(y, h, x, listing)
    left = y * np.exp(-x @ theta) - h
    fade = float(np.clip(-theta[1] / theta[0], -_MOST_FADE, _MOST_FADE)) if theta[0] < 0 else 0.0
    alone = d - fade * later
    score = np.bincount(listing, left * alone)
    given = score @ score / (h @ alone**2) ** 2
    return fade, float(np.sqrt(max(errors[0] ** 2 - given, 0.0)) / abs(theta[0]))


def solved(y: np.ndarray, h: np.ndarray, x: np.ndarray, listing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The score's solution for the mean exp(x @ theta) and its standard errors, clustered by listing: [columns] each.

    y, h, listing (0 to the number of listings): [rows]; x: [rows, columns].
    """
    theta = np.zeros(x.shape[1])
    for _ in range(_NEWTON_STEPS):
        weight = y * np.exp(-x @ theta)
        step = np.linalg.lstsq(x.T @ (x * weight[:, None]), x.T @ (weight - h), rcond=None)[0]
        theta += np.clip(step, -1, 1)
    left = y * np.exp(-x @ theta) - h
    scores = np.column_stack([np.bincount(listing, left * column) for column in x.T])
    bread = np.linalg.pinv(x.T @ (x * h[:, None]))
    return theta, np.sqrt(np.diag(bread @ (scores.T @ scores) @ bread))


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

    fade_error: of `residuals`; part of the standard error.

    listings: indexed by property_id; `estimate` (one Newton step from the pooled elasticity), `information` (1 / its
    variance if bookings were Poisson), and what elasticities may differ by: destination, property_type and TRAITS, as
    they were in the weeks that `estimate` comes from (means weighted with what each week tells).
    """

    pooled: float
    standard_error: float
    fade_error: float
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
    fade_error = float(rows.fade_error.iloc[0]) if "fade_error" in rows else 0.0
    standard_error = float(np.hypot(np.sqrt(score @ score) / information.sum(), fade_error * theta))
    weighed = pd.DataFrame(traits(rows))
    for name in TRAITS:
        weighed[name] = (
            np.bincount(listing, h * d**2 * weighed[name])[listing] / np.maximum(information, 1e-12)[listing]
        )
    listings = weighed.groupby("property_id", sort=False).tail(1).set_index("property_id").loc[ids]
    listings = listings.assign(information=information, estimate=theta + score / np.maximum(information, 1e-12))
    return Response(theta, standard_error, fade_error, listings[information > 1e-6])


def traits(rows: Columns) -> dict[str, np.ndarray]:
    """[rows] what elasticities may differ by: place, type, and TRAITS."""
    named = {name: np.asarray(rows[name]) for name in ("property_id", "destination", "property_type")}
    price, rivals, bedrooms = (
        np.asarray(rows[name], float) for name in ("current_price", "competitor_price", "bedrooms")
    )
    return named | {
        # Elasticities were as likely, on five simulated marketplaces, to be linear in the logarithm of the price
        # against the competition as in its square root, and less so in the price itself, as a plain logit has it.
        "position": 2 * (np.sqrt(price / np.where(np.isnan(rivals), price, rivals)) - 1),
        "size": np.log1p(np.where(np.isnan(bedrooms), 1, bedrooms)),
        "popularity": np.log(np.asarray(rows["popularity"])),
    }


TRAITS = ("position", "size", "popularity")


@dataclass(frozen=True)
class Elasticities:
    """Elasticities of listings, shrunk by destination and type towards the whole (empirical Bayes).

    A listing's elasticity is that of the whole + its destination's part + its type's part + slopes on TRAITS + a rest
    of its own; the parts are normal around zero. `scales`: standard deviations of destination, property_type and
    listing, and `dispersion`, the variance of bookings over Poisson's; found by marginal likelihood.
    """

    levels: list[str]
    centre: list[float]  # TRAITS of the mean listing
    mean: np.ndarray  # [coefficients]
    covariance: np.ndarray  # [coefficients, coefficients]
    scales: dict[str, float]
    listings: pd.DataFrame  # of the Response: by property_id
    pooled: float
    standard_error: float
    fade_error: float = 0.0  # of `residuals`; intervals need it, beliefs of a loaded version do not

    @classmethod
    def fit(cls, response: Response) -> Elasticities:
        upper = response.pooled + SURE * response.standard_error
        if not upper < 0:
            raise CannotLearn(
                f"the elasticity is {response.pooled:.1f} with a standard error of {response.standard_error:.1f}: "
                "whether a higher price brings fewer bookings cannot be read from these prices"
            )
        seen = response.listings
        levels = sorted({f"destination:{x}" for x in seen.destination} | {f"type:{x}" for x in seen.property_type})
        centre = [float(seen[name].mean()) for name in TRAITS]
        design = _design(seen, levels, centre)
        scales = likeliest_scales(design, levels, seen)
        mean, covariance, _ = posterior(design, levels, seen, scales, response.fade_error)
        known = (response.pooled, response.standard_error, response.fade_error)
        return cls(levels, centre, mean, covariance, scales, seen, *known)

    @property
    def growth(self) -> float:
        return growth(self.mean)

    def of(self, rows: Columns) -> tuple[np.ndarray, np.ndarray]:
        """([rows] mean, [rows] standard deviation) of what is believed of rows that `traits` can read."""
        now = self.design(rows)
        place = self.listings.index.get_indexer(np.asarray(rows["property_id"]))
        known = place >= 0
        information, estimate = (
            np.where(known, self.listings[name].to_numpy()[place], 0.0) for name in ("information", "estimate")
        )
        # What the listing itself has shown, against what was to be expected of its traits at that time.
        then = np.where(known[:, None], self._design[place], 0.0)
        spread = self.scales["listing"] ** 2
        share = spread / (spread + self.scales["dispersion"] / np.where(known, information, 1e-12))
        share = np.where(known, share, 0.0)
        mean = now @ self.mean + share * (estimate - then @ self.mean)
        left = now - share[:, None] * then
        return mean, np.sqrt(((left @ self.covariance) * left).sum(axis=1) + (1 - share) * spread)

    def save(self, file: Path) -> None:
        text = {"levels": self.levels, "centre": self.centre, "scales": self.scales}
        text |= {name: getattr(self, name) for name in ("pooled", "standard_error", "fade_error")}
        listings = {name: self.listings[name].to_numpy() for name in ("estimate", "information", *TRAITS)}
        names = {name: self.listings[name].to_numpy(str) for name in ("destination", "property_type")}
        ids = self.listings.index.to_numpy()
        np.savez(file, text=json.dumps(text), mean=self.mean, covariance=self.covariance, ids=ids, **listings, **names)

    @classmethod
    def load(cls, file: Path) -> Elasticities:
        with np.load(file, allow_pickle=False) as saved:
            text = json.loads(str(saved["text"]))
            names = ("estimate", "information", *TRAITS, "destination", "property_type")
            listings = pd.DataFrame({name: saved[name] for name in names}, index=saved["ids"])
            return cls(mean=saved["mean"], covariance=saved["covariance"], listings=listings, **text)

    def design(self, rows: Columns) -> np.ndarray:
        """[rows, coefficients]: what `coefficients` are multiplied with to give elasticities by traits alone."""
        return _design(traits(rows), self.levels, self.centre)

    def draws(self, count: int, seed: int) -> Iterator[tuple[np.ndarray, float]]:
        """`count` times (coefficients, standard deviation of a listing's own rest), drawn from what may be believed."""
        return draws(self._design, self.levels, self.listings, self.scales, self.fade_error, count, seed)

    @cached_property
    def _design(self) -> np.ndarray:
        return _design(self.listings, self.levels, self.centre)


def growth(coefficients: np.ndarray) -> float:
    """The share by which an elasticity grows as the logarithm of the price grows by 1; at least 0.

    0 is constant elasticity, 1 about the logit with a price that weighs linearly. No price of one listing has varied
    enough to read it, so it is taken from how elasticities of listings differ by their price against the competition.
    """
    level, slope = coefficients[0], coefficients[1 + TRAITS.index("position")]
    return float(np.clip(slope / level, 0.0, 2.0)) if level < 0 else 0.0


def _design(listing: Columns, levels: list[str], centre: list[float]) -> np.ndarray:
    """[listings, 1 + TRAITS + levels]: 1, TRAITS, and indicators of destination and type."""
    first = 1 + len(TRAITS)
    column = {level: at for at, level in enumerate(levels, start=first)}
    design = np.zeros((len(listing["destination"]), first + len(levels)))
    design[:, 0] = 1.0
    design[:, 1:first] = stacked(listing, TRAITS) - np.array(centre)
    for kind, name in (("destination", "destination"), ("type", "property_type")):
        for row, value in enumerate(listing[name]):
            if f"{kind}:{value}" in column:
                design[row, column[f"{kind}:{value}"]] = 1.0
    return design
