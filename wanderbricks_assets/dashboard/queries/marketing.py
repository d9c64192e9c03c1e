"""Who viewed what and how likely they are to book it, with the factors that speak for and against."""

from __future__ import annotations

from datetime import date, timedelta

from wanderbricks_assets.dashboard.queries.newest import newest, newest_day
from wanderbricks_assets.dashboard.words import percent
from wanderbricks_assets.lazy import Table, ibis, pd


def scored_at(conversion_scores: Table) -> date | None:
    """The day at whose beginning views were last scored; None before the first time."""
    day = newest_day(conversion_scores)
    return day + timedelta(days=1) if day else None


def likelihoods(conversion_scores: Table) -> pd.DataFrame:
    """[bins of 1 point] probability (lower end), visitors (pairs of user and property), bookings (expected)."""
    rows = newest(conversion_scores)
    rows = rows.mutate(probability=(rows.conversion_probability * 100).floor() / 100)
    found = rows.group_by("probability").agg(visitors=rows.count(), bookings=rows.conversion_probability.sum())
    return found.order_by("probability").to_pandas()


def factors(conversion_scores: Table) -> pd.DataFrame:
    """[factors] factor, visitors of whom it is one of the three strongest, impact: mean shift of their probability."""
    found = newest(conversion_scores).select(factor=ibis._.top_factors.unnest())
    found = found.select(name=found.factor.factor, impact=found.factor.impact)
    found = found.group_by(factor="name").agg(visitors=found.count(), impact=found.impact.mean())
    return found.order_by(ibis.desc("visitors"), "factor").to_pandas()


def audience(conversion_scores: Table, dim_property: Table, dim_destination: Table, limit: int) -> pd.DataFrame:
    """[<= limit] user_id, property_id, title, destination, probability, lower, upper (90%), why; the likeliest first.

    why: the factors in words, each with its points of probability.
    """
    listed = dim_property.filter(dim_property.is_current).select("property_id", "title", "destination_id")
    rows = newest(conversion_scores).left_join(listed, "property_id").drop("property_id_right")
    places = dim_destination.select("destination_id", "destination")
    rows = rows.left_join(places, "destination_id").drop("destination_id_right")
    rows = rows.mutate(
        probability=rows.conversion_probability, lower=rows.confidence_interval[0], upper=rows.confidence_interval[1]
    )
    columns = ["user_id", "property_id", "title", "destination", "probability", "lower", "upper", "top_factors"]
    found = rows.order_by(ibis.desc("probability"), "user_id", "property_id").limit(limit).select(columns).to_pandas()
    found["why"] = [
        ", ".join(f"{factor['factor']} {percent(factor['impact'], sign=True, digits=1)}" for factor in three)
        for three in found.pop("top_factors")
    ]
    return found
