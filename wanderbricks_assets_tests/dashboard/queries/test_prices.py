import io

import pandas as pd
import pytest

from wanderbricks_assets.contracts.tables import LAKE
from wanderbricks_assets.dashboard.queries import prices
from wanderbricks_assets_tests.dashboard.small_lake import DESTINATIONS, LAST_WEEK, day, listing, made, price
from wanderbricks_assets_tests.marketplace import at, table_of


def nights(*rows: dict, decided: tuple[dict, ...] = ()) -> pd.DataFrame:
    listings = table_of(LAKE["dim_property"], listing(1), listing(2, 2))
    places = table_of(LAKE["dim_destination"], *DESTINATIONS)
    return prices.nights(
        table_of(LAKE["price_recommendations"], *rows), listings, places, table_of(LAKE["price_decisions"], *decided)
    )


def test_a_night_says_where_it_is_what_changes_and_what_that_brings():
    found = nights(price(1), price(2, to=100.0), price(1, **made(LAST_WEEK)))
    assert found["destination"].tolist() == ["Lisbon", "Kyoto"]
    assert found["change"].tolist() == pytest.approx([-0.1, 0.0])
    assert found["expected_gain"].tolist() == [10.0, 0.0]


def test_a_night_bears_the_last_decision_of_its_host_on_this_very_recommendation():
    of = {"property_id": 1, "target_date": day(0), "prediction_date": day(-1)}
    accepted = of | {"decision_id": "a", "decision": "accept", "decided_at": at("2024-03-04 09:00")}
    rejected = of | {"decision_id": "b", "decision": "reject", "decided_at": at("2024-03-04 10:00")}
    earlier = accepted | {"decision_id": "c", "target_date": day(1), "prediction_date": day(-8)}
    found = nights(price(1), price(1, day(1)), decided=(rejected, accepted, earlier))
    assert found["decision"].tolist() == ["reject", None]


def test_reasons_that_differ_in_figures_only_are_one_kind():
    reason = "kept: the response to price is not known, elasticity {}"
    found = nights(*(price(1, day(n), to=100.0, reason=reason.format(-n)) for n in (1, 2)), price(1, day(3)))
    assert prices.choices(found)["kind"][0] == "kept: the response to price is not known"
    assert prices.reasons(found)["nights"].tolist() == [2, 1]
    assert found["reason"].nunique() == 3


def test_choices_narrow_the_nights_and_none_leaves_them():
    found = nights(price(1), price(2), price(2, day(1), to=100.0))
    assert len(prices.chosen(found, destination="Kyoto", kind=None)) == 2
    assert len(prices.chosen(found, destination="Kyoto", kind="kept: already booked")) == 1
    assert len(prices.chosen(found, destination=None, property_type=None, kind=None)) == 3
    assert prices.chosen(found, destination="Lisbon", kind="kept: already booked").empty


def test_kept_prices_are_a_bin_of_their_own_and_the_most_that_is_allowed_is_in_the_last_one():
    found = nights(
        price(1, to=100.0), price(1, day(1), to=101.0), price(1, day(2), to=70.0), price(1, day(3), to=130.0)
    )
    bins = prices.changes(found)
    assert bins["change"].tolist() == [-0.275, 0.0, 0.025, 0.275]
    assert bins["nights"].tolist() == [1, 1, 1, 1]


def test_a_listing_is_the_sum_of_its_nights_and_the_greatest_gain_comes_first():
    found = prices.listings(nights(price(1, to=100.0), price(2), price(2, day(1), to=80.0)))
    assert found["property_id"].tolist() == [2, 1]
    assert found.loc[0, ["current_price", "recommended_price", "nights", "expected_gain"]].tolist() == [100, 85, 2, 20]
    assert found["change"].tolist() == pytest.approx([-0.15, 0.0])


def test_the_download_holds_every_night_with_its_reason():
    found = pd.read_csv(io.BytesIO(prices.as_csv(nights(price(1), price(2, to=100.0)))))
    assert found["recommended_price"].tolist() == [90.0, 100.0]
    assert found["reason"].tolist() == ["lowered: guests respond strongly to price", "kept: already booked"]


def test_without_recommendations_there_are_no_nights():
    assert nights().empty
