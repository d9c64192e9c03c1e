import pandas as pd

from wanderbricks_assets.contracts.tables import LAKE
from wanderbricks_assets.dashboard.queries import demand
from wanderbricks_assets_tests.dashboard.small_lake import DESTINATIONS, LAST_WEEK, TODAY, day, listing, made, stays
from wanderbricks_assets_tests.dashboard.small_lake import demand as expected
from wanderbricks_assets_tests.marketplace import table_of


def by_destination(forecast: list[dict], came: list[dict], listings: list[dict]) -> pd.DataFrame:
    tables = ("demand_forecast", forecast), ("fact_booking_daily", came), ("dim_property", listings)
    found = [table_of(LAKE[name], *rows) for name, rows in tables]
    return demand.by_destination(*found, table_of(LAKE["dim_destination"], *DESTINATIONS))


def test_destinations_are_the_sums_of_their_listings_against_the_same_weekdays_last_year():
    forecast = [expected(1, day(0), 2.0), expected(3, day(1), 1.0), expected(2, day(0), 0.5, 2)]
    came = [stays(day(-364), bookings=2), stays(day(-363), 3, bookings=2), stays(day(-362), bookings=9)]
    listings = [listing(1), listing(3, latitude=38.9), listing(2, 2, 35.0, 135.8)]
    found = by_destination(forecast, came, listings).set_index("destination")
    assert found.index.tolist() == ["Lisbon", "Kyoto"]
    assert found.loc["Lisbon", ["expected", "last_year", "change", "listings"]].tolist() == [3.0, 4, -0.25, 2]
    assert round(found.loc["Lisbon", "latitude"], 6) == 38.8
    assert found.loc["Kyoto", "continent"] == "Asia"
    assert pd.isna(found.loc["Kyoto", "change"])


def test_only_the_newest_forecast_counts():
    old = expected(1, day(0), 50.0) | made(LAST_WEEK, "demand_predictor")
    rows = table_of(LAKE["demand_forecast"], old, expected(1, day(0), 2.0), expected(2, day(0), 0.5, 2))
    assert demand.by_day(rows, None)["expected"].tolist() == [2.5]
    assert demand.by_day(rows, 2)["expected"].tolist() == [0.5]
    assert demand.forecast_made_at(rows) == TODAY


def test_without_a_forecast_there_is_no_destination():
    assert by_destination([], [stays(day(-1))], [listing(1)]).empty
    assert demand.forecast_made_at(table_of(LAKE["demand_forecast"])) is None
