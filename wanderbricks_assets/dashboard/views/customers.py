"""Who is worth what, who is leaving, and what to do."""

import streamlit as st

from wanderbricks_assets.contracts.predictions import RISKS, SEGMENTS
from wanderbricks_assets.dashboard import charts, parts
from wanderbricks_assets.dashboard.place import ask
from wanderbricks_assets.dashboard.queries import customers
from wanderbricks_assets.dashboard.words import number, percent
from wanderbricks_assets.lazy import pd

LISTED = 500  # customers in the table; the download has all


def numbers(segments: pd.DataFrame, tenths: pd.DataFrame) -> None:
    first, second, third = (column.container(border=True) for column in st.columns(3))
    count, value = segments["customers"].sum(), segments["value"].sum()
    first.metric("Expected value, 12 months", number(value), f"{number(count)} customers", "off", delta_arrow="off")
    top = f"{number(tenths['customers'].iloc[0])} customers"
    second.metric("Share of the top tenth", percent(tenths["share"].iloc[0]), top, "off", delta_arrow="off")
    dear = segments[segments["segment"] != SEGMENTS[-1]]
    at_risk = dear[dear["risk"] != RISKS[0]]
    third.metric(
        "Valuable, at risk",
        number(at_risk["customers"].sum()),
        f"worth {number(at_risk['value'].sum())}",
        "off",
        delta_arrow="off",
        help="Customers of high or medium value whose churn risk is medium or high.",
    )


def table(actions: pd.DataFrame, day: object) -> None:
    st.subheader("Customers")
    left, middle, right = st.columns(3)
    with left:
        segment = parts.choose("Segment", list(SEGMENTS), "All segments", "segment")
    with middle:
        risk = parts.choose("Churn risk", list(RISKS), "All risks", "risk")
    with right:
        action = parts.choose("Action", sorted(actions["action"]), "All actions", "action")
    found = ask(customers.customers, segment, risk, action)
    if found.empty:
        st.info("No customer fits all three choices; widen one of them.", icon=":material/info:")
        return
    st.caption(
        f"{len(found):,} customers; the {min(LISTED, len(found)):,} of highest value are shown, the download has all."
    )
    st.dataframe(
        found.head(LISTED),
        hide_index=True,
        height=380,
        column_config={
            "user_id": st.column_config.NumberColumn("Customer", format="%d"),
            "predicted_ltv_12m": st.column_config.NumberColumn("Value, 12 months", format="%.0f"),
            "lower": st.column_config.NumberColumn("80% from", format="%.0f"),
            "upper": st.column_config.NumberColumn("to", format="%.0f"),
            "ltv_segment": "Segment",
            "churn_risk": "Churn risk",
            "actions": "Actions",
        },
    )
    st.download_button(
        "Download these customers", lambda: found.to_csv(index=False), f"customer_value_{day}.csv", "text/csv",
        icon=":material/download:", on_click="ignore",
    )  # fmt: skip


def page() -> None:
    made_at = ask(customers.valued_at)
    parts.title("Customers", made_at, "Value of the bookings that a customer will make in the next 12 months.")
    if made_at is None:
        parts.nothing_predicted("customer_ltv", "values of customers")
        return
    segments, tenths, actions = (ask(query) for query in (customers.segments, customers.shares, customers.actions))
    numbers(segments, tenths)
    left, right = st.columns(2)
    with left:
        st.subheader("Segment and churn risk")
        st.caption("Customers, and what they are worth in 12 months.")
        charts.show(
            charts.grid(segments, list(SEGMENTS), list(RISKS)),
            "Customers by segment and churn risk",
        )
    with right:
        st.subheader("What to do")
        st.caption("Customers that an action is recommended for.")
        tooltip = {"customers": ",", "value": ",.0f"}
        drawn = charts.bars(actions, "action", "customers", tooltip, charts.BOOKED)
        charts.show(drawn, "Customers by recommended action")
    table(actions, made_at)


page()
