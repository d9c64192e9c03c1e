"""Each rule of a contract, the usual volume and the freshness, on rows made by hand."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from wanderbricks_assets.contracts.contract import Column as C
from wanderbricks_assets.contracts.contract import table
from wanderbricks_assets.monitoring.data_checks import broken_rules, different_columns, usual
from wanderbricks_assets.window import Window
from wanderbricks_assets_tests.marketplace import at, table_of

PLACES = table("places", "", C("place_id", "int64", nullable=False), key="place_id")
EVENTS = table(
    "events",
    "",
    C("event_id", "int64", nullable=False),
    C("place_id", "int64", references="places.place_id"),
    C("kind", "string", allowed=("a", "b")),
    C("share", "float64", minimum=0, maximum=1),
    C("happened_at", "timestamp", nullable=False),
    key="event_id",
    time_column="happened_at",
)
GOOD = {"event_id": 1, "place_id": 1, "kind": "a", "share": 0.5, "happened_at": at("2024-01-02 10:00")}
FAULTS = {
    "event_id is null": {"event_id": None},
    "place_id is not in places": {"place_id": 7},
    "kind is none of a, b": {"kind": "c"},
    "share below 0": {"share": -0.1},
    "share above 1": {"share": 1.1},
}


def broken(*rows: dict, window: Window | None = None) -> dict:
    known = {"places": table_of(PLACES, {"place_id": 1}, {"place_id": 2})}
    return broken_rules(EVENTS, table_of(EVENTS, *rows), known, "D", window)


def test_rows_that_keep_the_contract_break_no_rule_and_nulls_are_allowed_where_they_are():
    nothing = {"place_id": None, "kind": None, "share": None}
    assert broken(GOOD, GOOD | {"event_id": 2} | nothing) == {"2024-01-02": (2, {})}


@pytest.mark.parametrize(("rule", "fault"), FAULTS.items())
def test_each_rule_counts_its_rows(rule, fault):
    other = GOOD | {"event_id": 2} | fault
    assert broken(GOOD, other, GOOD | {"event_id": 3}) == {"2024-01-02": (3, {rule: 1})}


def test_a_repeated_key_is_counted_in_its_partition_and_the_next_one_stays_clean():
    other_day = GOOD | {"event_id": 5, "happened_at": at("2024-01-03 00:00")}
    assert broken(GOOD, GOOD, GOOD, other_day) == {
        "2024-01-02": (3, {"event_id repeated": 2}),
        "2024-01-03": (1, {}),
    }


def test_the_first_partition_also_holds_what_came_before_it():
    opening = Window.of_days(date(2024, 1, 2), date(2024, 1, 3), opens=True)
    earlier = GOOD | {"event_id": 2, "happened_at": at("2023-12-24 12:00")}
    assert broken(GOOD, earlier, window=opening) == {"2024-01-02": (2, {})}


def test_columns_that_vanish_appear_or_change_their_type_are_named():
    wanted = {"a": "int64", "b": "string"}
    assert different_columns(wanted, wanted) == []
    assert different_columns({"b": "int64", "c": "date"}, wanted) == [
        "a has vanished",
        "c is new",
        "b is int64, not string",
    ]


DAYS = [(date(2024, 1, 1) + timedelta(days=number)).isoformat() for number in range(63)]


def weekly(monday: int = 300, other: int = 100) -> pd.Series:
    return pd.Series([monday if number % 7 == 0 else other for number in range(63)], index=DAYS)


def test_a_day_is_held_against_the_same_weekday():
    seen = usual(weekly(), [DAYS[56], DAYS[57]], "D")
    assert seen["median"].tolist() == [300, 100]
    assert seen["least"].tolist() == [150, 50]
    assert seen["most"].tolist() == [450, 150]


def test_a_small_table_is_given_the_noise_of_its_count():
    row = usual(weekly(9, 9), [DAYS[60]], "D").iloc[0]
    assert (row["least"], row["most"]) == (0, 9 + 4 * 3)


def test_one_odd_week_does_not_move_what_is_usual():
    counts = weekly()
    counts[DAYS[49]] = 5000
    assert usual(counts, [DAYS[56]], "D")["median"].tolist() == [300]


def test_before_four_weeks_nothing_is_usual():
    assert np.isnan(usual(weekly()[:28], [DAYS[27]], "D")["median"].iloc[0])
    assert usual(weekly()[:29], [DAYS[28]], "D")["median"].iloc[0] == 300


def test_a_silence_longer_than_any_before_is_told():
    counts = weekly().drop([DAYS[20], DAYS[21], DAYS[58], DAYS[59], DAYS[60], DAYS[61]])
    told = usual(counts, DAYS[57:], "D")
    assert told["silence"].tolist() == [0, 1, 2, 3, 4, 0]
    assert told["longest"].tolist() == [3, 3, 3, 3, 3, 5]


def test_a_table_that_stops_is_told_however_long_it_has_been_silent():
    told = usual(weekly()[:50], DAYS[49:], "D")
    assert (told["silence"] > told["longest"]).tolist() == [False, False, *[True] * 12]
