"""What the pricing optimizer claims beside what is true, on simulated marketplaces:

    wanderbricks simulate --seed N --out FOLDER        # for each seed
    python -m bench.accuracy.pricing FOLDER [FOLDER ...]

| column | meaning |
|---|---|
| claimed, lower, upper | the evaluation's lift with its 90% interval: all that the gate sees |
| true | lift of the same recommendations by the simulator's own choice of guests (floors.py) |
| contained | whether the interval holds it |
| coverage | share of listings whose true elasticity lies in its 90% interval |
| greatest | lift of the best prices within the same guard rails, chosen with the true response of every listing |
| share | true / greatest |
| lowered, raised, change | shares of the free nights whose price would move, and their mean change |
| alone, together | true lift of the last origin's recommendations, had each listing moved alone, or all at once |
| placebo | the lead of price_placebo.py, with its standard error; whether the gate of calibration is passed |

One listing moves at a time in all of them but `together`, and a night is sold once. About 40 s of CPU a folder at
scale 1.
"""

import sys
import tempfile
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd

from bench.accuracy.homes import last_monday
from wanderbricks_assets.features.property_features import property_features
from wanderbricks_assets.floors import floor, lifts_together
from wanderbricks_assets.gold.bookings import fact_booking_history
from wanderbricks_assets.gold.dimensions import dim_destination, dim_property
from wanderbricks_assets.gold.reviews import fact_review
from wanderbricks_assets.models.model import CannotLearn
from wanderbricks_assets.models.price_choice import GuardRails, allowed_prices, demand_at, price_grid
from wanderbricks_assets.models.pricing_optimizer import PricingOptimizer
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.resources.source import FilesSource
from wanderbricks_assets.resources.tables import tables_until
from wanderbricks_assets.simulator import truth
from wanderbricks_assets.window import Window


def made_lake(source: FilesSource, folder: str) -> tuple[Lake, datetime]:
    """The tables that prices are read from, and the end of the last whole week."""
    lake = Lake(folder=folder)
    bookings = source.read("bookings")
    first, last = bookings.aggregate(a=bookings.created_at.min(), b=bookings.created_at.max()).to_pandas().iloc[0]
    days = Window.of_days(first.date(), last.date(), True)
    lake.replace(
        "fact_booking_history", fact_booking_history(bookings, source.read("booking_updates", days), days), days
    )
    lake.replace("dim_property", dim_property(source.read("properties"), source.read("property_updates")))
    lake.replace("dim_destination", dim_destination(source.read("destinations"), source.read("countries")))
    listings, places, history = (
        lake.read(name) for name in ("dim_property", "dim_destination", "fact_booking_history")
    )
    reviews, images = fact_review(source.read("reviews"), days), source.read("property_images")
    lake.replace("property_features", property_features(listings, places, history, reviews, images, days), days)
    return lake, last_monday(bookings.created_at)


def study(folder: Path, work: str) -> dict[str, object]:
    source = FilesSource(folder=str(folder))
    lake, cutoff = made_lake(source, work)
    try:
        evaluation = PricingOptimizer.evaluate(tables_until(PricingOptimizer.reads, lake, source, cutoff), cutoff)
    except CannotLearn as reason:
        return {"source": folder.name, "declined": str(reason)}
    lift, true = evaluation.metric, floor(PricingOptimizer.name, evaluation.rows, lake, source)
    greatest = greatest_lift(evaluation.rows, folder)
    alone, together = lifts_together(evaluation.rows, folder)
    metrics = evaluation.metrics
    return {
        "source": folder.name,
        "claimed": lift.value,
        "lower": lift.lower,
        "upper": lift.upper,
        "true": true,
        "contained": lift.lower <= true <= lift.upper,
        "coverage": elasticity_coverage(evaluation.rows, folder),
        "greatest": greatest,
        "share": true / greatest,
        "lowered": metrics["share_of_free_nights_lowered"],
        "raised": metrics["share_of_free_nights_raised"],
        "change": metrics["mean_price_change_of_free_nights"],
        "alone": alone,
        "together": together,
        "placebo": metrics["placebo_lead"],
        "error": metrics["placebo_error"],
        "calibrated": evaluation.calibration.holds,
    }


def elasticity_coverage(rows: pd.DataFrame, folder: Path) -> float:
    covered = []
    for origin, listings in rows.drop_duplicates(["origin", "property_id"]).groupby("origin"):
        both = listings.merge(
            truth.elasticity(folder, origin.date()).dropna(), on="property_id", suffixes=("_said", "")
        )
        covered.append(both.elasticity.between(both.elasticity_lower, both.elasticity_upper))
    return float(pd.concat(covered).mean())


def greatest_lift(rows: pd.DataFrame, folder: Path) -> float:
    nights = rows[rows.free_nights > 0]
    allowed = allowed_prices(nights, GuardRails())
    current = (nights.current_price * nights.predicted).to_numpy()
    best = current.copy()
    for column in np.flatnonzero(allowed.any(axis=0)):
        ratio = np.full(len(nights), price_grid()[column])
        arrivals = truth.demand_multiplier(folder, nights.property_id.to_numpy(), nights.origin.to_numpy(), ratio)
        demand = demand_at(arrivals, nights.predicted.to_numpy(), nights.free_nights.to_numpy(float))
        revenue = ratio * nights.current_price.to_numpy() * demand
        best = np.where(allowed[:, column], np.maximum(best, revenue), best)
    return float((best - current).sum() / (rows.current_price * rows.predicted).sum())


if __name__ == "__main__":
    found = []
    for argument in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as work:
            found.append(study(Path(argument), work))
    sys.stdout.write(pd.DataFrame(found).round(3).to_string(index=False) + "\n")
