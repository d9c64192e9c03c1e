import pytest

from wanderbricks_assets.contracts.tables import LAKE
from wanderbricks_assets.dashboard.queries import marketing
from wanderbricks_assets_tests.dashboard.small_lake import LAST_WEEK, TODAY, contact, made, score
from wanderbricks_assets_tests.marketplace import table_of

CHEAP, PHONE = ("low price", 0.04), ("mobile device", -0.02)
SCORES = (score(7, 1, 0.105, CHEAP, PHONE), score(8, 2, 0.2, CHEAP), score(7, 1, 0.9) | made(LAST_WEEK))


def table(*rows: dict):
    return table_of(LAKE["conversion_scores"], *rows)


def test_the_audience_is_those_to_contact_and_not_the_holdout():
    rows = contact(7, 1, 0.1, 90.0), contact(8, 2, 0.2, 95.0), contact(9, 1, 0.3, 99.0, is_holdout=True)
    chosen = table_of(LAKE["marketing_audience"], *rows)
    found = marketing.audience(chosen, TODAY)
    assert found["user_id"].tolist() == [8, 7]
    assert found["probability"].tolist() == [0.2, 0.1]
    assert found["reasons"].tolist() == ["low price", "low price"]
    assert marketing.held_out(chosen, TODAY) == 1


def test_an_audience_of_another_day_is_not_shown_beside_the_scores():
    chosen = table_of(LAKE["marketing_audience"], contact(7, 1, 0.1, 90.0) | made(LAST_WEEK))
    assert marketing.audience(chosen, TODAY).empty
    assert marketing.held_out(chosen, TODAY) == 0
    assert marketing.audience(chosen, LAST_WEEK)["user_id"].tolist() == [7]


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
