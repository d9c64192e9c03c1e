"""Whom to address about which listing, and why."""

from datetime import date

import streamlit as st

from wanderbricks_assets.dashboard import charts, parts
from wanderbricks_assets.dashboard.place import ask
from wanderbricks_assets.dashboard.queries import marketing
from wanderbricks_assets.dashboard.words import number, percent

CUSTOMERS = ":material/group:"
LISTED = 500  # pairs in the table; the download has all


def numbers() -> None:
    found = ask(marketing.likelihoods)
    visitors, bookings = found["visitors"].sum(), found["bookings"].sum()
    first, second, third = (column.container(border=True) for column in st.columns(3))
    first.metric("Visitors and listings scored", number(visitors))
    second.metric("Bookings expected of them in 7 days", number(bookings))
    third.metric("Mean probability", percent(bookings / visitors, digits=1))


def page() -> None:
    made_at = ask(marketing.scored_at)
    parts.title("Marketing", made_at, "How likely who viewed a listing in the last 7 days is to book it within 7 days.")
    if made_at is None:
        parts.nothing_predicted("conversion_predictor", "scores of visitors, so no audience can be chosen by them")
        st.page_link("views/customers.py", label="Until then: whom to address by value and churn risk", icon=CUSTOMERS)
        return
    numbers()
    st.subheader("What moves them")
    st.caption("Visitors of whom it is one of the three strongest factors.")
    drawn = ask(marketing.factors).assign(impact=lambda rows: rows["impact"] * 100)
    tooltip = {"visitors": ",", "impact": "+.1f"}
    charts.show(
        charts.bars(drawn, "factor", "visitors", tooltip, charts.BOOKED),
        "Factors by how many visitors they move",
    )
    audience(made_at)


def audience(made_at: date) -> None:
    st.subheader("Audience")
    found, held_out = ask(marketing.audience, made_at), ask(marketing.held_out, made_at)
    if found.empty:
        st.info(
            "The audience rules choose nobody of those who were scored, or the audience of this day has not been made "
            "yet.",
            icon=":material/info:",
        )
        return
    st.caption(
        f"Visitors to contact: {found['user_id'].nunique():,}, chosen by the audience rules; "
        f"{held_out:,} more are held out, to measure against. They are ids: no names, no addresses. "
        f"The {min(LISTED, len(found)):,} pairs of greatest expected value are shown, the download has all."
    )
    st.dataframe(
        found.head(LISTED),
        hide_index=True,
        height=380,
        column_order=[
            *("user_id", "property_id", "destination", "probability", "expected_value", "reasons"),
            *("segment", "churn_risk", "channel", "message", "lower", "upper"),
        ],
        column_config={
            "user_id": st.column_config.NumberColumn("Visitor", format="%d"),
            "property_id": st.column_config.NumberColumn("Listing", format="%d"),
            "destination": "Destination",
            "probability": st.column_config.NumberColumn("Will book", format="percent"),
            "expected_value": st.column_config.NumberColumn("Expected value", format="%.0f"),
            "reasons": st.column_config.TextColumn("Why", width="medium"),
            "segment": "Segment",
            "churn_risk": "Churn risk",
            "channel": "Channel",
            "message": "Message",
            "lower": st.column_config.NumberColumn("90% from", format="percent"),
            "upper": st.column_config.NumberColumn("to", format="percent"),
        },
    )
    st.download_button(
        "Download this audience", lambda: found.to_csv(index=False), f"audience_{made_at}.csv", "text/csv",
        icon=":material/download:", on_click="ignore",
    )  # fmt: skip


page()
