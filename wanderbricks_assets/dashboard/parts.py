"""Parts that several pages have."""

from __future__ import annotations

from datetime import date

import streamlit as st

from wanderbricks_assets.dashboard import place
from wanderbricks_assets.dashboard.queries.models import why_no_predictions
from wanderbricks_assets.dashboard.words import day
from wanderbricks_assets.lazy import pd
from wanderbricks_assets.targets import TARGETS

NOT_RUN = "Nothing has been trained in this home yet: `wanderbricks run`, or the Dagster UI, begins."


def title(text: str, known_until: date | None, what: str) -> None:
    """known_until: the first day that is not over."""
    st.header(text)
    st.caption(f"{what} Known until the end of {day(known_until - pd.Timedelta(1, 'D'))}." if known_until else what)


def nothing_predicted(model: str, what: str) -> None:
    """Say why a table of predictions is empty, and what comes first."""
    with st.spinner("Asking the registry why ..."):
        reason = why_no_predictions(place.registry(), TARGETS[model]) if place.is_anything_registered() else NOT_RUN
    st.info(f"**There are no {what}.** {reason}", icon=":material/info:")


def choose(label: str, options: list[str], everything: str, key: str) -> str | None:
    """One of the options, or None for everything."""
    return st.selectbox(label, [None, *options], format_func=lambda option: option or everything, key=key)
