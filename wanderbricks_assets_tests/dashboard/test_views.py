"""Every page by Streamlit's own test runner: on a small lake, on an empty one, with a registry and without."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from wanderbricks_assets.dashboard import place
from wanderbricks_assets.dashboard.__main__ import APP
from wanderbricks_assets.dashboard.app import PAGES
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets_tests.dashboard.small_lake import DESTINATIONS, TODAY, day, forecast, stays, write

TITLES = {name: title for name, title, _ in PAGES}


def opened(name: str) -> AppTest:
    """The page, without an exception."""
    app = AppTest.from_file(str(APP), default_timeout=60).run()
    app.switch_page(f"views/{name}.py").run()
    assert [error.message for error in app.exception] == []
    assert [header.value for header in app.header] == [TITLES[name]]
    return app


def numbers(app: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


def said(app: AppTest) -> str:
    return "\n".join(part.value for kind in (app.info, app.caption, app.markdown) for part in kind)


def charts(app: AppTest) -> int:
    return len(app.get("vega_lite_chart"))


@pytest.mark.parametrize("name", TITLES)
def test_every_page_of_an_empty_home_says_why_there_is_nothing(name: str, empty_home: Path):
    app = opened(name)
    assert len(app.info) == 1
    assert charts(app) == 0
    assert not (empty_home / "mlflow.db").exists(), "looking must make nothing"


@pytest.mark.parametrize("name", [name for name in TITLES if name != "models"])
def test_every_page_of_a_filled_home_draws(name: str, filled_home: Path):
    app = opened(name)
    assert charts(app) >= 1
    assert len(app.metric) == 3


def test_revenue_adds_up_the_forecast_and_says_what_moved(filled_home: Path):
    app = opened("revenue")
    assert numbers(app) == {
        "Next 30 days, expected": "3.15k", "Next 60 days, expected": "6.3k", "Next 90 days, expected": "9.45k",
    }  # fmt: skip
    assert "2.4k on the books, 76% of it" in said(app)
    assert "**3.15k** expected now, 3k a week ago (**+150**)" in said(app)
    assert "For the 7 days since, 700 was expected and **721** came (+3.0%)" in said(app)
    app.segmented_control[0].set_value(60).run()
    assert "**6.3k** expected now" in said(app)


def test_revenue_without_a_forecast_of_last_week_says_when_it_will_compare(own_home: Path):
    write(place.lake(), "revenue_forecast", *(forecast(day(ahead), trend=1.0) for ahead in range(90)))
    app = opened("revenue")
    assert "No forecast was made on 26 Feb 2024" in said(app)
    assert charts(app) == 1


def test_revenue_without_any_forecast_shows_the_books_and_says_why(empty_home: Path):
    write(place.lake(), "fact_booking_daily", stays(day(-1)), stays(day(-2)))
    app = opened("revenue")
    assert charts(app) == 1
    assert "There are no forecasts of revenue" in said(app)
    assert "Known until the end of 3 Mar 2024" in said(app)


def test_a_newer_write_to_the_lake_is_seen_at_once(own_home: Path):
    assert numbers(opened("revenue"))["Next 30 days, expected"] == "3.15k"
    write(place.lake(), "revenue_forecast", *(forecast(day(ahead), trend=1.0) for ahead in range(90)))
    assert numbers(opened("revenue"))["Next 30 days, expected"] == "30"


def test_demand_is_of_the_destination_that_was_picked(filled_home: Path):
    app = opened("demand")
    assert numbers(app)["Bookings, next 30 days"] == "45"
    assert numbers(app)["Busiest destination"] == "Lisbon"
    app.selectbox(key="destination").set_value("Kyoto").run()
    assert not app.exception
    app.segmented_control[0].set_value("Asia").run()
    assert not app.exception


def test_demand_of_listings_without_coordinates_has_no_map_but_a_calendar(own_home: Path):
    write(place.lake(), "dim_property")
    app = opened("demand")
    assert "No listing here has coordinates" in said(app)
    assert charts(app) == 1


def test_prices_are_filtered_and_say_what_they_bring(filled_home: Path):
    app = opened("prices")
    assert numbers(app)["Expected gain"] == "300"
    app.selectbox(key="price_destination").set_value("Kyoto").run()
    assert numbers(app) == {"Expected gain": "0", "Nights to change": "0", "To raise, to lower": "0, 0"}
    app.selectbox(key="price_kind").set_value("lowered: guests respond strongly to price").run()
    assert "No night fits all three choices" in said(app)


def test_customers_are_filtered(filled_home: Path):
    app = opened("customers")
    assert numbers(app)["Valuable, at risk"] == "1"
    app.selectbox(key="segment").set_value("Low Value").run()
    assert app.dataframe[0].value["user_id"].tolist() == [9]
    app.selectbox(key="risk").set_value("Low").run()
    assert "No customer fits all three choices" in said(app)


def test_marketing_names_whom_to_contact_and_why(filled_home: Path):
    app = opened("marketing")
    assert numbers(app)["Mean probability"] == "15.0%"
    assert app.dataframe[0].value["user_id"].tolist() == [7]
    assert "Visitors to contact: 1, chosen by the audience rules; 1 more are held out" in said(app)


def test_models_say_what_serves_since_when_and_why_the_newest_does_not(trained_home: Path):
    app = opened("models")
    assert "**Version 1 serves**, predicts since 26 Feb 2024, trained on what was known before 15 Jan 2024" in said(app)
    assert "mape 0.3 [0.29, 0.31], target < 0.15" in said(app)
    assert "**Nothing serves:**" in said(app)
    assert "**Customer value**, mean error" in said(app)
    assert "Not computed yet: too few days" in said(app)
    assert charts(app) == 2  # of the version against its target, and of what was realized
    assert app.dataframe[0].value["promoted"].tolist() == [False, True]


def test_a_page_without_predictions_says_what_the_registry_says(trained_home: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(place, "lake", lambda: Lake(folder=str(tmp_path)))
    assert "It has not been trained yet" in said(opened("marketing"))


def test_destinations_of_the_small_lake_are_on_two_continents():
    assert {destination["continent"] for destination in DESTINATIONS} == {"Europe", "Asia"}
    assert TODAY.isoweekday() == 1
