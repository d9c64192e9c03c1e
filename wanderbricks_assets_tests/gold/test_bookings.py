"""Bookings: every state, the state that was known at a moment, the latest state, and the stays of a day."""

from datetime import datetime
from functools import cache

import ibis
import pytest

from wanderbricks_assets.contracts.gold import (
    DIM_PROPERTY,
    DIM_USER,
    FACT_BOOKING_DAILY,
    FACT_BOOKING_DETAIL,
    FACT_BOOKING_HISTORY,
)
from wanderbricks_assets.gold.as_known import bookings_as_known, known_at, versions
from wanderbricks_assets.gold.bookings import fact_booking_daily, fact_booking_detail, fact_booking_history
from wanderbricks_assets.gold.dimensions import dim_property, dim_user
from wanderbricks_assets.window import Window
from wanderbricks_assets_tests.marketplace import (
    at,
    booking,
    day,
    listing,
    payment,
    source_table,
    stored,
    table_of,
    update,
    user,
)

JANUARY = Window.of_days(day("2024-01-01"), day("2024-01-31"))


def history_of(bookings: list[dict], updates: list[dict] = (), days: Window = JANUARY) -> ibis.Table:
    rows = fact_booking_history(source_table("bookings", *bookings), source_table("booking_updates", *updates), days)
    return stored(rows, FACT_BOOKING_HISTORY)


def states(history: ibis.Table) -> list[tuple]:
    rows = history.order_by("booking_id", "known_at").to_pyarrow().to_pylist()
    return [(row["booking_id"], str(row["known_at"]), row["status"]) for row in rows]


@cache
def listings() -> ibis.Table:
    made = dim_property(source_table("properties", listing(1)), source_table("property_updates"))
    return stored(made, DIM_PROPERTY)


@cache
def guests() -> ibis.Table:
    users = source_table("users", user(7), user(8, is_business=True))
    return stored(dim_user(users, table_of(DIM_USER), at("2024-01-31")), DIM_USER)


def details(history: ibis.Table, *payments: dict, days: Window = JANUARY) -> list[dict]:
    rows = fact_booking_detail(history, source_table("payments", *payments), listings(), guests(), days)
    return FACT_BOOKING_DETAIL.conform(rows).order_by("booking_id").to_pyarrow().to_pylist()


def stays(history: ibis.Table, *payments: dict, days: Window = JANUARY) -> list[dict]:
    rows = fact_booking_daily(history, source_table("payments", *payments), listings(), days)
    return FACT_BOOKING_DAILY.conform(rows).order_by("property_id", "check_in_date").to_pyarrow().to_pylist()


def test_history_has_a_row_for_every_state_of_a_booking():
    history = history_of(
        [booking(1, "2024-01-02 10:00", status="pending"), booking(2, "2024-01-03 11:00")],
        [update(1, 1, "2024-01-04 09:00", status="confirmed"), update(2, 1, "2024-01-06 09:00", status="cancelled")],
    )
    assert states(history) == [
        (1, "2024-01-02 10:00:00", "pending"),
        (1, "2024-01-04 09:00:00", "confirmed"),
        (1, "2024-01-06 09:00:00", "cancelled"),
        (2, "2024-01-03 11:00:00", "confirmed"),
    ]
    created = history.filter(history.booking_id == 1).created_at.to_pyarrow().to_pylist()
    assert created == [at("2024-01-02 10:00")] * 3


def test_history_of_a_day_is_the_changes_of_that_day_even_of_bookings_made_long_before():
    bookings = [booking(1, "2022-05-01 10:00"), booking(2, "2024-01-04 11:00"), booking(3, "2024-01-05 00:00")]
    fourth = Window.of_days(day("2024-01-04"), day("2024-01-04"))
    history = history_of(bookings, [update(1, 1, "2024-01-04 09:00", status="cancelled")], fourth)
    assert states(history) == [(1, "2024-01-04 09:00:00", "cancelled"), (2, "2024-01-04 11:00:00", "confirmed")]


def test_a_change_in_the_instant_of_the_booking_comes_after_it():
    history = history_of([booking(1, status="pending")], [update(1, 1, "2024-01-02 10:00", status="confirmed")])
    assert states(history) == [(1, "2024-01-02 10:00:00", "pending"), (1, "2024-01-02 10:00:00.000001", "confirmed")]


def test_an_update_before_its_booking_is_in_no_history():
    bookings = [booking(1, "2024-01-05 10:00")]
    updates = [update(1, 1, "2024-01-04 09:00", status="cancelled"), update(2, 1, "2024-01-05 09:59:59")]
    assert states(history_of(bookings, updates)) == [(1, "2024-01-05 10:00:00", "confirmed")]


def test_a_booking_that_is_not_believed_has_no_later_states_either():
    history = history_of([booking(1, status="lost"), booking(2)], [update(1, 1, "2024-01-04 09:00")])
    assert states(history) == [(2, "2024-01-02 10:00:00", "confirmed")]


def test_nights_are_counted_from_check_in_to_check_out_and_a_day_use_has_none():
    stay = {"check_in": "2024-02-27", "check_out": "2024-03-02"}
    day_use = {"check_in": "2024-02-27", "check_out": "2024-02-27"}
    nights = history_of([booking(1, **stay), booking(2, **day_use)]).order_by("booking_id").nights_booked
    assert nights.to_pyarrow().to_pylist() == [4, 0]


CANCELLED = [update(1, 1, "2024-01-05 12:00", status="cancelled")]


@pytest.mark.parametrize(
    ("moment", "status"),
    [
        ("2024-01-05 11:59:59", "confirmed"),
        ("2024-01-05 12:00:00", "confirmed"),
        ("2024-01-05 12:00:00.000001", "cancelled"),
        ("2024-02-01 00:00", "cancelled"),
    ],
)
def test_a_cancelled_booking_still_counts_before_its_cancellation(moment: str, status: str):
    history = history_of([booking(1, "2024-01-02 10:00")], CANCELLED)
    assert bookings_as_known(history, at(moment)).status.to_pyarrow().to_pylist() == [status]
    timeline = versions(history)
    assert timeline.filter(known_at(timeline, at(moment))).status.to_pyarrow().to_pylist() == [status]


@pytest.mark.parametrize("moment", ["2024-01-02 09:59", "2024-01-02 10:00"])
def test_a_booking_is_not_known_before_and_in_the_instant_it_is_made(moment: str):
    history = history_of([booking(1, "2024-01-02 10:00")], CANCELLED)
    assert bookings_as_known(history, at(moment)).count().to_pyarrow().as_py() == 0
    timeline = versions(history)
    assert timeline.filter(known_at(timeline, at(moment))).count().to_pyarrow().as_py() == 0


def test_a_stay_is_where_it_was_known_to_be_before_and_after_a_change_of_dates():
    moved = update(1, 1, "2024-01-05 12:00", check_in="2024-01-20", check_out="2024-01-21")
    history = history_of([booking(1)], [moved])

    def known(moment: datetime) -> list[dict]:
        rows = bookings_as_known(history, moment).select("check_in_date", "nights_booked")
        return rows.to_pyarrow().to_pylist()

    assert known(at("2024-01-05 12:00")) == [{"check_in_date": day("2024-01-10"), "nights_booked": 3}]
    assert known(at("2024-01-05 12:01")) == [{"check_in_date": day("2024-01-20"), "nights_booked": 1}]


def test_detail_is_the_latest_state_with_lead_time_and_who_and_where():
    history = history_of(
        [booking(1, "2024-01-02 10:00", total_amount=300.1), booking(2, "2024-01-03 10:00", user_id=8)],
        [update(1, 1, "2024-01-04 09:00", total_amount=350.25, guests_count=3)],
    )
    first, second = details(history)
    assert (first["total_amount"], first["guests_count"], first["status"]) == (350.25, 3, "confirmed")
    assert (first["created_at"], first["updated_at"]) == (at("2024-01-02 10:00"), at("2024-01-04 09:00"))
    assert (first["days_between_booking_and_checkin"], first["nights_booked"]) == (8, 3)
    assert (first["host_id"], first["destination_id"]) == (101, 1)
    assert (first["is_cancelled"], first["cancelled_at"], first["payment_amount"]) == (False, None, None)
    assert (first["is_business_booking"], second["is_business_booking"]) == (False, True)


def test_detail_says_when_a_booking_was_cancelled_for_good():
    history = history_of(
        [booking(1), booking(2)],
        [
            update(1, 1, "2024-01-04 09:00", status="cancelled"),
            update(2, 1, "2024-01-05 09:00", status="confirmed"),
            update(3, 1, "2024-01-06 09:00", status="cancelled"),
            update(4, 2, "2024-01-04 09:00", status="cancelled"),
            update(5, 2, "2024-01-05 09:00", status="confirmed"),
        ],
    )
    first, second = details(history)
    assert (first["is_cancelled"], first["cancelled_at"]) == (True, at("2024-01-06 09:00"))
    assert (second["is_cancelled"], second["cancelled_at"]) == (False, None)


def test_detail_of_a_day_is_the_bookings_made_that_day_with_their_later_changes():
    history = history_of(
        [booking(1, "2024-01-02 23:59:59"), booking(2, "2024-01-03 00:00"), booking(3, "2024-01-04 00:00")],
        [update(1, 2, "2024-01-20 09:00", status="cancelled")],
    )
    third = Window.of_days(day("2024-01-03"), day("2024-01-03"))
    [row] = details(history, payment(1, 2, "2024-01-21 10:00"), days=third)
    assert (row["booking_id"], row["is_cancelled"], row["payment_amount"]) == (2, True, 300.0)


@pytest.mark.parametrize("days", [JANUARY, Window.of_days(day("2024-01-02"), day("2024-01-02"))])
def test_a_payment_before_its_booking_does_not_count_whatever_range_is_computed(days: Window):
    history = history_of([booking(1, "2024-01-02 10:00")])
    early = payment(1, 1, "2023-12-20 10:00"), payment(2, 1, "2024-01-02 09:59")
    [row] = details(history, *early, payment(3, 1, "2024-01-02 10:00", "7"), days=days)
    assert row["payment_amount"] == 7.0


def test_a_payment_counts_less_its_refund_and_failed_payments_move_no_money():
    history = history_of([booking(1), booking(2), booking(3)])
    first, second, third = details(
        history,
        payment(1, 1, "2024-01-03 10:00", "100.10", payment_method="paypal"),
        payment(2, 1, "2024-01-02 11:00", "200.20", payment_method="credit_card"),
        payment(3, 1, "2024-01-05 10:00", "-100.10", status="refunded"),
        payment(4, 1, "2024-01-02 10:30", "300", payment_method="apple_pay", status="failed"),
        payment(5, 2, "2024-01-03 10:00", "300", status="failed"),
        payment(6, 3, "2024-01-03 10:00", "300"),
        payment(6, 3, "2024-01-03 10:00", "300"),
        payment(7, 3, "2024-01-04 10:00", "-300", status="refunded"),
        payment(8, 99, "2024-01-04 10:00", "500"),
    )
    assert (first["payment_amount"], first["payment_method"]) == (200.2, "credit_card")
    assert (second["payment_amount"], second["payment_method"]) == (None, None)
    assert third["payment_amount"] == 0.0


@pytest.mark.parametrize(
    ("cancelled_at", "confirmed", "value"),
    [("2024-01-10 23:59:59", 1, 200.0), ("2024-01-11 00:00", 2, 500.0), ("2024-01-12 08:00", 2, 500.0)],
)
def test_a_stay_counts_as_it_was_known_when_its_check_in_day_ended(cancelled_at: str, confirmed: int, value: float):
    history = history_of([booking(1), booking(2, total_amount=200.0)], [update(1, 1, cancelled_at, status="cancelled")])
    [row] = stays(history)
    assert (row["property_id"], row["check_in_date"], row["destination_id"]) == (1, day("2024-01-10"), 1)
    assert row["booking_count"] == 2
    assert (row["confirmed_booking_count"], row["cancellation_count"]) == (confirmed, 2 - confirmed)
    assert row["total_booking_value"] == value
    assert row["avg_booking_value"] == value / confirmed


def test_a_stay_moved_before_its_check_in_counts_on_the_new_day_only():
    moved = update(1, 1, "2024-01-09 12:00", check_in="2024-01-20", check_out="2024-01-21")
    assert [row["check_in_date"] for row in stays(history_of([booking(1)], [moved]))] == [day("2024-01-20")]


def test_a_booking_made_on_its_check_in_day_counts_and_one_entered_the_day_after_does_not():
    history = history_of([booking(1, "2024-01-10 23:30"), booking(2, "2024-01-11 00:10")])
    assert [row["booking_count"] for row in stays(history)] == [1]


def test_where_all_cancelled_there_is_no_value_and_no_average():
    history = history_of([booking(1)], [update(1, 1, "2024-01-04 09:00", status="cancelled")])
    [row] = stays(history, payment(1, 1, "2024-01-03 10:00"))
    assert (row["booking_count"], row["confirmed_booking_count"], row["cancellation_count"]) == (1, 0, 1)
    assert (row["total_booking_value"], row["total_guests"]) == (0.0, 0)
    assert (row["avg_booking_value"], row["avg_nights_booked"], row["payment_completion_rate"]) == (None, None, None)


def test_stays_of_a_property_and_day_add_up():
    history = history_of(
        [
            booking(1, total_amount=0.1, guests_count=1),
            booking(2, total_amount=0.2, guests_count=3, check_out="2024-01-14"),
            booking(3, total_amount=900.0, guests_count=9),
            booking(4, property_id=2),
            booking(5, check_in="2024-01-12"),
        ],
        [update(1, 3, "2024-01-03 10:00", status="cancelled", total_amount=900.0, guests_count=9)],
    )
    first, other_day, other_property = stays(history)
    assert first["total_booking_value"] == 0.3
    assert (first["total_guests"], first["avg_nights_booked"]) == (4, 3.5)
    assert (other_day["check_in_date"], other_day["avg_nights_booked"]) == (day("2024-01-12"), 1.0)
    assert (other_property["property_id"], other_property["destination_id"]) == (2, None)


def test_the_share_paid_counts_completed_payments_made_by_the_end_of_the_check_in_day():
    history = history_of([booking(key) for key in range(1, 6)], [update(1, 5, "2024-01-09 10:00", status="cancelled")])
    [row] = stays(
        history,
        payment(1, 1, "2024-01-10 23:59:59"),
        payment(2, 2, "2024-01-11 00:00"),
        payment(3, 3, "2024-01-09 00:00", status="failed"),
        payment(4, 5, "2024-01-09 00:00"),
    )
    assert (row["confirmed_booking_count"], row["payment_completion_rate"]) == (4, 0.25)


def test_a_stay_booked_more_than_three_years_ahead_is_not_one_whenever_the_window_begins():
    early = [booking(1, "2021-01-10 00:00"), booking(2, "2021-01-09 23:59")]
    [stay] = stays(history_of(early, days=Window(at("2021-01-01"), JANUARY.end)))
    assert stay["booking_count"] == 1


def test_only_stays_of_the_window_are_given():
    history = history_of([booking(1), booking(2, check_in="2024-01-11"), booking(3, check_in="2024-01-09")])
    tenth = Window.of_days(day("2024-01-10"), day("2024-01-10"))
    assert [row["check_in_date"] for row in stays(history, days=tenth)] == [day("2024-01-10")]
