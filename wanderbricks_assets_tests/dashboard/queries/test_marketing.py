import pytest

from wanderbricks_assets.contracts.tables import LAKE
from wanderbricks_assets.dashboard.queries import marketing
from wanderbricks_assets_tests.dashboard.small_lake import DESTINATIONS, LAST_WEEK, TODAY, listing, made, score
from wanderbricks_assets_tests.marketplace import table_of

CHEAP, PHONE = ("low price", 0.04), ("mobile device", -0.02)
SCORES = (score(7, 1, 0.105, CHEAP, PHONE), score(8, 2, 0.2, CHEAP), score(7, 1, 0.9) | made(LAST_WEEK))


def table(*rows: dict):
    return table_of(LAKE["conversion_scores"], *rows)


def test_the_audience_is_the_likeliest_first_with_its_factors_in_words():
    listings = table_of(LAKE["dim_property"], listing(1), listing(2, 2))
    places = table_of(LAKE["dim_destination"], *DESTINATIONS)
    found = marketing.audience(table(*SCORES), listings, places, 10)
    assert found["user_id"].tolist() == [8, 7]
    assert found["destination"].tolist() == ["Kyoto", "Lisbon"]
    assert found["why"].tolist() == ["low price +4.0%", "low price +4.0%, mobile device \N{MINUS SIGN}2.0%"]
    assert found["upper"].tolist() == pytest.approx([0.4, 0.21])
    assert len(marketing.audience(table(*SCORES), listings, places, 1)) == 1


def test_factors_count_the_visitors_that_they_move():
    found = marketing.factors(table(*SCORES)).set_index("factor")
    assert found["visitors"].to_dict() == {"low price": 2, "mobile device": 1}
    assert found["impact"].to_dict() == pytest.approx({"low price": 0.04, "mobile device": -0.02})


def test_probabilities_add_up_to_the_bookings_expected():
    found = marketing.likelihoods(table(*SCORES))
    assert found["probability"].tolist() == pytest.approx([0.10, 0.20])
    assert found["bookings"].sum() == pytest.approx(0.305)
    assert marketing.scored_at(table(*SCORES)) == TODAY
    assert marketing.scored_at(table()) is None
