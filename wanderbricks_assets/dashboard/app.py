"""The dashboard: `streamlit run app.py`, here by `wanderbricks dashboard`, on Databricks as an app."""

from pathlib import Path

import streamlit as st

# An icon of our own: for one of its own names the browser would ask the internet.
st.set_page_config(page_title="Wanderbricks", page_icon=str(Path(__file__).with_name("icon.svg")), layout="wide")
# By default a page begins a tenth of a screen below the navigation.
st.html("<style>.stMainBlockContainer {padding-top: 4rem; padding-bottom: 3rem;}</style>")
PAGES = (
    ("revenue", "Revenue", ":material/payments:"),
    ("demand", "Demand", ":material/calendar_month:"),
    ("prices", "Prices", ":material/sell:"),
    ("customers", "Customers", ":material/group:"),
    ("marketing", "Marketing", ":material/campaign:"),
    ("models", "Models", ":material/verified:"),
)
st.navigation(
    [
        st.Page(f"views/{name}.py", title=title, icon=icon, url_path=name, default=name == "revenue")
        for name, title, icon in PAGES
    ],
    position="top",
).run()
