"""Expected bookings of the next 30 days, by destination and by day of check-in."""

from __future__ import annotations

from datetime import date, timedelta

from wanderbricks_assets.dashboard.queries.newest import newest
from wanderbricks_assets.lazy import Table, pd

LAST_YEAR = timedelta(days=364)  # the same weekdays


def by_destination(
    demand_forecast: Table, fact_booking_daily: Table, dim_property: Table, dim_destination: Table
) -> pd.DataFrame:
    """[destinations] destination_id, destination, country, continent, latitude, longitude, listings, expected (bookings
    of all days of the newest forecast), last_year (of the same weekdays 364 days before), change; the busiest first."""
    rows = newest(demand_forecast)
    expected = rows.group_by("destination_id").agg(
        expected=rows.expected_bookings.sum(), listings=rows.property_id.nunique()
    )
    span = rows.aggregate(first=rows.ds.min(), last=rows.ds.max()).to_pyarrow().to_pylist()[0]
    if span["first"] is None:
        return pd.DataFrame(columns=["destination_id", "destination", "expected"])
    year_ago = fact_booking_daily.filter(
        fact_booking_daily.check_in_date.between(span["first"] - LAST_YEAR, span["last"] - LAST_YEAR)
    )
    year_ago = year_ago.group_by("destination_id").agg(last_year=year_ago.booking_count.sum().cast("float64"))
    # Where most listings are; a place's middle, which one listing with wrong coordinates does not move.
    listed = dim_property.filter(dim_property.is_current)
    places = listed.group_by("destination_id").agg(
        latitude=listed.latitude.median(), longitude=listed.longitude.median()
    )
    found = (
        expected.left_join(
            dim_destination.select("destination_id", "destination", "country", "continent"), "destination_id"
        )
        .drop("destination_id_right")
        .left_join(places, "destination_id")
        .drop("destination_id_right")
        .left_join(year_ago, "destination_id")
        .drop("destination_id_right")
    ).to_pandas()
    found["change"] = found["expected"] / found["last_year"].where(found["last_year"] > 0) - 1
    return found.sort_values("expected", ascending=False, ignore_index=True)


def by_day(demand_forecast: Table, destination_id: int | None) -> pd.DataFrame:
    """[days] ds, expected: bookings of each day of the newest forecast, of a destination or of all."""
    rows = newest(demand_forecast)
    if destination_id is not None:
        rows = rows.filter(rows.destination_id == destination_id)
    sums = rows.group_by("ds").agg(expected=rows.expected_bookings.sum()).order_by("ds")
    return sums.to_pandas().astype({"ds": "datetime64[ns]"})


def forecast_made_at(demand_forecast: Table) -> date | None:
    """The day at whose beginning the newest forecast was made."""
    made_at = demand_forecast.made_at.max().to_pyarrow().as_py()
    return made_at.date() if made_at else None
