"""Whom to target for which property: what the models say, by the rules that marketing edits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from wanderbricks_assets.contracts.predictions import RISKS, SEGMENTS
from wanderbricks_assets.contracts.rules import ANY, AUDIENCE_RULES, NEW
from wanderbricks_assets.gold.as_known import bookings_made
from wanderbricks_assets.gold.dimensions import version_at
from wanderbricks_assets.lazy import Table, ibis
from wanderbricks_assets.rules.reading import ROW, read_rules, rules_file

CASES = [(segment, risk) for segment in SEGMENTS for risk in RISKS] + [(NEW, ANY)]


@dataclass(frozen=True)
class Audience:
    """What the audience of a day is made of: the day's rows of each table, `dim_user` with all its versions, and the
    bookings of the last 365 days."""

    conversion_scores: Table
    customer_value: Table
    property_features: Table
    dim_user: Table
    fact_booking_history: Table


def audience_rules(folder: Path | None = None) -> list[dict]:
    """One rule per case, a segment and churn risk, that some row covers; `folder` as in `read_rules`.

    Raises ValueError, beside what `read_rules` raises, when two rows cover the same customers or one covers nobody.
    """
    covered: dict[tuple[str, str], dict] = {}
    mistakes = []
    for rule in read_rules(AUDIENCE_RULES, folder):
        cases = [case for case in CASES if _covers(rule, case)]
        if not cases:
            mistakes.append(f"row {rule[ROW]}: covers nobody, as {NEW} users have no churn risk; write {ANY}")
        for case in cases:
            if case in covered:
                mistakes.append(
                    f"row {rule[ROW]}: {case[0]} customers of churn risk {case[1]} are covered by row "
                    f"{covered[case][ROW]} already; narrow one of them"
                )
            covered.setdefault(case, rule | {"segment": case[0], "churn_risk": case[1]})
    if mistakes:
        raise ValueError(f"{rules_file(AUDIENCE_RULES, folder)}, " + "\n".join(mistakes))
    return list(covered.values())


def marketing_audience(tables: Audience, rules: list[dict], moment: datetime) -> Table:
    """Rows of the contract for the day that ends at `moment`: the pairs of user and property that a rule lets through,
    at most its `max_properties` per user, those of highest expected value.

    A user without a row in `customer_value` has never booked. A property without a listed price has no expected value
    and is left out.
    """
    scores, values = tables.conversion_scores, tables.customer_value
    values = values.select(
        "user_id", "predicted_ltv_12m", "churn_risk", segment="ltv_segment", ltv_version="model_version"
    )
    version = values.ltv_version.max().as_scalar()  # all rows of a day are of one version
    users = version_at(tables.dim_user, moment).select("user_id", "country", "user_type")
    rows = scores.left_join(values, "user_id").drop("user_id_right")
    rows = rows.mutate(segment=rows.segment.fill_null(NEW), case=rows.churn_risk.fill_null(ANY), ltv_version=version)
    rows = rows.left_join(users, "user_id").drop("user_id_right")
    rows = rows.join(_listings(tables, moment), "property_id")
    rows = rows.join(_of_rules(rules), ["segment", "case"])
    rows = rows.mutate(expected_value=rows.conversion_probability * rows.base_price * rows.typical_nights)
    rows = rows.filter(
        (rows.conversion_probability >= rows.min_probability) & (rows.expected_value >= rows.min_expected_value)
    )
    by_value = ibis.cumulative_window(
        group_by=rows.user_id, order_by=[rows.expected_value.desc(), rows.property_id.asc()]
    )
    rows = rows.mutate(rank=ibis.row_number().over(by_value) + 1)
    speaks_for = rows.top_factors.filter(lambda factor: factor.impact > 0).map(lambda factor: factor.factor)
    return rows.filter(rows["rank"] <= rows.max_properties).mutate(
        probability_lower=rows.confidence_interval[0],
        probability_upper=rows.confidence_interval[1],
        reasons=speaks_for.join("; ").nullif(""),
        is_holdout=holdout_number(rows.user_id) < rows.holdout_share,
        conversion_version="model_version",
    )


def holdout_number(user_id: ibis.Value) -> ibis.Value:
    """A fixed number in [0, 1) for each user, spread evenly: those below a share are its holdout, for good.

    Multiplicative hashing (Knuth, volume 3, section 6.4) with the second prime of xxHash, and so independent of the
    share by which training samples users.
    """
    return (user_id % 2**31) * 2246822519 % 2**32 / 2**32


def _listings(tables: Audience, moment: datetime) -> Table:
    """property_id, destination, base_price and typical_nights: the mean of the bookings made for that destination, or
    anywhere where it had none."""
    listings = tables.property_features.select("property_id", "destination", "base_price")
    stays = bookings_made(tables.fact_booking_history, moment)
    stays = stays.filter(stays.nights_booked > 0).select("property_id", "nights_booked")
    anywhere = stays.nights_booked.mean().as_scalar()
    made = stays.join(listings, "property_id")
    usual = made.group_by("destination").agg(typical_nights=made.nights_booked.mean())
    rows = listings.left_join(usual, "destination").drop("destination_right")
    return rows.mutate(typical_nights=rows.typical_nights.coalesce(anywhere))


def _covers(rule: dict, case: tuple[str, str]) -> bool:
    segment, risk = case
    return rule["segment"] in (segment, ANY) and rule["churn_risk"] in (risk, ANY)


def _of_rules(rules: list[dict]) -> Table:
    schema = ibis.schema({"case": "string"} | dict(AUDIENCE_RULES.schema.items()))
    rows = {name: [rule["churn_risk" if name == "case" else name] for rule in rules] for name in schema.names}
    return ibis.memtable(rows, schema=schema).drop("churn_risk")
