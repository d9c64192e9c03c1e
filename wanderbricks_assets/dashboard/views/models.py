"""How good the models are, what serves since when and why, and how predictions turned out."""

import streamlit as st

from wanderbricks_assets.dashboard import charts, parts, place
from wanderbricks_assets.dashboard.place import ask
from wanderbricks_assets.dashboard.queries import models
from wanderbricks_assets.dashboard.words import METRICS, day, is_fraction, metric
from wanderbricks_assets.lazy import pd
from wanderbricks_assets.predictions.assets import PREDICTED_BY
from wanderbricks_assets.scoreboard import Row, scoreboard_rows
from wanderbricks_assets.targets import TARGETS

FRESH = 60  # seconds that an answer of the registry is kept; it has no version that could be asked for
TABLE_OF = {model: contract.name for contract, model in PREDICTED_BY.items()}
GATE = "A version may serve when the cautious end of its 90% interval keeps to the target, out of time."


@st.cache_data(ttl=FRESH, show_spinner="Asking the registry ...")
def scoreboard(tracking_uri: str) -> list[tuple[Row, models.Service]]:
    """Of each model its row and its versions. tracking_uri: what the answer is of."""
    registry = place.registry()
    rows = scoreboard_rows(registry, place.lake(), source=None, floors=False)
    return [(row, models.service(registry, TARGETS[row.model])) for row in rows]


def card(row: Row, service: models.Service) -> None:
    target = TARGETS[row.model]
    with st.container(border=True):
        name, mark = st.columns([3, 2])
        name.markdown(f"#### {target.title}")
        with mark:
            if row.passed:
                st.badge("newest version passed its gates", icon=":material/check:", color="green")
            else:
                st.badge("newest version did not pass", icon=":material/block:", color="red")
        saying, drawing = st.columns([3, 2])
        with drawing:
            if row.value is not None:
                st.markdown(
                    f"Newest version: **{metric(row.metric, row.value)}** {METRICS[row.metric]}; 90% interval "
                    f"{metric(row.metric, row.lower)} to {metric(row.metric, row.upper)}, target {target.sign} "
                    f"{metric(row.metric, row.target)}, naive {metric(row.metric, row.baseline)}"
                )
                form = ".0%" if is_fraction(row.metric) else ".2f"
                charts.show(
                    charts.bullet(row.value, row.lower, row.upper, row.target, row.baseline, form, row.passed),
                    f"{row.metric} against its target and the naive baseline",
                )
        with saying:
            st.markdown(serving(row, service))
            if row.reason:
                st.caption(f"Newest version, not passed: {row.reason}")
        if len(service.versions):
            with st.expander("All versions"):
                versions(row.metric, service.versions)


def serving(row: Row, service: models.Service) -> str:
    if service.serving is None:
        return "**Nothing serves:** no version has passed its gates, so nothing is predicted."
    version = service.serving
    since = ask(models.predicts_since, version.version, of=TABLE_OF[row.model])
    predicts = f", predicts since {day(since)}" if since else ""
    why = (version.decision or "no decision is on record").removeprefix(f"Version {version.version} serves: ")
    return (
        f"**Version {version.version} serves**{predicts}, trained on what was known before {day(version.cutoff)}. "
        f"Why: {why}"
    )


def versions(name: str, found: pd.DataFrame) -> None:
    form = "percent" if is_fraction(name) else "%.3f"
    st.dataframe(
        found,
        hide_index=True,
        column_config={
            "version": "Version",
            "trained_until": st.column_config.DateColumn("Known until", format="D MMM YYYY"),
            "value": st.column_config.NumberColumn(name, format=form),
            "lower": st.column_config.NumberColumn("90% from", format=form),
            "upper": st.column_config.NumberColumn("to", format=form),
            "promoted": st.column_config.CheckboxColumn("Was let serve"),
            "decision": st.column_config.TextColumn("Why", width="large"),
        },
    )


def realized() -> None:
    st.subheader("How predictions turned out")
    st.caption("Realized, with its 90% interval; dashed: the same figure in training; red: the bound.")
    found = ask(models.realized)
    if found.empty:
        st.info("No prediction is old enough yet to be compared with what happened.", icon=":material/info:")
        return
    for (model, name), days in found.groupby(["model", "metric"], sort=False):
        measured = name.removeprefix("realized_")
        st.markdown(f"**{TARGETS[model].title}**, {METRICS.get(measured, measured)}")
        known = days.dropna(subset=["value"])
        if known.empty:
            st.caption(f"Not computed yet: {days['reason'].iloc[-1]}")
        else:
            charts.show(charts.realized(known, ".1%" if is_fraction(name) else ".2f"), f"Realized {name} over time")


def page() -> None:
    parts.title("Models", None, GATE)
    if not place.is_anything_registered():
        st.info(parts.NOT_RUN, icon=":material/info:")
        return
    for row, service in scoreboard(place.registry().tracking_uri):
        card(row, service)
    realized()


page()
