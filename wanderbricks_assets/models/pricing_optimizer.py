"""What each night of each listing should cost: the price of highest expected revenue, within guard rails."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from wanderbricks_assets.lazy import Columns, np, pd
from wanderbricks_assets.models.accepted_prices import at_accepted_prices, at_listed_prices
from wanderbricks_assets.models.elasticity import (
    Elasticities,
    demand_model,
    listing_rate,
    residuals,
    response,
)
from wanderbricks_assets.models.frames import stacked
from wanderbricks_assets.models.model import Evaluation, Model, Tables
from wanderbricks_assets.models.one_thread import one_thread
from wanderbricks_assets.models.price_choice import KNOWN_OF_A_NIGHT, GuardRails, arrivals_at, choose_prices, demand_at
from wanderbricks_assets.models.price_panel import CONTROLS, DAYS, NIGHTS, check, nights_of, weekly_panel
from wanderbricks_assets.models.pricing_evaluation import evaluate, figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OF_A_LISTING = (
    *("property_id", "listed_price", "competitor_price", "bedrooms", "popularity", "destination", "property_type"),
)
PRIOR_BOOKINGS = 4.0  # weight of what is usual against what the listing itself had, in bookings


class PricingOptimizer(Model):
    """Elasticities by orthogonal scores (elasticity.py), a rate of bookings by gradient boosting, and guard rails."""

    name = "pricing_optimizer"
    reads = ("property_features", "fact_booking_history", "price_decisions")
    years: ClassVar[Mapping[str, int]] = {"property_features": 3, "fact_booking_history": 4}  # stays are booked ahead
    flavours = ("lightgbm",)
    limits = (
        "The response to price is estimated from prices that hosts chose; an experiment would be stronger evidence.",
        "A demand that hosts price on and no table records would be taken for the answer to the price: calibration "
        "looks for one that lasts (the placebo), and cannot see a short one.",
        "Competitors are taken to keep their prices, and guests to book no other night instead: the lift is of one "
        "listing at a time, and less where many move together. share_of_free_nights_lowered, "
        "share_of_free_nights_raised and mean_price_change_of_free_nights tell how many would.",
    )

    def __init__(self, seed: int = 0, rails: GuardRails | None = None):
        super().__init__(seed)
        self.rails = rails or GuardRails()

    @classmethod
    def training_set(cls, tables: Tables, cutoff: datetime) -> pd.DataFrame:
        """One row per listing and week before the cutoff: bookings made, listed price, and what was known before."""
        history = tables["fact_booking_history"]
        panel = weekly_panel(tables["property_features"], history, cutoff.date())
        panel = panel[panel.weeks_ago > 0].reset_index(drop=True)
        check(panel)
        return at_listed_prices(panel, tables["price_decisions"], cutoff)

    @one_thread
    def fit(self, training: pd.DataFrame) -> Self:
        self.elasticities = Elasticities.fit(response(residuals(training, self.seed)))
        recent = _last_years(training, 2)
        self.demand = demand_model(recent, recent.property_id.map(listing_rate(recent)).to_numpy(), self.seed)
        self.rate = self.rates(training)
        last = _last_years(training, 1)
        # Nights that one booking brings on the day it is made, the day after ... : [DAYS]
        per_booking = last[list(NIGHTS)].sum().to_numpy() / max(last.bookings.sum(), 1) / 7
        self.nights_per_booking = np.repeat(per_booking, 7)[:DAYS]
        return self

    def rates(self, past: pd.DataFrame) -> pd.Series:
        """By property_id: the weekly bookings of each listing that its controls scale, as the last year had them."""
        last = _last_years(past, 1)
        rate = listing_rate(_last_years(past, 2))
        expected = last.property_id.map(rate) * self.demand.predict(last[list(CONTROLS)].to_numpy(float))
        sums = last.assign(expected=expected).groupby("property_id")[["bookings", "expected"]].sum()
        whole = sums.bookings.sum() / sums.expected.sum()
        level = (sums.bookings + PRIOR_BOOKINGS * whole) / (sums.expected + PRIOR_BOOKINGS)
        return rate * level.reindex(rate.index).fillna(whole)

    @classmethod
    def inputs(cls, tables: Tables, moment: datetime) -> pd.DataFrame:
        """One row per night of the next 30 days of each active listing: one with a price in the week before."""
        history = tables["fact_booking_history"]
        panel = weekly_panel(tables["property_features"], history, moment.date())
        return at_accepted_prices(nights_of(panel, history, moment.date()), tables["price_decisions"], moment)

    def predict_columns(self, inputs: Columns) -> dict[str, np.ndarray]:
        believed = self.believe(inputs)
        said = {name: np.asarray(inputs[name]) for name in ("property_id", "target_date", "current_price")}
        # Demand and revenue are of bookings made, before cancellations, which take about the same share at every price.
        chosen = choose_prices({name: inputs[name] for name in KNOWN_OF_A_NIGHT} | believed, self.rails)
        return said | {"elasticity": believed["elasticity"]} | chosen

    def optimize_price(self, inputs: pd.DataFrame, property_id: int, target_date: date) -> dict[str, float | str]:
        """The recommendation for one night, by the same rows and function as the daily batch.

        Raises KeyError when `inputs` has no such night.
        """
        prices = self.predict(inputs[inputs.property_id == property_id])
        row = prices.set_index("target_date").loc[pd.Timestamp(target_date)]
        return row[["current_price", "recommended_price", "expected_demand", "expected_revenue", "reason"]].to_dict()

    def believe(self, nights: Columns) -> dict[str, np.ndarray]:
        """[nights] `expected` bookings at the current price, their `elasticity`, `elasticity_sd` and `growth` (of the
        elasticity)."""
        _, first, listing = np.unique(np.asarray(nights["property_id"]), return_index=True, return_inverse=True)
        weeks, week = np.unique(np.asarray(nights["week"]), return_inverse=True)
        listings = {name: np.asarray(nights[name])[first] for name in OF_A_LISTING}  # the same on all nights
        place = self.rate.index.get_indexer(listings["property_id"])
        rate = np.where(place >= 0, self.rate.to_numpy()[place], self.rate.median())
        weekly = rate[listing] * self.demand.predict(stacked(nights, CONTROLS), num_threads=1)
        horizon = (np.asarray(nights["target_date"]) - weeks[week]) // np.timedelta64(1, "D")
        expected = weekly / 7 * np.cumsum(self.nights_per_booking)[horizon]
        # Bookings land on free nights only.
        free = np.asarray(nights["free_nights"])
        vacant = free / np.asarray(nights["rooms"])
        group = listing * len(weeks) + week
        usual = np.bincount(group, vacant) / np.maximum(np.bincount(group), 1)
        expected = expected * vacant / np.maximum(usual[group], 0.1)
        mean, sd = self.elasticities.of(listings | {"current_price": listings["listed_price"]})
        believed = {
            "expected": np.minimum(expected, 0.99 * free),
            "elasticity": mean[listing],
            "elasticity_sd": sd[listing],
            "growth": np.full(len(listing), self.elasticities.growth),
        }
        return _at_current_price(nights, believed)

    @classmethod
    def evaluate(cls, tables: Tables, cutoff: datetime, seed: int = 0) -> Evaluation:
        return evaluate(cls, tables, cutoff.date(), seed)

    @property
    def params(self) -> dict[str, object]:
        scales = {f"elasticity_sd_{name}": value for name, value in self.elasticities.scales.items()}
        return (
            asdict(self.rails)
            | scales
            | {
                "elasticity": self.elasticities.pooled,
                "elasticity_growth": self.elasticities.growth,
                "seed": self.seed,
            }
        )

    def save(self, folder: Path) -> None:
        self.demand.save_model(folder / "demand.txt")
        self.elasticities.save(folder / "elasticities.npz")
        state = {
            "seed": self.seed,
            "rails": asdict(self.rails),
            "nights_per_booking": self.nights_per_booking.tolist(),
            "rate": {"property_id": self.rate.index.tolist(), "weekly_bookings": self.rate.tolist()},
        }
        (folder / "optimizer.json").write_text(json.dumps(state))

    @classmethod
    def load(cls, folder: Path) -> Self:
        import lightgbm

        state = json.loads((folder / "optimizer.json").read_text())
        model = cls(state["seed"], GuardRails(**state["rails"]))
        model.demand = lightgbm.Booster(model_file=folder / "demand.txt")
        model.elasticities = Elasticities.load(folder / "elasticities.npz")
        model.nights_per_booking = np.array(state["nights_per_booking"])
        model.rate = pd.Series(state["rate"]["weekly_bookings"], state["rate"]["property_id"])
        return model

    @classmethod
    def figure(cls, evaluation: Evaluation) -> Figure:
        return figure(evaluation)


def _at_current_price(nights: Columns, believed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What is believed of the nights as at the current price: what is learned is as at the listed one.

    From there the demand curve is the same (`arrivals_at`): its elasticity is that of the curve at the current price.
    """
    current, listed = np.asarray(nights["current_price"]), np.asarray(nights["listed_price"])
    accepted = current != listed
    if not accepted.any():
        return believed
    ratio = current[accepted] / listed[accepted]
    expected, elasticity, sd, growth = (believed[name][accepted] for name in believed)
    arrivals = arrivals_at(ratio, elasticity, growth, sd)
    steeper = np.maximum(1 + growth * np.log(ratio), 0.1)  # however far it moved, demand still falls with the price
    values = {
        "expected": demand_at(arrivals, expected, np.asarray(nights["free_nights"], float)[accepted]),
        "elasticity": elasticity * steeper,
        "elasticity_sd": sd * steeper,
        "growth": growth / steeper,
    }
    for name, value in values.items():
        believed[name][accepted] = value
    return believed


def _last_years(panel: pd.DataFrame, years: int) -> pd.DataFrame:
    return panel[panel.week > panel.week.max() - timedelta(weeks=52 * years)]
