"""What hosts do with recommended prices: a record of decisions, one row each, that is only ever added to.

Command line and API call `record_decisions`; `standing` tells which decisions hold. A decision is about one
recommendation: the price that was recommended for a property and a night on a day. Recommendations are made anew every
day, so only the newest of a night can be decided on. The last decision on it stands: an acceptance can be taken back
by a rejection and the other way round, and the same decision again is refused, as there would be nothing to record.
Two processes that decide at the same moment may both be recorded; the later moment stands, of the same moment the
greater decision_id.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal

from wanderbricks_assets.contracts.activation import PRICE_DECISIONS
from wanderbricks_assets.gold.decisions import standing
from wanderbricks_assets.lazy import Table, ibis, pa
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.window import Window, midnight

Choice = Literal["accept", "reject"]
_TICK = timedelta(microseconds=1)  # a later decision stands, even when the clock went back meanwhile
MAX_AGE = timedelta(days=7)  # guests answer for a week before a price may move again: an older one was made for others


@dataclass(frozen=True)
class Decision:
    """What to do with the price of a property and night. `prediction_date` names the recommendation that was seen;
    without it the newest is meant."""

    property_id: int
    target_date: date
    choice: Choice
    note: str | None = None
    prediction_date: date | None = None


class CannotDecide(ValueError):
    """Nothing was recorded; the message says why."""


class NoSuchRecommendation(CannotDecide):
    """No price was recommended for this property and night."""


class OutOfDate(CannotDecide):
    """The night has passed, there is a newer recommendation, or the newest is too old."""


class AlreadyDecided(CannotDecide):
    """The same decision stands already."""


def record_decisions(
    lake: Lake, decisions: Sequence[Decision], decided_by: str, decided_at: datetime
) -> list[dict[str, Any]]:
    """Record decisions in one commit, all of them or none; returns the rows of PRICE_DECISIONS.

    decided_at: naive UTC. Raises a CannotDecide with a line for every decision that cannot be recorded, of the kind
    of the first, and ValueError when nobody decided or a choice is neither accept nor reject.
    """
    if not decided_by.strip():
        raise ValueError("decided_by is empty; say who decided")
    if not decisions:
        return []
    opened = open_recommendations(lake, decided_at)
    about = sorted({decision.property_id for decision in decisions})
    recommended = _by_night(opened.filter(opened.property_id.isin(about)))
    rows: list[dict[str, Any]] = []
    errors: list[CannotDecide] = []
    for decision in decisions:
        try:
            found = recommended.get((decision.property_id, decision.target_date))
            rows.append(_row(lake, decision, found, decided_by.strip(), decided_at))
        except CannotDecide as error:
            errors.append(error)
    nights = [(row["property_id"], row["target_date"]) for row in rows]
    if len(set(nights)) < len(nights):
        twice = next(night for night in nights if nights.count(night) > 1)
        raise CannotDecide(f"property {twice[0]} on {twice[1]} is decided twice at once; decide once")
    if errors:
        raise type(errors[0])("\n".join(map(str, errors)))
    lake.append("price_decisions", ibis.memtable(pa.Table.from_pylist(rows, schema=PRICE_DECISIONS.arrow_schema)))
    return rows


def open_recommendations(lake: Lake, moment: datetime) -> Table:
    """The newest recommendation of every property and night that can be decided on at a moment, whether it moves the
    price or keeps it, with `decision`, the one that stands (null while undecided)."""
    oldest = midnight((moment - MAX_AGE).date()) - timedelta(days=1)
    made = lake.read("price_recommendations", Window(oldest, moment))
    made = made.filter(made.made_at > moment - MAX_AGE, made.target_date >= ibis.date(moment.date()))
    newest = made.group_by("property_id", "target_date").agg(prediction_date=made.prediction_date.max())
    made = made.join(newest, ["property_id", "target_date", "prediction_date"])
    decided = standing(lake.read("price_decisions")).select(
        "property_id", "target_date", "prediction_date", "decision", "decided_at", "decided_by"
    )
    key = ["property_id", "target_date", "prediction_date"]
    return made.left_join(decided, key).drop([f"{name}_right" for name in key])


def undecided(
    lake: Lake, choice: Choice, moment: datetime, property_id: int | None = None, note: str | None = None
) -> list[Decision]:
    """Decisions for every open recommendation, or those of a property, that moves a price and was not decided on."""
    found = open_recommendations(lake, moment)
    found = found.filter(found.decision.isnull() & (found.recommended_price != found.current_price))
    if property_id is not None:
        found = found.filter(found.property_id == property_id)
    rows = found.select("property_id", "target_date", "prediction_date").order_by("property_id", "target_date")
    return [Decision(**row, choice=choice, note=note) for row in rows.to_pyarrow().to_pylist()]


def _row(lake: Lake, decision: Decision, found: dict | None, decided_by: str, decided_at: datetime) -> dict[str, Any]:
    if decision.choice not in PRICE_DECISIONS.column("decision").allowed:
        raise ValueError(f"'{decision.choice}' is no decision; accept or reject")
    what = f"property {decision.property_id} on {decision.target_date}"
    if found is None:
        raise _why_not(lake, decision, what, decided_at)
    if decision.prediction_date not in (None, found["prediction_date"]):
        raise OutOfDate(
            f"{what}: the recommendation of {decision.prediction_date} was followed by one of "
            f"{found['prediction_date']}, {found['recommended_price']:g} instead of {found['current_price']:g}; "
            "decide on that one"
        )
    if found["recommended_price"] == found["current_price"]:
        raise NoSuchRecommendation(
            f"{what}: the price of {found['current_price']:g} stays ({found['reason']}); there is nothing to decide"
        )
    if found["decision"] == decision.choice:
        raise AlreadyDecided(
            f"{what}: {found['decided_by']} decided to {decision.choice} at {found['decided_at']:%Y-%m-%d %H:%M}"
        )
    copied = {name: found[name] for name in ("prediction_date", "current_price", "recommended_price")}
    return {
        "decision_id": uuid.uuid4().hex,
        "property_id": decision.property_id,
        "target_date": decision.target_date,
        **copied,
        "decision": decision.choice,
        "decided_at": decided_at if found["decided_at"] is None else max(decided_at, found["decided_at"] + _TICK),
        "decided_by": decided_by,
        "note": decision.note,
    }


def _why_not(lake: Lake, decision: Decision, what: str, moment: datetime) -> CannotDecide:
    """Why a night has no recommendation that could be decided on."""
    made = lake.read("price_recommendations")
    of_property = made.filter(made.property_id == decision.property_id)
    of_night = of_property.filter(of_property.target_date == ibis.literal(decision.target_date, "date"))
    newest = of_night.prediction_date.max().to_pyarrow().as_py()
    if newest is not None:
        if decision.target_date < moment.date():
            return OutOfDate(f"{what}: the night has passed")
        return OutOfDate(
            f"{what}: the newest recommendation is of {newest}, more than {MAX_AGE.days} days old; run the pipeline"
        )
    span = of_property.aggregate(first=of_property.target_date.min(), last=of_property.target_date.max())
    [nights] = span.to_pyarrow().to_pylist()
    if nights["first"] is None:
        return NoSuchRecommendation(f"{what}: no price was ever recommended for property {decision.property_id}")
    return NoSuchRecommendation(
        f"{what}: no price was recommended; there are recommendations for {nights['first']} to {nights['last']}"
    )


def _by_night(recommendations: Table) -> dict[tuple[int, date], dict]:
    rows = recommendations.to_pyarrow().to_pylist()
    return {(row["property_id"], row["target_date"]): row for row in rows}
