"""What hosts do with recommended prices: what can be decided on, what stands, and that no decision is lost."""

import multiprocessing
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from wanderbricks_assets.activation.decisions import (
    AlreadyDecided,
    CannotDecide,
    Decision,
    NoSuchRecommendation,
    OutOfDate,
    open_recommendations,
    record_decisions,
    undecided,
)
from wanderbricks_assets.contracts.predictions import PRICE_RECOMMENDATIONS
from wanderbricks_assets.gold.decisions import standing
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.window import Window
from wanderbricks_assets_tests.activation import deciders
from wanderbricks_assets_tests.marketplace import at, day, table_of

NOW = at("2024-03-11 09:30")
NIGHT = day("2024-03-20")


def recommendation(property_id: int = 1, target_date: date = NIGHT, **changes) -> dict:
    row = {"property_id": property_id, "target_date": target_date, "current_price": 100.0, "recommended_price": 80.0}
    made = {"model_name": "m", "model_version": "1", "reason": "lowered: guests respond strongly to price"}
    return row | made | changes


def predict(lake: Lake, on: str, *rows: dict) -> None:
    day_of = day(on)
    made = {"prediction_date": day_of, "made_at": datetime.combine(day_of, datetime.min.time()) + timedelta(days=1)}
    rows = table_of(PRICE_RECOMMENDATIONS, *(row | made for row in rows))
    lake.replace("price_recommendations", rows, Window.of_days(day_of, day_of))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(folder=str(tmp_path / "lake"))
    predict(lake, "2024-03-10", *(recommendation(key) for key in range(1, 5)), recommendation(1, day("2024-03-21")))
    return lake


def decide(lake: Lake, *decisions: Decision, at_: datetime = NOW) -> list[dict]:
    return record_decisions(lake, decisions, "host", at_)


def accept(property_id: int = 1, target_date: date = NIGHT, **changes) -> Decision:
    return Decision(property_id, target_date, "accept", **changes)


def reject(property_id: int = 1, target_date: date = NIGHT, **changes) -> Decision:
    return Decision(property_id, target_date, "reject", **changes)


def stands(lake: Lake) -> list[tuple[int, str]]:
    rows = standing(lake.read("price_decisions")).to_pyarrow().to_pylist()
    return sorted((row["property_id"], row["decision"]) for row in rows)


def recorded(lake: Lake) -> int:
    return lake.read("price_decisions").count().to_pyarrow().as_py()


def test_a_decision_is_recorded_with_what_was_recommended_by_whom_and_when(lake: Lake):
    [given] = decide(lake, accept(note="for Easter"))
    [row] = lake.read("price_decisions").to_pyarrow().to_pylist()
    assert row == given
    assert row.pop("decision_id")
    assert row == {
        "property_id": 1,
        "target_date": NIGHT,
        "prediction_date": day("2024-03-10"),
        "current_price": 100.0,
        "recommended_price": 80.0,
        "decision": "accept",
        "decided_at": NOW,
        "decided_by": "host",
        "note": "for Easter",
    }


def test_a_later_decision_supersedes_and_both_stay_on_record(lake: Lake):
    decide(lake, accept())
    decide(lake, reject(), at_=NOW + timedelta(hours=1))
    assert stands(lake) == [(1, "reject")]
    decide(lake, accept(), at_=NOW + timedelta(hours=2))
    assert (stands(lake), recorded(lake)) == ([(1, "accept")], 3)


def test_a_decision_made_after_another_stands_although_the_clock_went_back(lake: Lake):
    decide(lake, accept())
    decide(lake, reject(), at_=NOW - timedelta(hours=1))
    assert stands(lake) == [(1, "reject")]


def test_the_same_decision_again_is_refused_and_says_who_decided_when(lake: Lake):
    decide(lake, accept())
    with pytest.raises(AlreadyDecided, match="property 1 on 2024-03-20: host decided to accept at 2024-03-11 09:30"):
        decide(lake, accept())
    assert recorded(lake) == 1


def test_a_recommendation_of_a_new_day_is_open_again(lake: Lake):
    decide(lake, accept())
    predict(lake, "2024-03-11", recommendation(recommended_price=75.0))
    [row] = decide(lake, accept(), at_=NOW + timedelta(days=1))
    assert (row["prediction_date"], row["recommended_price"]) == (day("2024-03-11"), 75.0)
    assert stands(lake) == [(1, "accept"), (1, "accept")]


@pytest.mark.parametrize(
    ("decision", "message"),
    [
        (accept(9), "property 9 on 2024-03-20: no price was ever recommended for property 9"),
        (
            accept(1, day("2024-05-01")),
            "no price was recommended; there are recommendations for 2024-03-20 to 2024-03-21",
        ),
    ],
)
def test_a_recommendation_that_was_never_made_is_said_to_be_none(lake: Lake, decision: Decision, message: str):
    with pytest.raises(NoSuchRecommendation, match=message):
        decide(lake, decision)
    assert recorded(lake) == 0


def test_a_price_that_stays_leaves_nothing_to_decide(lake: Lake):
    predict(lake, "2024-03-10", recommendation(recommended_price=100.0, reason="kept: already booked"))
    with pytest.raises(NoSuchRecommendation, match=r"the price of 100 stays \(kept: already booked\)"):
        decide(lake, accept())


def test_a_recommendation_that_was_followed_by_another_is_out_of_date(lake: Lake):
    predict(lake, "2024-03-11", recommendation(recommended_price=75.0))
    seen = accept(prediction_date=day("2024-03-10"))
    with pytest.raises(OutOfDate, match="of 2024-03-10 was followed by one of 2024-03-11, 75 instead of 100"):
        decide(lake, seen, at_=NOW + timedelta(days=1))


def test_a_night_that_has_passed_and_a_recommendation_of_more_than_a_week_are_out_of_date(lake: Lake):
    with pytest.raises(OutOfDate, match="the night has passed"):
        decide(lake, accept(), at_=at("2024-03-21 00:00"))
    with pytest.raises(OutOfDate, match="newest recommendation is of 2024-03-10, more than 7 days old; run the"):
        decide(lake, accept(), at_=at("2024-03-18 00:00"))
    assert decide(lake, accept(), at_=at("2024-03-17 23:59"))


def test_many_are_recorded_in_one_commit_and_one_that_cannot_be_stops_all(lake: Lake):
    decide(lake, *(accept(key) for key in (1, 2, 3)))
    before = lake.version("price_decisions")
    with pytest.raises(CannotDecide, match=r"property 3 on .*host decided to accept.*\n.*property 9") as raised:
        decide(lake, reject(1), accept(4), accept(3), accept(9))
    assert isinstance(raised.value, AlreadyDecided)
    assert lake.version("price_decisions") == before
    decide(lake, reject(1), accept(4))
    assert stands(lake) == [(1, "reject"), (2, "accept"), (3, "accept"), (4, "accept")]
    assert lake.version("price_decisions") == before + 1


def test_a_night_cannot_be_decided_twice_at_once_and_somebody_must_decide_something(lake: Lake):
    with pytest.raises(CannotDecide, match="property 1 on 2024-03-20 is decided twice at once"):
        decide(lake, accept(), reject())
    with pytest.raises(ValueError, match="decided_by is empty"):
        record_decisions(lake, [accept()], " ", NOW)
    with pytest.raises(ValueError, match="'maybe' is no decision; accept or reject"):
        decide(lake, Decision(1, NIGHT, "maybe"))
    assert recorded(lake) == 0


def test_what_is_open_shows_the_decision_that_stands(lake: Lake):
    decide(lake, accept(2))
    rows = open_recommendations(lake, NOW).order_by("property_id", "target_date").to_pyarrow().to_pylist()
    assert [(row["property_id"], row["decision"]) for row in rows] == [
        (1, None),
        (1, None),
        (2, "accept"),
        (3, None),
        (4, None),
    ]


def test_everything_undecided_that_moves_a_price_can_be_decided_at_once(lake: Lake):
    kept = recommendation(5, recommended_price=100.0, reason="kept: already booked")
    predict(lake, "2024-03-11", *(recommendation(key) for key in (1, 2, 3)), kept)
    now = NOW + timedelta(days=1)
    decide(lake, reject(2), at_=now)
    found = undecided(lake, "accept", now)
    assert [(each.property_id, each.target_date.day) for each in found] == [(1, 20), (1, 21), (3, 20), (4, 20)]
    assert [each.property_id for each in undecided(lake, "accept", now, property_id=3)] == [3]
    assert len(decide(lake, *found, at_=now)) == 4
    assert undecided(lake, "accept", now) == []
    assert decide(lake, at_=now) == []


def test_a_record_is_never_replaced_and_other_tables_are_never_appended_to(lake: Lake):
    decide(lake, accept())
    with pytest.raises(ValueError, match="price_decisions is a record: it is appended to and never replaced"):
        lake.replace("price_decisions", lake.read("price_decisions"), Window.of_days(NOW.date(), NOW.date()))
    with pytest.raises(ValueError, match="price_recommendations is written by window or whole, not appended to"):
        lake.append("price_recommendations", lake.read("price_recommendations"))


def test_processes_that_decide_at_the_same_moment_lose_no_decision(lake: Lake):
    """The table itself is made by whoever comes first."""
    predict(lake, "2024-03-10", *(recommendation(key) for key in range(1, 25)))
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([deciders.__name__])
    together = processes.Barrier(4)
    workers = [
        processes.Process(
            target=deciders.decide_together,
            args=(together, lake.folder, [accept(6 * number + n) for n in range(1, 7)], f"host {number}", NOW),
        )
        for number in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=120)
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert stands(lake) == [(key, "accept") for key in range(1, 25)]
    rows = lake.read("price_decisions").to_pyarrow().to_pylist()
    assert len({row["decision_id"] for row in rows}) == len(rows) == 24
