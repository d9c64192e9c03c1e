"""Customers by value and churn risk, and what to do about them. Customers are ids: no names, no addresses."""

from __future__ import annotations

from datetime import date, timedelta

from wanderbricks_assets.contracts.predictions import RISKS, SEGMENTS
from wanderbricks_assets.dashboard.queries.newest import newest, newest_day
from wanderbricks_assets.lazy import Table, ibis, pd


def segments(customer_value: Table) -> pd.DataFrame:
    """[segments x risks that occur] segment, risk, customers, value (predicted, 12 months together)."""
    rows = newest(customer_value)
    found = rows.group_by(segment=rows.ltv_segment, risk=rows.churn_risk).agg(
        customers=rows.count(), value=rows.predicted_ltv_12m.sum()
    )
    found = found.to_pandas()
    order = {name: place for place, name in enumerate((*SEGMENTS, *RISKS))}
    return found.sort_values(["segment", "risk"], key=lambda names: names.map(order), ignore_index=True)


def shares(customer_value: Table) -> pd.DataFrame:
    """[tenths] tenth (1: the most valuable), customers, value, share (of all value)."""
    rows = newest(customer_value)
    by_value = ibis.window(order_by=[ibis.desc("predicted_ltv_12m"), "user_id"])
    rows = rows.mutate(tenth=ibis.ntile(10).over(by_value) + 1)
    found = rows.group_by("tenth").agg(customers=rows.count(), value=rows.predicted_ltv_12m.sum())
    found = found.order_by("tenth").to_pandas()
    return found.assign(share=found["value"] / found["value"].sum())


def actions(customer_value: Table) -> pd.DataFrame:
    """[actions] action, customers it is recommended for, value of those customers; the most valuable first."""
    rows = newest(customer_value).select("predicted_ltv_12m", action=ibis._.recommended_actions.unnest())
    found = rows.group_by("action").agg(customers=rows.count(), value=rows.predicted_ltv_12m.sum())
    return found.order_by(ibis.desc("value"), "action").to_pandas()


def customers(
    customer_value: Table, segment: str | None = None, risk: str | None = None, action: str | None = None
) -> pd.DataFrame:
    """[customers] user_id, predicted_ltv_12m, lower, upper (80%), ltv_segment, churn_risk, actions; by value."""
    rows = newest(customer_value)
    for name, value in (("ltv_segment", segment), ("churn_risk", risk)):
        rows = rows if value is None else rows.filter(rows[name] == value)
    if action is not None:
        rows = rows.filter(rows.recommended_actions.contains(action))
    rows = rows.mutate(
        lower=rows.confidence_interval[0],
        upper=rows.confidence_interval[1],
        actions=rows.recommended_actions.join("; "),
    )
    columns = ["user_id", "predicted_ltv_12m", "lower", "upper", "ltv_segment", "churn_risk", "actions"]
    return rows.select(columns).order_by(ibis.desc("predicted_ltv_12m"), "user_id").to_pandas()


def valued_at(customer_value: Table) -> date | None:
    """The day at whose beginning customers were last valued; None before the first time."""
    day = newest_day(customer_value)
    return day + timedelta(days=1) if day else None
