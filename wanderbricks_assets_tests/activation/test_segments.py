"""The segment of each customer, since when, and what to do first."""

from datetime import timedelta

from wanderbricks_assets.activation.segments import customer_segments
from wanderbricks_assets.contracts.activation import CUSTOMER_SEGMENTS
from wanderbricks_assets.contracts.gold import DIM_USER
from wanderbricks_assets.contracts.predictions import CUSTOMER_VALUE
from wanderbricks_assets_tests.activation.market import DAY, MOMENT, user, value
from wanderbricks_assets_tests.engines import engine, on_each_engine  # noqa: F401
from wanderbricks_assets_tests.marketplace import day, frame, table_of


def was(user_id: int, segment: str, since: str, on: int = 1) -> dict:
    """A row of so many days before."""
    row = {"user_id": user_id, "segment": segment, "segment_since": day(since), "churn_risk": "Low"}
    made = {"predicted_ltv_12m": 1.0, "recommended_action": "Call", "ltv_version": "6"}
    return row | made | {"prediction_date": DAY - timedelta(days=on)}


def made(values: list[dict], earlier: list[dict] = ()) -> list[dict]:
    rows = customer_segments(
        table_of(CUSTOMER_VALUE, *values), table_of(DIM_USER, user(1)), table_of(CUSTOMER_SEGMENTS, *earlier), MOMENT
    )
    return frame(rows, CUSTOMER_SEGMENTS).to_dict("records")


def since(rows: list[dict]) -> list[tuple]:
    return [(row["segment"], str(row["segment_since"])[:10], row["previous_segment"]) for row in rows]


def test_a_row_says_value_risk_and_the_first_action():
    [row] = made([value(1, "High Value", "High", ltv=900.0)])
    assert (row["churn_risk"], row["predicted_ltv_12m"], row["recommended_action"]) == ("High", 900.0, "Call")
    assert (row["country"], row["ltv_version"]) == ("Portugal", "7")


def test_whoever_is_first_seen_is_in_the_segment_since_that_day():
    assert since(made([value(1, "High Value", "Low")])) == [("High Value", "2024-03-10", None)]


def test_whoever_stays_keeps_the_day_on_which_the_segment_began():
    assert since(made([value(1, "High Value", "Low")], [was(1, "High Value", "2024-01-05")])) == [
        ("High Value", "2024-01-05", None)
    ]


def test_a_change_begins_anew_and_names_what_was_before():
    assert since(made([value(1, "Low Value", "Low")], [was(1, "High Value", "2024-01-05")])) == [
        ("Low Value", "2024-03-10", "High Value")
    ]


def test_a_day_that_was_never_computed_breaks_no_stay_and_only_the_newest_day_counts():
    earlier = [was(1, "High Value", "2024-03-07", on=3), was(1, "Low Value", "2024-01-01", on=4)]
    assert since(made([value(1, "High Value", "Low")], earlier)) == [("High Value", "2024-03-07", None)]


def test_a_day_without_values_has_no_segments():
    assert made([], [was(1, "High Value", "2024-01-05")]) == []
