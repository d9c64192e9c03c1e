"""Recommended prices against current ones, what they are expected to bring, and why."""

import streamlit as st

from wanderbricks_assets.dashboard import charts, parts
from wanderbricks_assets.dashboard.place import ask
from wanderbricks_assets.dashboard.queries import prices
from wanderbricks_assets.dashboard.words import number, percent
from wanderbricks_assets.lazy import pd

LISTING = [
    *("title", "destination", "current_price", "recommended_price", "change"),
    *("expected_gain", "nights", "property_id"),
]
LISTED = 500  # listings in the table, those with the most to gain; the download has all
HOW_TO_READ = (
    "The gain of a listing is what it would earn if it alone moved. If all prices move together, guests have fewer "
    "places to turn to, and the gain is smaller."
)


def chosen(rows: pd.DataFrame) -> pd.DataFrame:
    labels = {"destination": "Destination", "property_type": "Type", "kind": "Reason"}
    everything = {"destination": "All destinations", "property_type": "All types", "kind": "All reasons"}
    choices = prices.choices(rows)
    wanted = {}
    for column, name in zip(st.columns(3), labels, strict=True):
        with column:
            wanted[name] = parts.choose(labels[name], choices[name], everything[name], f"price_{name}")
    return prices.chosen(rows, **wanted)


def numbers(rows: pd.DataFrame) -> None:
    gain, revenue = rows["expected_gain"].sum(), rows["current_expected_revenue"].sum()
    first, second, third = (column.container(border=True) for column in st.columns(3))
    share = f"{percent(gain / revenue, sign=True, digits=1)} on current prices" if revenue > 0 else None
    first.metric("Expected gain", number(gain), share, help=HOW_TO_READ)
    raised, lowered = (rows["change"] > 0).sum(), (rows["change"] < 0).sum()
    second.metric("Nights to change", number(raised + lowered), f"of {number(len(rows))}", "off", delta_arrow="off")
    of = f"in {number(rows['property_id'].nunique())} listings"
    third.metric("To raise, to lower", f"{number(raised)}, {number(lowered)}", of, "off", delta_arrow="off")


def table(rows: pd.DataFrame) -> int | None:
    """The listings; returns the one that was picked."""
    found = prices.listings(rows)
    st.subheader("Listings")
    more = f" The {LISTED} with the most to gain of {len(found):,}." if len(found) > LISTED else ""
    st.caption(f"Means over the nights that were chosen; pick a row to see its nights and reasons.{more}")
    shown = found.head(LISTED)
    picked = st.dataframe(
        shown[LISTING],
        hide_index=True,
        height=380,
        on_select="rerun",
        selection_mode="single-row",
        key=f"listing {hash(tuple(shown['property_id']))}",  # of other listings, none is picked yet
        column_config={
            "title": "Listing",
            "destination": "Destination",
            "current_price": st.column_config.NumberColumn("Current price", format="%.2f"),
            "recommended_price": st.column_config.NumberColumn("Recommended", format="%.2f"),
            "change": st.column_config.NumberColumn("Change", format="percent"),
            "expected_gain": st.column_config.NumberColumn("Expected gain", format="%.0f"),
            "nights": st.column_config.NumberColumn("Nights that change"),
            "property_id": st.column_config.NumberColumn("Id", format="%d"),
        },
    )  # fmt: skip
    rows_picked = picked.selection.rows
    return int(shown["property_id"].iloc[rows_picked[0]]) if rows_picked and rows_picked[0] < len(shown) else None


def one_listing(rows: pd.DataFrame, property_id: int) -> None:
    nights = rows[rows["property_id"] == property_id]
    st.subheader(f"{nights['title'].iloc[0]}, listing {property_id}")
    st.caption(
        "By night. Line: the current price; points: the recommended one. The host accepts or rejects by "
        f"`wanderbricks prices accept --property {property_id} --date DAY` (or `reject`)."
    )
    charts.show(charts.price_nights(nights), "Current and recommended price by night")
    st.dataframe(
        nights[
            [
                "target_date",
                "current_price",
                "recommended_price",
                "expected_demand",
                "expected_gain",
                "reason",
                "decision",
            ]
        ],
        hide_index=True,
        column_config={
            "target_date": st.column_config.DateColumn("Night", format="ddd D MMM"),
            "current_price": st.column_config.NumberColumn("Current", format="%.2f"),
            "recommended_price": st.column_config.NumberColumn("Recommended", format="%.2f"),
            "expected_demand": st.column_config.NumberColumn("Expected bookings", format="%.3f"),
            "expected_gain": st.column_config.NumberColumn("Expected gain", format="%.2f"),
            "reason": "Reason",
            "decision": "Host's decision",
        },
    )


def page() -> None:
    rows = ask(prices.nights)
    made_at = rows["made_at"].max().date() if len(rows) else None
    parts.title("Prices", made_at, "Of highest expected revenue for each listing and night, within the guard rails.")
    if rows.empty:
        parts.nothing_predicted("pricing_optimizer", "price recommendations")
        return
    rows = chosen(rows)
    if rows.empty:
        st.info("No night fits all three choices; widen one of them.", icon=":material/info:")
        return
    numbers(rows)
    st.caption(HOW_TO_READ)
    left, right = st.columns(2)
    with left:
        st.subheader("How far prices move")
        st.caption("Nights by recommended change.")
        charts.show(charts.price_changes(prices.changes(rows)), "Nights by recommended change of price")
    with right:
        st.subheader("Why")
        st.caption("Nights by reason.")
        tooltip = {"nights": ",", "expected_gain": ",.0f"}
        charts.show(charts.bars(prices.reasons(rows), "kind", "nights", tooltip, charts.BOOKED), "Nights by reason")
    property_id = table(rows)
    st.download_button(
        "Download these nights", lambda: prices.as_csv(rows), f"price_recommendations_{made_at}.csv", "text/csv",
        icon=":material/download:", on_click="ignore",
    )  # fmt: skip
    if property_id is not None:
        one_listing(rows, property_id)


page()
