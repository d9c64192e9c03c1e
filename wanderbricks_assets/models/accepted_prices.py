"""Recommended prices that hosts accepted, where the source does not show them.

A source lists one price per property; what a host accepted holds for a night, and may never be listed. While it is not,
the night's price is the accepted one, and the bookings of such weeks answer a price that the listed one does not tell.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from wanderbricks_assets.gold.decisions import standing
from wanderbricks_assets.lazy import Table, np, pd

NIGHT = ["property_id", "target_date"]
SAME_PRICE = 0.01  # prices that differ by less are the same: a price list may round
A_WEEK = timedelta(days=7)


def acceptances(price_decisions: Table, moment: datetime) -> pd.DataFrame:
    """One row per recommendation accepted before a moment and not taken back by then, sorted by night and time: NIGHT,
    decided_at, current_price (of the night before), accepted_price, and listed_price: what the source listed then.

    An acceptance of a price that itself moved an accepted one was made at the same listed price as that.
    """
    decided = standing(price_decisions.filter(price_decisions.decided_at < moment))
    rows = decided.filter(decided.decision == "accept").select(
        *NIGHT, "decided_at", "decision_id", "current_price", accepted_price="recommended_price"
    )
    frame = rows.order_by(*NIGHT, "decided_at", "decision_id").to_pandas().drop(columns="decision_id")
    frame["target_date"] = pd.to_datetime(frame.target_date)
    moved = frame.groupby(NIGHT).accepted_price.shift()
    chain = (~np.isclose(frame.current_price, moved, rtol=SAME_PRICE)).cumsum()
    return frame.assign(listed_price=frame.groupby(chain).current_price.transform("first"))


def at_accepted_prices(nights: pd.DataFrame, price_decisions: Table, moment: datetime) -> pd.DataFrame:
    """The nights with `listed_price`, and with `current_price` and `price_a_week_ago` as accepted before the moment.

    An accepted price holds until the listed one changes: then the source tells what the night costs.
    """
    accepted = acceptances(price_decisions, moment)
    newest = accepted.drop_duplicates(NIGHT, keep="last").rename(
        columns={"current_price": "price_before", "listed_price": "listed_then"}
    )
    rows = nights.merge(newest, on=NIGHT, how="left")
    holds = np.isclose(rows.current_price, rows.listed_then, rtol=SAME_PRICE)  # false where nothing was accepted
    before = rows.price_before.where(rows.decided_at > moment - A_WEEK, rows.accepted_price)
    rows["listed_price"] = rows.current_price
    rows["current_price"] = rows.accepted_price.where(holds, rows.current_price)
    rows["price_a_week_ago"] = before.where(holds, rows.price_a_week_ago)
    return rows.drop(columns=newest.columns.difference(NIGHT))


def at_listed_prices(panel: pd.DataFrame, price_decisions: Table, cutoff: datetime) -> pd.DataFrame:
    """The weeks of the panel whose guests met the listed price: without those in which a night ahead had been accepted
    at another, by what was decided before the cutoff."""
    accepted = acceptances(price_decisions, cutoff)
    # The weeks, counted back from the last, that ended after the decision and began no later than the night.
    end = panel.week.max()
    oldest, newest = -((accepted.decided_at - end) // A_WEEK), -((accepted.target_date - end) // A_WEEK)
    accepted["weeks"] = [range(max(new, 0), old + 1) for old, new in zip(oldest, newest, strict=True)]
    met = accepted.explode("weeks").dropna(subset=["weeks"])
    met["week"] = end - pd.to_timedelta(7 * met.weeks.astype(int), unit="D")
    met = panel.reset_index()[["index", "property_id", "week", "price"]].merge(met, on=["property_id", "week"])
    unlisted = np.isclose(met.price, met.listed_price, rtol=SAME_PRICE)
    return panel.drop(index=met["index"][unlisted].unique()).reset_index(drop=True)
