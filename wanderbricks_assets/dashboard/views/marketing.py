"""Whom to address about which listing, and why."""

import streamlit as st

from wanderbricks_assets.dashboard import charts, parts
from wanderbricks_assets.dashboard.place import ask
from wanderbricks_assets.dashboard.queries import marketing
from wanderbricks_assets.dashboard.words import number, percent

CUSTOMERS = ":material/group:"
LISTED = 500  # of the likeliest


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
    found = ask(marketing.audience, LISTED)
    st.subheader("Audience")
    st.caption(f"The {len(found):,} likeliest pairs of visitor and listing. Visitors are ids; no names, no addresses.")
    st.dataframe(
        found,
        hide_index=True,
        height=380,
        column_config={
            "user_id": st.column_config.NumberColumn("Visitor", format="%d"),
            "property_id": st.column_config.NumberColumn("Listing", format="%d"),
            "title": "Title",
            "destination": "Destination",
            "probability": st.column_config.NumberColumn("Will book", format="percent"),
            "lower": st.column_config.NumberColumn("90% from", format="percent"),
            "upper": st.column_config.NumberColumn("to", format="percent"),
            "why": st.column_config.TextColumn("Why, in points of probability", width="large"),
        },
    )
    st.download_button(
        "Download this audience", lambda: found.to_csv(index=False), f"audience_{made_at}.csv", "text/csv",
        icon=":material/download:", on_click="ignore",
    )  # fmt: skip


page()
