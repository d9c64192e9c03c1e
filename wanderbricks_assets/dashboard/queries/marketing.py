"""How likely visitors are to book what they viewed, what moves them, and whom to contact."""

from __future__ import annotations

from datetime import date, timedelta

from wanderbricks_assets.dashboard.queries.newest import newest, newest_day
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


def audience(marketing_audience: Table, scored: date) -> pd.DataFrame:
    """[pairs of user and property to contact] of one day's scores: user_id, property_id, destination, probability,
    lower, upper (90%), expected_value, reasons, segment, churn_risk, channel, message; greatest expected value first.

    Without the holdout, who must not be contacted: what a message does is measured against them.
    """
    rows = _of(marketing_audience, scored)
    rows = rows.filter(~rows.is_holdout).order_by(ibis.desc("expected_value"), "user_id", "property_id")
    named = {"probability": "conversion_probability", "lower": "probability_lower", "upper": "probability_upper"}
    rest = ("expected_value", "reasons", "segment", "churn_risk", "channel", "message")
    return rows.select("user_id", "property_id", "destination", *rest, **named).to_pandas()


def held_out(marketing_audience: Table, scored: date) -> int:
    """Users of that audience who are not to be contacted."""
    rows = _of(marketing_audience, scored)
    return rows.user_id.nunique(where=rows.is_holdout).to_pyarrow().as_py()


def _of(marketing_audience: Table, scored: date) -> Table:
    """The audience of one day's scores: the newest may be of an older day than the newest scores."""
    return marketing_audience.filter(marketing_audience.prediction_date == scored - timedelta(days=1))
