"""Whom to target for which property: by hand-made scores, values and rules."""

from pathlib import Path

import pytest

from wanderbricks_assets.activation.audience import Audience, audience_rules, holdout_number, marketing_audience
from wanderbricks_assets.contracts.activation import MARKETING_AUDIENCE
from wanderbricks_assets.contracts.rules import ANY, AUDIENCE_RULES
from wanderbricks_assets.models.frames import fixed_share
from wanderbricks_assets_tests.activation.market import (
    MOMENT,
    audience_of,
    listing,
    rule,
    score,
    shares,
    stay,
    user,
    value,
)
from wanderbricks_assets_tests.engines import engine, on_each_engine  # noqa: F401
from wanderbricks_assets_tests.marketplace import at, frame


def made(tables: Audience, *rules: dict) -> list[dict]:
    return frame(marketing_audience(tables, list(rules), MOMENT), MARKETING_AUDIENCE).to_dict("records")


def pairs(rows: list[dict]) -> list[tuple[int, int]]:
    return [(row["user_id"], row["property_id"]) for row in rows]


def test_a_row_says_whom_for_what_by_which_channel_and_why():
    factors = [("repeat_customer", 0.04), ("high_price", -0.02), ("low_price", 0.01)]
    tables = audience_of([score(1, 2, 0.2, *factors)], [value(1, "High Value", "Low", ltv=900.0)])
    [row] = made(tables, rule(channel="push", message="welcome_back"))
    assert row["expected_value"] == pytest.approx(0.2 * 100 * 4)
    assert (row["probability_lower"], row["probability_upper"]) == (pytest.approx(0.1), pytest.approx(0.3))
    assert row["reasons"] == "repeat_customer; low_price"
    assert (row["segment"], row["churn_risk"], row["predicted_ltv_12m"]) == ("High Value", "Low", 900.0)
    assert (row["country"], row["destination"], row["channel"]) == ("Portugal", "Porto", "push")
    assert (row["message"], row["rank"], row["is_holdout"]) == ("welcome_back", 1, False)
    assert (row["conversion_version"], row["ltv_version"]) == ("4", "7")


def test_of_a_users_properties_those_of_highest_expected_value_are_chosen():
    """Property 2 is stayed in for longer, so a lower probability is worth more there."""
    scores = [score(1, 1, 0.5), score(1, 2, 0.3), score(1, 3, 0.1)]
    tables = audience_of(
        scores, [value(1, "High Value", "Low")], listings=[listing(1), listing(2, destination="Porto"), listing(3)]
    )
    rows = made(tables, rule(max_properties=2))
    assert {row["property_id"]: row["rank"] for row in rows} == {2: 1, 1: 2}


def test_equal_values_are_ordered_by_property_so_that_a_repeat_chooses_the_same():
    tables = audience_of(
        [score(1, key, 0.5) for key in (3, 1, 2)],
        [value(1, "High Value", "Low")],
        listings=[listing(key) for key in (1, 2, 3)],
    )
    assert pairs(made(tables, rule(max_properties=2))) == [(1, 1), (1, 2)]


def test_thresholds_let_through_what_reaches_them():
    scores, values = [score(1, 1, 0.25), score(1, 2, 0.2)], [value(1, "High Value", "Low")]
    tables = audience_of(scores, values)
    assert pairs(made(tables, rule(min_probability=0.25))) == [(1, 1)]
    assert pairs(made(tables, rule(min_expected_value=80.0))) == [(1, 2)]  # 50 and 80
    assert pairs(made(tables, rule(min_expected_value=81.0))) == []


def test_a_rule_reaches_only_its_segment_and_risk_and_others_are_not_targeted():
    scores = [score(1, 1, 0.5), score(2, 1, 0.5), score(3, 1, 0.5)]
    tables = audience_of(scores, [value(1, "High Value", "Low"), value(2, "High Value", "High")])
    assert pairs(made(tables, rule("High Value", "High"))) == [(2, 1)]
    [newcomer] = made(tables, rule("New", ANY))
    assert (newcomer["user_id"], newcomer["segment"], newcomer["churn_risk"]) == (3, "New", None)
    assert newcomer["ltv_version"] == "7"


def test_a_property_without_a_price_and_one_no_longer_listed_have_no_expected_value_and_are_left_out():
    tables = audience_of(
        [score(1, 1, 0.5), score(1, 9, 0.5)], [value(1, "High Value", "Low")], listings=[listing(1, price=None)]
    )
    assert made(tables, rule()) == []


def test_typical_nights_are_those_of_the_destination_and_of_anywhere_where_it_has_none():
    tables = audience_of(
        [score(1, 1, 0.5), score(1, 2, 0.5), score(1, 3, 0.5)],
        [value(1, "High Value", "Low")],
        listings=[listing(1), listing(2, destination="Porto"), listing(3, destination="Faro")],
        stays=[stay(1, 1, 2), stay(2, 1, 4), stay(3, 2, 9), stay(4, 1, 0), stay(5, 2, 30, made="2024-03-11 00:00")],
    )
    assert [row["typical_nights"] for row in made(tables, rule())] == [3.0, 9.0, 5.0]


def test_a_user_is_described_as_known_on_that_day():
    moved = user(1, "Spain", effective_from=at("2024-03-12 00:00"))
    users = [user(1, effective_to=at("2024-03-12 00:00"), is_current=False), moved]
    [row] = made(audience_of([score(1, 1, 0.5)], [value(1, "High Value", "Low")], users), rule())
    assert row["country"] == "Portugal"


def test_the_holdout_is_a_share_of_the_users_with_all_their_properties_and_the_same_whenever_it_is_asked_for():
    scores = [score(user_id, key, 0.5) for user_id in range(1, 201) for key in (1, 2)]
    values = [value(user_id, "High Value", "Low") for user_id in range(1, 201)]
    rows = made(audience_of(scores, values), rule(holdout_share=0.2))
    held = {row["user_id"] for row in rows if row["is_holdout"]}
    assert held.isdisjoint(row["user_id"] for row in rows if not row["is_holdout"])
    assert 0.15 <= len(held) / 200 <= 0.25
    fewer = made(audience_of(scores[::3], values), rule(holdout_share=0.2))
    assert {row["user_id"] for row in fewer if row["is_holdout"]} <= held


def test_who_is_held_out_has_nothing_to_do_with_whom_the_model_was_tested_on():
    users = shares(20_000)
    found = users.select(held=holdout_number(users.user_id), tested=fixed_share(users.user_id)).to_pandas()
    assert found.corr().held.tested == pytest.approx(0, abs=0.02)
    assert (found.held[found.tested >= 0.7] < 0.1).mean() == pytest.approx(0.1, abs=0.01)


def test_the_packaged_rules_cover_every_case_once():
    cases = [(rule["segment"], rule["churn_risk"]) for rule in audience_rules()]
    assert len(cases) == len(set(cases)) == 10


def test_rules_that_overlap_are_named_with_both_rows(tmp_path: Path):
    rows = ["High Value,Any,0,0,1,0,email,a", "Any,Low,0,0,1,0,push,b"]
    (tmp_path / "audience_rules.csv").write_text("\n".join([",".join(AUDIENCE_RULES.schema.names), *rows]))
    with pytest.raises(
        ValueError, match=r"audience_rules.csv, row 3: High Value customers of churn risk Low are covered by row 2"
    ):
        audience_rules(tmp_path)


def test_a_risk_of_customers_who_never_booked_is_a_rule_for_nobody(tmp_path: Path):
    head = ",".join(AUDIENCE_RULES.schema.names)
    (tmp_path / "audience_rules.csv").write_text(f"{head}\nNew,High,0,0,1,0,email,a")
    with pytest.raises(ValueError, match=r"row 2: covers nobody, as New users"):
        audience_rules(tmp_path)
