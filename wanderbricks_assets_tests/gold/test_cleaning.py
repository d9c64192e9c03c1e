"""What is believed of the source, and what goes to the quarantine with which reason."""

import json
from itertools import permutations

import ibis
import pytest

from wanderbricks_assets.contracts.gold import DIM_USER, QUARANTINE, QUARANTINE_WITHOUT_DAY
from wanderbricks_assets.contracts.source import SOURCE
from wanderbricks_assets.gold import dimensions
from wanderbricks_assets.gold.cleaning import REASON, accepted, judged, rejected, rejected_without_day
from wanderbricks_assets.window import ON_THE_BOOKS
from wanderbricks_assets_tests.marketplace import (
    at,
    booking,
    click,
    frame,
    listing,
    memory,
    payment,
    random_marketplace,
    review,
    source_table,
    table_of,
    update,
    user,
    view,
)


def reasons(name: str, *rows: dict, known: dict[str, ibis.Table] | None = None) -> list[str]:
    found = judged(name, source_table(name, *rows), known).to_pyarrow().to_pylist()
    return sorted(row[REASON] for row in found if row[REASON])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"user_id": None}, "user_id is null"),
        ({"check_in": None}, "check_in is null"),
        ({"total_amount": None}, "total_amount is null"),
        ({"total_amount": -1.0}, "total_amount below 0"),
        ({"guests_count": -1}, "guests_count below 0"),
        ({"status": None}, "status is null"),
        ({"status": "lost"}, "status is none of pending, confirmed, completed, cancelled"),
        ({"check_out": "2024-01-09"}, "check_out before check_in"),
    ],
)
def test_a_booking_that_cannot_be_is_not_believed(change: dict, reason: str):
    assert reasons("bookings", booking(1, **change), booking(2)) == [reason]


@pytest.mark.parametrize(
    "change", [{"guests_count": None}, {"guests_count": 0}, {"total_amount": 0.0}, {"check_out": "2024-01-10"}]
)
def test_a_booking_at_the_edge_of_what_can_be_is_believed(change: dict):
    assert reasons("bookings", booking(1, **change)) == []


def test_stars_outside_one_to_five_are_not_believed_and_a_deleted_review_is():
    moment = "2024-01-05 10:00"
    rows = [review(key, moment, stars) for key, stars in enumerate([None, 1.0, 5.0, 0.9, 5.1])]
    assert reasons("reviews", *rows) == ["rating above 5", "rating below 1"]


def test_the_first_reason_that_applies_is_given():
    assert reasons("bookings", booking(1, user_id=None, status="lost", check_out="2024-01-01")) == ["user_id is null"]


def test_an_update_of_an_unknown_booking_is_not_believed():
    known = {"bookings": source_table("bookings", booking(1))}
    updates = [update(1, 1, "2024-01-03 10:00"), update(2, 99, "2024-01-03 10:00")]
    assert reasons("booking_updates", *updates, known=known) == ["booking_id is not in bookings"]
    assert reasons("booking_updates", *updates) == []


def test_a_booking_without_a_number_does_not_make_every_unknown_booking_known():
    known = {"bookings": source_table("bookings", booking(1), booking(None))}
    updates = [update(1, 1, "2024-01-03 10:00"), update(2, 99, "2024-01-03 10:00")]
    assert reasons("booking_updates", *updates, known=known) == ["booking_id is not in bookings"]


def test_an_update_cannot_belong_to_a_booking_made_after_it():
    known = {"bookings": source_table("bookings", booking(1, "2024-01-03 10:00"))}
    updates = [update(1, 1, "2024-01-03 09:59:59"), update(2, 1, "2024-01-03 10:00"), update(3, 1, "2024-01-02 23:00")]
    rows = rejected("booking_updates", source_table("booking_updates", *updates), known)
    assert sorted(rows.row_key.to_pyarrow().to_pylist()) == ["1", "3"]
    assert set(rows.reason.to_pyarrow().to_pylist()) == {"booking_id is not in bookings"}


def test_an_event_cannot_belong_to_a_booking_of_more_than_three_years_before_its_day():
    """A run of that day alone would not look for it, and a range that begins earlier must say the same."""
    known = {"bookings": source_table("bookings", booking(1, "2021-01-04 00:00"), booking(2, "2021-01-03 23:59"))}
    updates = [update(number, number, "2024-01-04 10:00") for number in (1, 2)]
    assert (at("2024-01-04") - at("2021-01-04")) == ON_THE_BOOKS
    rows = rejected("booking_updates", source_table("booking_updates", *updates), known)
    assert rows.row_key.to_pyarrow().to_pylist() == ["2"]


def test_a_row_without_a_reference_is_not_an_unknown_one():
    known = {"users": source_table("users")}
    views = [view(1, "2024-01-01 10:00", user_id=None), view(2, "2024-01-01 10:00", user_id=7)]
    assert reasons("page_views", *views, known=known) == ["user_id is not in users"]


def test_a_row_delivered_three_times_is_kept_once():
    rows = source_table("payments", *[payment(1, 1, "2024-01-03 10:00")] * 3, payment(2, 1, "2024-01-03 10:00"))
    assert sorted(accepted("payments", rows).payment_id.to_pyarrow().to_pylist()) == [1, 2]
    assert judged("payments", rows).filter(ibis._[REASON] == "payment_id repeated").count().to_pyarrow().as_py() == 2


def test_of_conflicting_rows_of_one_key_the_same_one_is_kept_whatever_the_order_of_the_files():
    rows = [
        payment(1, 1, "2024-01-03 10:00", "100"),
        payment(1, 1, "2024-01-03 12:00", "100"),
        payment(1, 1, "2024-01-03 10:00", "200"),
        payment(1, 1, "2024-01-03 10:00", "200", payment_method="apple_pay"),
    ]
    kept = [
        accepted("payments", source_table("payments", *order)).drop("payment_id", "booking_id").to_pyarrow().to_pylist()
        for order in permutations(rows)
    ]
    assert len(kept) == 24
    assert all(one == kept[0] for one in kept)
    [row] = kept[0]
    assert (float(row["amount"]), row["payment_method"]) == (200.0, "paypal")


def test_clicks_have_no_number_so_the_same_event_at_the_same_instant_counts_once():
    same = [click("click", "2024-01-01 10:00:00")] * 2
    nobody = [click("click", "2024-01-01 10:00:00", user_id=None)] * 3
    other = [click("search", "2024-01-01 10:00:00"), click("click", "2024-01-01 10:00:01")]
    rows = source_table("clickstream", *same, *nobody, *other)
    assert accepted("clickstream", rows).count().to_pyarrow().as_py() == 4
    assert reasons("clickstream", *same, *nobody, *other) == ["user_id property_id event timestamp repeated"] * 3


def test_a_key_that_comes_again_on_another_day_is_another_row():
    rows = source_table("payments", payment(1, 1, "2024-01-03 23:59:59"), payment(1, 1, "2024-01-04 00:00:00"))
    assert accepted("payments", rows).count().to_pyarrow().as_py() == 2


def test_a_broken_row_does_not_displace_the_good_one_of_its_key():
    rows = source_table(
        "payments", payment(1, 1, "2024-01-03 10:00", "100"), payment(1, 1, "2024-01-03 12:00", "900", status="lost")
    )
    assert [float(amount) for amount in accepted("payments", rows).amount.to_pyarrow().to_pylist()] == [100.0]


def test_of_two_updates_of_a_booking_at_the_same_moment_the_last_numbered_is_believed():
    moment = "2024-01-03 10:00"
    rows = [update(4, 1, moment, status="confirmed"), update(5, 1, moment, status="cancelled")]
    for order in permutations(rows):
        kept = accepted("booking_updates", source_table("booking_updates", *order, update(6, 2, moment)))
        assert sorted(kept.booking_update_id.to_pyarrow().to_pylist()) == [5, 6]
        assert reasons("booking_updates", *order) == ["another update at the same moment"]


def test_a_quarantined_row_carries_its_reason_its_key_and_all_of_itself():
    rows = source_table("clickstream", click("shout", "2024-01-03 10:00", user_id=None, property_id=3))
    [found] = QUARANTINE.conform(rejected("clickstream", rows)).to_pyarrow().to_pylist()
    assert found["source_table"] == "clickstream"
    assert found["event_time"] == at("2024-01-03 10:00")
    assert found["reason"] == "event is none of view, click, search, filter"
    assert found["row_key"] == "null/3/shout/2024-01-03 10:00:00"
    assert json.loads(found["row"]) == {
        "event": "shout",
        "user_id": None,
        "property_id": 3,
        "timestamp": "2024-01-03 10:00:00",
        "metadata": {"device": "mobile", "referrer": "google"},
    }


PLACES = [{"destination_id": key, "destination": f"Place {key}", "country": f"Land {key}"} for key in range(1, 13)]
STANDING = {
    "users": ([user(key) for key in range(1, 13)], {"country": "Japan"}),
    "hosts": ([{"host_id": key, "name": f"Host {key}", "rating": 4.5} for key in range(1, 13)], {"rating": 3.0}),
    "destinations": (PLACES, {"country": "Land 1"}),
    "countries": (
        [{"country": f"Land {key}", "country_code": "PT", "continent": "Europe"} for key in range(1, 13)],
        {"continent": "Asia"},
    ),
    "properties": ([listing(key, host_id=key, destination_id=key) for key in range(1, 13)], {"base_price": 7.0}),
}


def standing(**more: dict) -> dict[str, ibis.Table]:
    """A source of a dozen rows in each table that it keeps as it stands, and the rows given, table by table."""
    rows = {name: [*some, *more.pop(name, [])] for name, (some, _) in STANDING.items()} | more
    return {name: source_table(name, *rows.get(name, [])) for name in SOURCE}


def told_without_day(**more: list[dict]) -> list[tuple]:
    rows = QUARANTINE_WITHOUT_DAY.conform(rejected_without_day(standing(**more))).to_pyarrow().to_pylist()
    return sorted((row["source_table"], row["row_key"], row["reason"], row["copies"]) for row in rows)


def dimension_of(name: str, tables: dict[str, ibis.Table]) -> ibis.Table:
    listings = dimensions.dim_property(tables["properties"], tables["property_updates"], tables)
    return {
        "users": lambda: dimensions.dim_user(tables["users"], table_of(DIM_USER), at("2024-01-10")),
        "hosts": lambda: dimensions.dim_host(tables["hosts"], listings),
        "destinations": lambda: dimensions.dim_destination(tables["destinations"], tables["countries"]),
        "countries": lambda: dimensions.dim_destination(tables["destinations"], tables["countries"]),
        "properties": lambda: listings,
    }[name]()


@pytest.mark.parametrize("name", STANDING)
def test_a_key_that_stands_twice_makes_one_row_of_the_dimension_and_one_of_the_quarantine(name: str):
    rows, change = STANDING[name]
    again = {name: [rows[4] | change]}
    assert dimension_of(name, standing(**again)).count().to_pyarrow().as_py() == 12
    key = SOURCE[name].key[0]
    assert told_without_day(**again) == [(name, str(rows[4][key]), f"{key} repeated", 1)]


def test_a_source_without_faults_has_nothing_in_quarantine():
    assert told_without_day() == []


def test_standing_rows_without_a_key_or_of_nothing_known_are_told_and_a_row_that_stands_often_is_counted():
    assert told_without_day(
        users=[user(None)] * 3,
        properties=[listing(20, host_id=1, destination_id=99), listing(21, host_id=99, destination_id=1)],
        property_images=[{"image_id": 1, "property_id": 1}] * 5 + [{"image_id": 2, "property_id": 20}],
        customer_support_logs=[{"ticket_id": "t", "user_id": 1, "messages": [{"message": "help"}]}] * 2,
    ) == [
        ("customer_support_logs", "t", "ticket_id repeated", 1),
        ("properties", "20", "destination_id is not in destinations", 1),
        ("properties", "21", "host_id is not in hosts", 1),
        ("property_images", "1", "image_id repeated", 4),
        ("property_images", "2", "property_id is not in properties", 1),
        ("users", "null", "user_id is null", 3),
    ]


def test_an_event_without_a_time_belongs_to_no_day_and_is_told():
    timeless = booking(2) | {"created_at": None}
    assert told_without_day(bookings=[booking(1), timeless], page_views=[view(1, "2024-01-01 10:00")]) == [
        ("bookings", "2", "created_at is null", 1)
    ]


@pytest.mark.parametrize(
    "name", ["bookings", "booking_updates", "payments", "page_views", "clickstream", "reviews", "property_updates"]
)
def test_accepted_and_rejected_rows_are_all_rows(name: str):
    tables = memory(random_marketplace(seed=1))
    known = {"bookings": tables["bookings"]}
    rows = tables[name]
    verdicts = judged(name, rows, known)
    counts = verdicts.aggregate(
        all=verdicts.count(), good=verdicts.count(where=verdicts[REASON].isnull()), bad=verdicts[REASON].count()
    )
    [count] = counts.to_pyarrow().to_pylist()
    assert count["all"] == rows.count().to_pyarrow().as_py()
    assert count["good"] == accepted(name, rows, known).count().to_pyarrow().as_py()
    assert count["good"] + count["bad"] == count["all"]
    told = frame(rejected(name, rows, known), QUARANTINE)
    different = verdicts.filter(verdicts[REASON].notnull()).distinct().count().to_pyarrow().as_py()
    assert len(told) == different
    assert told.copies.sum() == count["bad"]
    if name != "property_updates":
        assert len(told) > 0


def test_accepted_rows_of_a_key_and_day_are_one():
    tables = memory(random_marketplace(seed=2))
    for name, key in {"bookings": "booking_id", "payments": "payment_id", "page_views": "view_id"}.items():
        rows = accepted(name, tables[name])
        repeated = rows.group_by(key).agg(times=rows.count()).filter(ibis._.times > 1)
        assert repeated.count().to_pyarrow().as_py() == 0
