"""The few kinds of chart, in one look that holds on a light and on a dark page."""

from __future__ import annotations

from datetime import date
from typing import Literal

import altair as alt
import streamlit as st
from altair.typing import ChartType

from wanderbricks_assets.dashboard.geography import Box, land_within, miller
from wanderbricks_assets.dashboard.words import number
from wanderbricks_assets.lazy import np, pd

# Told apart by the colour-blind (Okabe and Ito), of a middling lightness that shows on white and on black.
CAME, BOOKED, EXPECTED = "#8a939e", "#3a86c8", "#e08a2e"
UP, DOWN, SAME = "#2f9e8f", "#d0694f", "#8a939e"
FAINT = "#8a939e"
HEIGHT = 300
Align = Literal["left", "right"]
_DAY = alt.Axis(format="%-d %b", title=None, labelOverlap=True, grid=False, tickCount=8)


def show(chart: ChartType, described: str) -> None:
    """Draw over the whole width. described: what is seen, for those who do not see it."""
    st.altair_chart(chart, width="stretch", alt=described)


def revenue(days: pd.DataFrame, today: date) -> ChartType:
    """days: ds, and where known revenue, on_the_books, yhat, yhat_lower, yhat_upper."""
    x = alt.X("ds:T", axis=_DAY)
    base = alt.Chart(days)
    axis = alt.Axis(format="~s", tickCount=5, title="Revenue by check-in day")
    came = base.mark_area(color=CAME, opacity=0.45, line={"color": CAME, "strokeWidth": 1.2}).encode(
        x, alt.Y("revenue:Q", axis=axis)
    )
    booked = base.mark_area(color=BOOKED, opacity=0.45, line={"color": BOOKED, "strokeWidth": 1.2}).encode(
        x, alt.Y("on_the_books:Q")
    )
    layers = [came, booked]
    said = [("revenue", "came"), ("on_the_books", "on the books")]
    if "yhat" in days:
        band = base.mark_area(color=EXPECTED, opacity=0.25).encode(x, alt.Y("yhat_lower:Q"), alt.Y2("yhat_upper:Q"))
        layers += [band, base.mark_line(color=EXPECTED, strokeWidth=2).encode(x, alt.Y("yhat:Q"))]
        said += [("yhat", "expected"), ("yhat_lower", "80% from"), ("yhat_upper", "80% to")]
    near = alt.selection_point(nearest=True, on="pointerover", fields=["ds"], empty=False)
    tooltip = [alt.Tooltip("ds:T", title="check-in", format="%a %-d %b %Y")]
    tooltip += [alt.Tooltip(f"{name}:Q", title=title, format=",.0f") for name, title in said]
    pointer = base.mark_rule(color=FAINT).encode(
        x, opacity=alt.condition(near, alt.value(0.8), alt.value(0)), tooltip=tooltip
    )
    layers += [_today(today), pointer.add_params(near)]
    return alt.layer(*layers, *_labels(days, today)).properties(height=HEIGHT + 40)


def _labels(days: pd.DataFrame, today: date) -> list[alt.Chart]:
    """Names beside what they name, in its colour."""
    top = np.nanmax(days[[name for name in ("revenue", "on_the_books", "yhat_upper") if name in days]].to_numpy())
    first, last = days["ds"].min(), days["ds"].max()
    found = []
    if "revenue" in days and days["revenue"].notna().any():
        found.append(_label(first, top, "came", CAME, "left"))
    if "on_the_books" in days and days["on_the_books"].notna().any():
        found.append(_label(pd.Timestamp(today) + pd.Timedelta(2, "D"), top, "on the books", BOOKED, "left"))
    if "yhat" in days:
        found.append(_label(last, top * 1.08, "expected, with 80% interval", EXPECTED, "right"))
    return found


def _label(x: pd.Timestamp, y: float, text: str, color: str, align: Align) -> alt.Chart:
    place = alt.Chart(pd.DataFrame({"x": [x], "y": [y * 1.06], "text": [text]}))
    mark = place.mark_text(color=color, align=align, fontWeight="bold", fontSize=13, baseline="middle")
    return mark.encode(alt.X("x:T"), alt.Y("y:Q"), alt.Text("text:N"))


def _today(today: date) -> alt.Chart:
    place = alt.Chart(pd.DataFrame({"ds": [pd.Timestamp(today)]}))
    return place.mark_rule(color=FAINT, strokeDash=[4, 3]).encode(alt.X("ds:T"))


def moves(parts: pd.DataFrame) -> ChartType:
    """parts: label, change, in the order of drawing."""
    base = alt.Chart(parts.assign(told=[number(change, sign=True) for change in parts["change"]]))
    room = float(parts["change"].abs().max()) * 1.35 or 1.0
    y = alt.Y("label:N", sort=None, title=None, axis=alt.Axis(labelLimit=220, ticks=False, domain=False))
    x = alt.X(
        "change:Q",
        scale=alt.Scale(domain=[-room, room]),
        axis=alt.Axis(format="~s", tickCount=5, title="Change of revenue expected"),
    )
    color = alt.condition("datum.change < 0", alt.value(DOWN), alt.value(UP))
    tooltip = [alt.Tooltip("label:N", title="part")]
    tooltip += [alt.Tooltip(f"{name}:Q", format=",.0f") for name in ("before", "now", "change") if name in parts]
    bars = base.mark_bar(cornerRadius=2).encode(x, y, color=color, tooltip=tooltip)
    sides: list[tuple[str, Align, int]] = [(">=", "left", 5), ("<", "right", -5)]
    texts = [
        base.transform_filter(f"datum.change {sign} 0")
        .mark_text(align=align, dx=dx, color=FAINT, fontWeight="bold")
        .encode(alt.X("change:Q"), y, alt.Text("told:N"))
        for sign, align, dx in sides
    ]
    return alt.layer(bars, *texts).properties(height=34 * len(parts) + 50)


def places(found: pd.DataFrame, box: Box) -> ChartType:
    """found: destination, country, latitude, longitude, expected, last_year, change, listings."""
    land = alt.Chart(alt.Data(values=land_within(box))).mark_geoshape(fill=FAINT, opacity=0.28, stroke=None)
    points = alt.Chart(found.assign(latitude=found["latitude"].map(miller)))
    where = {"longitude": "longitude:Q", "latitude": "latitude:Q"}
    most = found["expected"].max()
    size = alt.Size("expected:Q", scale=alt.Scale(domain=[0, most], range=[12, 900]), legend=None)
    color = alt.Color(
        "change:Q",
        scale=alt.Scale(domain=[-0.5, 0, 0.5], range=[DOWN, "#c9b458", UP], clamp=True),
        legend=alt.Legend(
            title="Against the same weekdays last year",
            format="+.0%",
            orient="bottom",
            gradientLength=220,
            values=[-0.5, 0, 0.5],
            titleLimit=300,
        ),
    )
    tooltip = [
        alt.Tooltip("destination:N"),
        alt.Tooltip("country:N"),
        alt.Tooltip("expected:Q", title="expected bookings", format=",.0f"),
        alt.Tooltip("last_year:Q", title="a year before", format=",.0f"),
        alt.Tooltip("change:Q", format="+.0%"),
        alt.Tooltip("listings:Q", format=",.0f"),
    ]
    circles = points.mark_circle(opacity=0.8, stroke="white", strokeWidth=0.5).encode(
        **where, size=size, color=color, tooltip=tooltip
    )
    names = points.transform_filter(alt.datum.named).mark_text(dy=-16, color=FAINT, fontWeight="bold", fontSize=12)
    names = names.encode(**where, text="destination:N")
    return alt.layer(land, circles, names).project("identity", reflectY=True).properties(height=400)


def calendar(days: pd.DataFrame, counted: str) -> ChartType:
    """days: ds, expected. One row a week, one cell a day; counted: what a cell counts."""
    weekday, monday = days["ds"].dt.dayofweek, days["ds"] - pd.to_timedelta(days["ds"].dt.dayofweek, "D")
    busy = days["expected"] > days["expected"].quantile(0.6)
    cells = alt.Chart(
        days.assign(
            weekday=weekday.map(dict(enumerate(_WEEKDAYS))),
            week=monday.dt.strftime("%-d %b"),
            number=days["ds"].dt.strftime("%-d"),
            told=[f"{value:,.0f}" if value >= 9.95 else f"{value:.1f}" for value in days["expected"]],
            busy=busy,
        )
    ).encode(
        alt.X("weekday:O", sort=list(_WEEKDAYS), title=None, axis=alt.Axis(orient="top", labelAngle=0, ticks=False)),
        alt.Y("week:O", sort=None, title="Week from", axis=alt.Axis(ticks=False)),
    )
    shade = alt.Color("expected:Q", scale=alt.Scale(range=["#dbe9f6", "#0b5394"]), legend=None)
    tooltip = [
        alt.Tooltip("ds:T", title="check-in", format="%a %-d %b %Y"),
        alt.Tooltip("expected:Q", title=counted, format=",.1f"),
    ]
    boxes = cells.mark_rect(cornerRadius=4, stroke="white", strokeOpacity=0.3).encode(color=shade, tooltip=tooltip)
    ink = alt.condition(alt.datum.busy, alt.value("white"), alt.value("#1b2733"))
    values = cells.mark_text(fontSize=14, fontWeight="bold", dy=6).encode(text="told:N", color=ink)
    numbers = cells.mark_text(fontSize=10, dy=-11).encode(text="number:N", color=ink)
    return alt.layer(boxes, values, numbers).properties(height=54 * days["ds"].dt.to_period("W").nunique() + 30)


_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def bars(rows: pd.DataFrame, name: str, value: str, tooltip: dict[str, str], color: str) -> ChartType:
    """Horizontal bars, each under its name with its value beside it: names of any length fit any width.

    tooltip: column to number format.
    """
    base = alt.Chart(rows.assign(told=[number(one) for one in rows[value]]))
    y = alt.Y(f"{name}:N", sort=None, axis=None)
    room = float(rows[value].max()) * 1.15 or 1.0
    x = alt.X(f"{value}:Q", scale=alt.Scale(domain=[0, room]), axis=None)
    tips = [alt.Tooltip(f"{name}:N"), *(alt.Tooltip(f"{key}:Q", format=form) for key, form in tooltip.items())]
    drawn = base.mark_bar(color=color, cornerRadius=2, height=14, yOffset=10).encode(x, y, tooltip=tips)
    values = base.mark_text(align="left", dx=5, dy=10, color=FAINT, fontWeight="bold").encode(x, y, text="told:N")
    names = base.mark_text(align="left", dy=-7, color=FAINT, fontSize=13).encode(x=alt.value(0), y=y, text=f"{name}:N")
    return alt.layer(drawn, values, names).properties(height=42 * len(rows) + 10)


def price_changes(bins: pd.DataFrame) -> alt.Chart:
    """bins: change, nights, expected_gain."""
    kinds = np.select([bins["change"] < 0, bins["change"] > 0], ["lowered", "raised"], "kept")
    scale = alt.Scale(domain=["lowered", "kept", "raised"], range=[DOWN, SAME, UP])
    base = alt.Chart(bins.assign(kind=kinds))
    return (
        base.mark_bar(size=18, cornerRadius=2)
        .encode(
            alt.X(
                "change:Q",
                scale=alt.Scale(domain=[-0.33, 0.33]),
                axis=alt.Axis(format="+.0%", title="Recommended against current price", values=_TENTHS),
            ),
            alt.Y("nights:Q", axis=alt.Axis(format="~s", title="Nights", tickCount=4)),
            alt.Color("kind:N", scale=scale, legend=alt.Legend(title=None, orient="top")),
            tooltip=[
                alt.Tooltip("change:Q", title="change, about", format="+.1%"),
                alt.Tooltip("nights:Q", format=","),
                alt.Tooltip("expected_gain:Q", title="expected gain", format=",.0f"),
            ],
        )
        .properties(height=HEIGHT)
    )


_TENTHS = [-0.3, -0.2, -0.1, 0, 0.1, 0.2, 0.3]


def price_nights(nights: pd.DataFrame) -> ChartType:
    """nights of one listing: target_date, current_price, recommended_price, expected_gain, reason."""
    base = alt.Chart(nights)
    x = alt.X("target_date:T", axis=_DAY)
    y = alt.Y("current_price:Q", scale=alt.Scale(zero=False, padding=12), axis=alt.Axis(title="Price of a night"))
    tooltip = [
        alt.Tooltip("target_date:T", title="night", format="%a %-d %b %Y"),
        alt.Tooltip("current_price:Q", title="current", format=",.2f"),
        alt.Tooltip("recommended_price:Q", title="recommended", format=",.2f"),
        alt.Tooltip("expected_gain:Q", title="expected gain", format=",.2f"),
        alt.Tooltip("reason:N"),
    ]
    now = base.mark_line(color=CAME, interpolate="step", strokeWidth=2).encode(x, y)
    then = base.mark_circle(color=EXPECTED, size=70, opacity=1).encode(x, alt.Y("recommended_price:Q"), tooltip=tooltip)
    gap = base.mark_rule(color=EXPECTED, opacity=0.4).encode(x, y, alt.Y2("recommended_price:Q"))
    return alt.layer(now, gap, then).properties(height=260)


def grid(cells: pd.DataFrame, rows: list[str], columns: list[str]) -> ChartType:
    """cells: segment, risk, customers, value."""
    told = [number(count) for count in cells["customers"]]
    base = alt.Chart(cells.assign(told=told, worth=[number(value) for value in cells["value"]])).encode(
        alt.X("risk:O", sort=columns, title="Churn risk", axis=alt.Axis(orient="top", labelAngle=0, ticks=False)),
        alt.Y("segment:O", sort=rows, title=None, axis=alt.Axis(ticks=False)),
    )
    most = float(cells["value"].max())
    shade = alt.Color("value:Q", scale=alt.Scale(type="sqrt", range=["#dbe9f6", "#0b5394"]), legend=None)
    tooltip = [
        alt.Tooltip("segment:N"),
        alt.Tooltip("risk:N", title="churn risk"),
        alt.Tooltip("customers:Q", format=","),
        alt.Tooltip("value:Q", title="value of 12 months", format=",.0f"),
    ]
    ink = alt.condition(f"datum.value > {most * 0.25}", alt.value("white"), alt.value("#1b2733"))
    boxes = base.mark_rect(cornerRadius=4, stroke="white", strokeOpacity=0.3).encode(color=shade, tooltip=tooltip)
    counts = base.mark_text(dy=-9, fontWeight="bold", fontSize=16).encode(text="told:N", color=ink)
    worths = base.mark_text(dy=10, fontSize=12).encode(text="worth:N", color=ink)
    return alt.layer(boxes, counts, worths).properties(height=72 * len(rows) + 40)


def bullet(value: float, lower: float, upper: float, target: float, naive: float, form: str, passed: bool) -> ChartType:
    """A metric with its interval, against target and naive baseline. form: number format of the axis."""
    end = max(upper, target, naive) * 1.12
    frame = pd.DataFrame({"value": [value], "lower": [lower], "upper": [upper], "target": [target], "naive": [naive]})
    base = alt.Chart(frame)
    axis = alt.Axis(format=form, title=None, tickCount=5, grid=False)
    x = alt.X("value:Q", scale=alt.Scale(domain=[0, end]), axis=axis)
    color = UP if passed else DOWN
    tooltip = [alt.Tooltip(f"{name}:Q", format=form) for name in frame]
    interval = base.mark_bar(color=color, opacity=0.35, height=14).encode(
        alt.X("lower:Q", scale=alt.Scale(domain=[0, end]), axis=axis), alt.X2("upper:Q"), tooltip=tooltip
    )
    point = base.mark_point(color=color, filled=True, size=110, opacity=1).encode(x, tooltip=tooltip)
    layers = [interval, point]
    for name, dash, place in (("target", [1, 0], -24), ("naive", [4, 3], -24)):
        tick = base.mark_tick(color=FAINT, thickness=2, height=34, strokeDash=dash).encode(alt.X(f"{name}:Q"))
        text = base.mark_text(dy=place, color=FAINT, fontSize=11).encode(alt.X(f"{name}:Q"), text=alt.value(name))
        layers += [tick, text]
    return alt.layer(*layers).properties(height=100)


def realized(days: pd.DataFrame, form: str) -> ChartType:
    """days of one metric: day, value, lower, upper, at_training, bound."""
    base = alt.Chart(days)
    x = alt.X("day:T", axis=_DAY)
    y = alt.Y("value:Q", scale=alt.Scale(zero=False, padding=8), axis=alt.Axis(format=form, title=None, tickCount=4))
    tooltip = [alt.Tooltip("day:T", format="%-d %b %Y")]
    named = {"value": "realized", "lower": "from", "upper": "to", "at_training": "at training", "bound": "bound"}
    tooltip += [alt.Tooltip(f"{name}:Q", title=title, format=form) for name, title in named.items()]
    return alt.layer(
        base.mark_area(color=BOOKED, opacity=0.2).encode(x, alt.Y("lower:Q"), alt.Y2("upper:Q")),
        base.mark_line(color=FAINT, strokeDash=[4, 3]).encode(x, alt.Y("at_training:Q")),
        base.mark_line(color=DOWN, strokeWidth=1.5).encode(x, alt.Y("bound:Q")),
        base.mark_line(color=BOOKED, strokeWidth=2, point={"size": 40, "color": BOOKED}).encode(x, y, tooltip=tooltip),
    ).properties(height=220)
