"""What came, what is booked, what is expected, and what moved since last week."""

from datetime import date, timedelta

import streamlit as st

from wanderbricks_assets.dashboard import charts, parts
from wanderbricks_assets.dashboard.place import ask
from wanderbricks_assets.dashboard.queries import revenue
from wanderbricks_assets.dashboard.words import day, number, percent
from wanderbricks_assets.lazy import pd

PAST = 60  # days that the chart shows before today
PARTS = {
    "on_the_books": "Booked, less cancelled",
    "trend": "Usually still to come",
    "season": "… for this season and weekday",
    "holiday": "… for holidays",
    "pick_up": "Pace, and all else",
}


def totals(forecast: pd.DataFrame, actual: pd.DataFrame, today: date) -> None:
    for column, row in zip(st.columns(3), revenue.totals(forecast, actual, today).to_dict("records"), strict=True):
        grown = row["expected"] / row["last_year"] - 1 if row["last_year"] > 0 else None
        with column.container(border=True):
            st.metric(
                f"Next {row['days']} days, expected",
                number(row["expected"]),
                f"{percent(grown, sign=True)} on last year" if grown is not None and grown == grown else None,
                help="Against the same weekdays, 364 days before.",
            )
            booked = row["on_the_books"]
            st.caption(f"{number(booked)} on the books, {percent(booked / row['expected'])} of it")


def moved(now: pd.DataFrame, actual: pd.DataFrame, today: date) -> None:
    before = ask(revenue.forecast_of, today - revenue.WEEK)
    st.subheader("What moved since last week")
    if before.empty:
        st.info(
            f"No forecast was made on {day(today - revenue.WEEK)}; a week after the first one its changes appear here.",
            icon=":material/info:",
        )
        return
    days = st.segmented_control(
        "Days ahead", revenue.HORIZONS, default=30, required=True, format_func=lambda days: f"{days} days"
    )
    change = revenue.moved(now, before, days)
    last = min(today + timedelta(days=days), before["ds"].max().date() + timedelta(days=1)) - timedelta(days=1)
    drawing, saying = st.columns([3, 2])
    with drawing:
        total = pd.DataFrame([{"label": "Together", "change": change["change"].sum()}])
        drawn = change.assign(label=change["part"].map(PARTS))
        charts.show(charts.moves(pd.concat([drawn, total])), "Change of the forecast by its parts")
    with saying:
        sums = change[["before", "now", "change"]].sum()
        st.markdown(
            f"Check-ins up to {day(last)}: **{number(sums['now'])}** expected now, {number(sums['before'])} a week ago "
            f"(**{number(sums['change'], sign=True)}**). As days draw near, what usually still comes turns into "
            "bookings; what is left of both together is news."
        )
        expected, came, over = revenue.since(before, actual)
        if over:
            st.markdown(
                f"For the {over} days since, {number(expected)} was expected and **{number(came)}** came "
                f"({percent(came / expected - 1, sign=True, digits=1)})."
            )


def page() -> None:
    today = ask(revenue.known_until)
    parts.title("Revenue", today, "By day of check-in, bookings that are not cancelled.")
    if today is None:
        st.info(
            "**There are no bookings yet.** `wanderbricks run` fills the tables that this page reads.",
            icon=":material/info:",
        )
        return
    forecast = ask(revenue.forecast_of, today)
    actual = ask(revenue.revenue_by_day, today - 2 * revenue.LAST_YEAR, today)
    shown = actual[actual["ds"] >= pd.Timestamp(today) - pd.Timedelta(PAST, "D")]
    if forecast.empty:
        to_come = ask(revenue.books_by_day, today, revenue.HORIZONS[-1])
        charts.show(charts.revenue(pd.concat([shown, to_come]), today), "Revenue by day, and what is on the books")
        parts.nothing_predicted("revenue_forecaster", "forecasts of revenue")
        return
    totals(forecast, actual, today)
    charts.show(
        charts.revenue(pd.concat([shown, forecast]), today), "Revenue by day: what came, what is booked and expected"
    )
    st.download_button(
        "Download the forecast", forecast.to_csv(index=False), f"revenue_forecast_{today}.csv", "text/csv",
        icon=":material/download:", on_click="ignore",
    )  # fmt: skip
    moved(forecast, actual, today)


page()
