import pytest

from wanderbricks_assets.contracts.tables import LAKE
from wanderbricks_assets.dashboard.queries import customers
from wanderbricks_assets_tests.dashboard.small_lake import LAST_WEEK, TODAY, made, value
from wanderbricks_assets_tests.marketplace import table_of

HIGH = value(1, 100.0, "High Value", "Low", "Call", "Send newsletter")
LOW = value(2, 10.0, "Low Value", "High", "Send newsletter")
OTHER = value(3, 30.0, "High Value", "Medium", "Call")
OLD = value(1, 5000.0) | made(LAST_WEEK)


def table(*rows: dict):
    return table_of(LAKE["customer_value"], *rows)


def test_segments_and_risks_come_in_their_own_order_with_what_they_are_worth():
    found = customers.segments(table(LOW, OTHER, HIGH, OLD))
    assert found[["segment", "risk"]].apply(tuple, axis=1).tolist() == [
        ("High Value", "Low"), ("High Value", "Medium"), ("Low Value", "High"),
    ]  # fmt: skip
    assert found["value"].tolist() == [100.0, 30.0, 10.0]


def test_an_action_counts_each_customer_it_is_recommended_for():
    found = customers.actions(table(LOW, OTHER, HIGH)).set_index("action")
    assert found["customers"].to_dict() == {"Call": 2, "Send newsletter": 2}
    assert found["value"].to_dict() == {"Call": 130.0, "Send newsletter": 110.0}


def test_customers_are_chosen_by_segment_risk_and_action_and_the_most_valuable_come_first():
    rows = table(LOW, OTHER, HIGH)
    assert customers.customers(rows)["user_id"].tolist() == [1, 3, 2]
    assert customers.customers(rows, "High Value", None, "Send newsletter")["user_id"].tolist() == [1]
    assert customers.customers(rows, None, "High")["actions"].tolist() == ["Send newsletter"]
    assert customers.customers(rows, "Low Value", "Low").empty


def test_the_first_tenth_is_the_most_valuable():
    found = customers.shares(table(*(value(user, float(user)) for user in range(1, 11))))
    assert found["value"].tolist() == [float(user) for user in range(10, 0, -1)]
    assert found["share"].iloc[0] == pytest.approx(10 / 55)


def test_customers_were_valued_at_the_beginning_of_the_day_after_the_data():
    assert customers.valued_at(table(OLD, HIGH)) == TODAY
    assert customers.valued_at(table()) is None
