"""Where and when guests are expected."""

import streamlit as st

from wanderbricks_assets.dashboard import charts, parts
from wanderbricks_assets.dashboard.geography import WORLD, Box, apart, around
from wanderbricks_assets.dashboard.place import ask
from wanderbricks_assets.dashboard.queries import demand
from wanderbricks_assets.dashboard.words import number, percent
from wanderbricks_assets.lazy import np, pd

NAMED = 8  # destinations of which the map shows the name
WORLDWIDE = "World"


def numbers(found: pd.DataFrame, days: pd.DataFrame) -> None:
    expected, last_year = found["expected"].sum(), found["last_year"].sum()
    busiest = days.loc[days["expected"].idxmax()]
    first, second, third = (column.container(border=True) for column in st.columns(3))
    grown = f"{percent(expected / last_year - 1, sign=True)} on last year" if last_year > 0 else None
    first.metric(
        f"Bookings, next {len(days)} days", number(expected), grown, help="Against the same weekdays, 364 days before."
    )
    second.metric(
        "Busiest day",
        f"{busiest['ds']:%a %-d %b}",
        f"{number(busiest['expected'])} check-ins",
        "off",
        delta_arrow="off",
    )
    top = found.iloc[0]
    bookings = f"{number(top['expected'])} bookings"
    third.metric("Busiest destination", top["destination"], bookings, "off", delta_arrow="off")


def where(found: pd.DataFrame) -> None:
    st.subheader("Where")
    part, box = found, WORLD
    continents = found["continent"].dropna().value_counts().index.tolist()
    if len(continents) > 1:
        options = [WORLDWIDE, *continents]
        chosen = st.segmented_control("Part of the world", options, default=WORLDWIDE, required=True)
        if chosen != WORLDWIDE:
            part = found[found["continent"] == chosen]
            box = around(part["longitude"].dropna().tolist(), part["latitude"].dropna().tolist())
    drawing, listing = st.columns([3, 2])
    with drawing:
        world(part.dropna(subset=["latitude", "longitude"]), box)
    with listing:
        table(part)


def world(located: pd.DataFrame, box: Box) -> None:
    if located.empty:
        st.info("No listing here has coordinates, so there is no map.", icon=":material/info:")
        return
    named = apart(list(zip(located["longitude"], located["latitude"], strict=True)), box)
    located = located.assign(named=named & (np.cumsum(named) <= NAMED))
    charts.show(charts.places(located, box), "Map of destinations by expected bookings")


def table(found: pd.DataFrame) -> None:
    st.dataframe(
        found[["destination", "expected", "change", "last_year", "listings", "country"]],
        hide_index=True,
        height=400,
        column_config={
            "destination": "Destination",
            "expected": st.column_config.ProgressColumn(
                "Expected", format="%.0f", min_value=0.0, max_value=float(found["expected"].max()), width="small"
            ),
            "change": st.column_config.NumberColumn("Change", format="percent", width="small"),
            "last_year": st.column_config.NumberColumn("Last year", format="%.0f", width="small"),
            "listings": st.column_config.NumberColumn("Listings", format="localized", width="small"),
            "country": "Country",
        },
    )


def when(found: pd.DataFrame) -> None:
    st.subheader("When")
    names = dict(zip(found["destination"], found["destination_id"], strict=True))
    destination = parts.choose("Destination", list(names), "All destinations", "destination")
    days = ask(demand.by_day, None if destination is None else int(names[destination]))
    charts.show(charts.calendar(days, "expected bookings"), "Calendar of expected bookings by day of check-in")


def page() -> None:
    parts.title(
        "Demand", ask(demand.forecast_made_at), "Expected bookings by day of check-in, cancelled ones included."
    )
    found = ask(demand.by_destination)
    if found.empty:
        parts.nothing_predicted("demand_predictor", "forecasts of demand")
        return
    numbers(found, ask(demand.by_day, None))
    where(found)
    when(found)


page()
