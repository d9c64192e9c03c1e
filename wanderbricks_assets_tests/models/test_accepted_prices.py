"""Accepted prices that the source does not list: what a night costs, and which weeks tell nothing of a price."""

import pandas as pd
import pytest

from wanderbricks_assets.models.accepted_prices import acceptances, at_accepted_prices, at_listed_prices
from wanderbricks_assets_tests.marketplace import at, day
from wanderbricks_assets_tests.models.decided_prices import decisions_of

MOMENT = at("2024-04-05 00:00")
LATER = at("2024-04-09 00:00")  # more than a week after the decision


def nights(listed: float = 100.0, a_week_ago: float | None = None) -> pd.DataFrame:
    """Two nights of property 1 and one of property 2."""
    return pd.DataFrame(
        {
            "property_id": [1, 1, 2],
            "target_date": pd.to_datetime(["2024-04-10", "2024-04-11", "2024-04-10"]),
            "current_price": listed,
            "price_a_week_ago": a_week_ago or listed,
        }
    )


def priced(rows: pd.DataFrame) -> list[tuple[float, float, float]]:
    return list(zip(rows.listed_price, rows.current_price, rows.price_a_week_ago, strict=True))


def test_an_accepted_night_has_the_accepted_price_and_the_others_the_listed_one():
    rows = at_accepted_prices(nights(), decisions_of({}), MOMENT)
    assert priced(rows) == [(100, 80, 100), (100, 100, 100), (100, 100, 100)]


def test_a_price_accepted_within_the_last_week_counts_as_moved_and_an_older_one_does_not():
    assert priced(at_accepted_prices(nights(), decisions_of({}), LATER))[0] == (100, 80, 80)


def test_an_acceptance_after_the_moment_or_taken_back_before_it_holds_for_nothing():
    back = {"decision": "reject", "decided_at": at("2024-04-02 12:00")}
    for rows in (
        at_accepted_prices(nights(), decisions_of({}), at("2024-04-01 12:00")),
        at_accepted_prices(nights(), decisions_of({}, back), MOMENT),
        at_accepted_prices(nights(), decisions_of({"decision": "reject"}), MOMENT),
    ):
        assert priced(rows)[0] == (100, 100, 100)


def test_once_the_listed_price_has_moved_the_source_tells_the_price():
    for listed in (80.0, 120.0):
        rows = at_accepted_prices(nights(listed, a_week_ago=100.0), decisions_of({}), MOMENT)
        assert priced(rows)[0] == (listed, listed, 100)


def test_an_acceptance_that_moves_an_accepted_price_was_made_at_the_same_listed_price():
    second = {
        "prediction_date": day("2024-04-08"),
        "current_price": 80.0,
        "recommended_price": 70.0,
        "decided_at": at("2024-04-08 12:00"),
    }
    found = acceptances(decisions_of({}, second), LATER)
    assert (list(found.accepted_price), list(found.listed_price)) == ([80, 70], [100, 100])
    assert priced(at_accepted_prices(nights(), decisions_of({}, second), LATER))[0] == (100, 70, 80)
    relisted = second | {"current_price": 90.0}
    assert list(acceptances(decisions_of({}, relisted), LATER).listed_price) == [100, 90]


def test_without_decisions_nights_keep_their_prices_and_weeks_stay():
    assert priced(at_accepted_prices(nights(), decisions_of(), MOMENT)) == [(100, 100, 100)] * 3
    panel = weeks(1)
    pd.testing.assert_frame_equal(at_listed_prices(panel, decisions_of(), MOMENT), panel)


def weeks(*properties: int, price: float = 100.0) -> pd.DataFrame:
    """Weeks that begin on Mondays from 18 March to 22 April."""
    mondays = pd.date_range("2024-03-18", "2024-04-22", freq="7D")
    return pd.DataFrame(
        [(key, week, price) for key in properties for week in mondays], columns=["property_id", "week", "price"]
    )


def left_out(panel: pd.DataFrame, *rows: dict) -> list[str]:
    kept = at_listed_prices(panel, decisions_of(*rows), at("2024-05-01 00:00"))
    gone = panel.merge(kept, on=["property_id", "week"], how="left", indicator=True)
    return [f"{row.property_id}: {row.week:%m-%d}" for row in gone[gone._merge == "left_only"].itertuples()]


@pytest.mark.parametrize(
    ("decided_at", "weeks_left_out"),
    [
        ("2024-04-01 12:00", ["1: 04-01", "1: 04-08"]),  # the night is 10 April
        ("2024-04-01 00:00", ["1: 04-01", "1: 04-08"]),
        ("2024-03-31 23:59", ["1: 03-25", "1: 04-01", "1: 04-08"]),
        ("2024-04-08 00:00", ["1: 04-08"]),
    ],
)
def test_weeks_from_the_decision_to_the_night_are_left_out(decided_at: str, weeks_left_out: list[str]):
    assert left_out(weeks(1, 2), {"decided_at": at(decided_at)}) == weeks_left_out


def test_weeks_in_which_the_source_lists_another_price_tell_of_that_price_and_stay():
    assert left_out(weeks(1, price=80.0), {}) == []


def test_nights_beyond_the_panel_leave_out_its_last_weeks():
    assert left_out(weeks(1), {"target_date": day("2024-06-30")}) == ["1: 04-01", "1: 04-08", "1: 04-15", "1: 04-22"]


def test_two_nights_of_a_week_leave_it_out_once():
    assert left_out(weeks(1), {}, {"target_date": day("2024-04-12")}) == ["1: 04-01", "1: 04-08"]
