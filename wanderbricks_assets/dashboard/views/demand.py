"""Where and when guests are expected."""

import streamlit as st

from wanderbricks_assets.dashboard import charts, parts
from wanderbricks_assets.dashboard.geography import WORLD, apart, around
from wanderbricks_assets.dashboard.place import ask
from wanderbricks_assets.dashboard.queries import demand
from wanderbricks_assets.dashboard.words import number, percent
from wanderbricks_assets.lazy import pd

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


def world(found: pd.DataFrame) -> None:
    st.subheader("Where")
    located = found.dropna(subset=["latitude", "longitude"])
    if located.empty:
        st.info("No listing has coordinates, so there is no map.", icon=":material/info:")
        return
    continents = located["continent"].dropna().value_counts().index.tolist()
    where = WORLDWIDE
    if len(continents) > 1:
        where = st.segmented_control("Part of the world", [WORLDWIDE, *continents], default=WORLDWIDE, required=True)
    part = located if where == WORLDWIDE else located[located["continent"] == where]
    box = WORLD if where == WORLDWIDE else around(part["longitude"].tolist(), part["latitude"].tolist())
    named = apart(list(zip(part["longitude"], part["latitude"], strict=True)), box)
    part = part.assign(named=named)
    part["named"] &= part["named"].cumsum() <= NAMED
    charts.show(charts.places(part, box), "Map of destinations by expected bookings")


def table(found: pd.DataFrame) -> None:
    st.dataframe(
        found[["destination", "country", "expected", "last_year", "change", "listings"]],
        hide_index=True,
        height=400,
        column_config={
            "destination": "Destination",
            "country": "Country",
            "expected": st.column_config.ProgressColumn(
                "Expected bookings", format="%.0f", min_value=0.0, max_value=float(found["expected"].max())
            ),
            "last_year": st.column_config.NumberColumn("A year before", format="%.0f"),
            "change": st.column_config.NumberColumn("Change", format="percent"),
            "listings": st.column_config.NumberColumn("Listings", format="localized"),
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
    drawing, listing = st.columns([3, 2])
    with drawing:
        world(found)
    with listing:
        st.subheader("Destinations")
        table(found)
    when(found)


page()
