"""What is known about a customer, compared with a count by hand over every booking as it was known."""

from datetime import timedelta

import ibis
import numpy as np
import pandas as pd
import pytest

from wanderbricks_assets.contracts.features import USER_FEATURES
from wanderbricks_assets.contracts.gold import DIM_USER, FACT_BOOKING_HISTORY
from wanderbricks_assets.features.user_features import user_features
from wanderbricks_assets.gold.bookings import fact_booking_history
from wanderbricks_assets.gold.dimensions import dim_user
from wanderbricks_assets.window import Window
from wanderbricks_assets_tests.marketplace import (
    assert_same,
    at,
    booking,
    day,
    frame,
    source_table,
    stored,
    table_of,
    update,
    user,
)

EVER = Window.of_days(day("2020-01-01"), day("2030-12-31"))


def guests(*users: dict) -> ibis.Table:
    made = dim_user(source_table("users", *users), table_of(DIM_USER), at("2024-01-01"))
    return stored(made, DIM_USER)


def history_of(bookings: list[dict], updates: list[dict] = ()) -> ibis.Table:
    rows = fact_booking_history(source_table("bookings", *bookings), source_table("booking_updates", *updates), EVER)
    return stored(rows, FACT_BOOKING_HISTORY)


def features(history: ibis.Table, users: ibis.Table, days: Window = EVER) -> pd.DataFrame:
    return frame(user_features(users, history, days), USER_FEATURES)


def test_a_customer_has_a_row_on_days_of_change_and_when_a_booking_leaves_a_look_back():
    history = history_of([booking(1, "2024-01-02 10:00")], [update(1, 1, "2024-01-05 23:59", status="cancelled")])
    found = features(history, guests(user(7)))
    assert found.feature_date.dt.date.to_list() == [
        day("2024-01-02"),
        day("2024-01-05"),
        day("2024-06-30"),
        day("2024-12-27"),
        day("2025-01-01"),
    ]
    assert found.total_bookings.to_list() == [1] * 5
    assert found.total_spend.to_list() == [300.0, 0.0, 0.0, 0.0, 0.0]
    assert found.cancellation_rate.to_list() == [0.0, 1.0, 1.0, 1.0, 1.0]
    assert found.booking_trend.to_list() == [1.0, 1.0, -1.0, 0.0, 0.0]
    assert found.booking_frequency.to_list() == [1.0, 1.0, 1.0, 1.0, 0.0]
    assert found.days_since_last_booking.to_list() == [0, 3, 180, 360, 365]
    assert found.tenure_days.to_list() == [246, 249, 426, 606, 611]
    assert found.avg_lead_time.to_list() == [8.0] * 5
    assert found.available_at.iloc[1] == at("2024-01-06")


def test_the_average_value_is_of_bookings_not_cancelled_and_null_without_one():
    history = history_of(
        [booking(1, total_amount=100.1), booking(2, total_amount=200.2), booking(3, total_amount=50.0)],
        [
            update(1, 3, "2024-01-03 10:00", status="cancelled", total_amount=50.0),
            update(2, 2, "2024-01-04 10:00", status="cancelled", total_amount=200.2),
            update(3, 1, "2024-01-05 10:00", status="cancelled", total_amount=100.1),
        ],
    )
    found = features(history, guests(user(7))).head(4)
    assert found.total_spend.to_list() == [350.3, 300.3, 100.1, 0.0]
    assert found.avg_booking_value.to_list()[:3] == [350.3 / 3, 150.15, 100.1]
    assert found.avg_booking_value.isna().to_list() == [False, False, False, True]
    assert found.cancellation_rate.to_list() == [0.0, 1 / 3, 2 / 3, 1.0]


def test_a_cancellation_taken_back_counts_as_no_cancellation():
    history = history_of(
        [booking(1)],
        [update(1, 1, "2024-01-03 10:00", status="cancelled"), update(2, 1, "2024-01-04 10:00", total_amount=320.0)],
    )
    found = features(history, guests(user(7))).head(3)
    assert found.cancellation_rate.to_list() == [0.0, 1.0, 0.0]
    assert found.total_spend.to_list() == [300.0, 0.0, 320.0]


def test_a_customer_who_registers_after_booking_has_no_row_before():
    history = history_of([booking(1, "2024-01-02 10:00"), booking(2, "2024-01-05 10:00")])
    found = features(history, guests(user(7, "2024-01-04 12:00")))
    assert found.feature_date.dt.date.to_list()[:1] == [day("2024-01-05")]
    assert found.total_bookings.iloc[0] == 2


def test_a_row_carries_the_country_that_held_when_its_day_ended():
    first = guests(user(7))
    moved = dim_user(source_table("users", user(7, country="Japan")), first, at("2024-01-05 12:00"))
    history = history_of([booking(key, f"2024-01-0{key} 10:00") for key in (4, 5, 6)])
    found = features(history, stored(moved, DIM_USER)).head(3)
    assert found.country.to_list() == ["Portugal", "Japan", "Japan"]


def random_books(seed: int, count: int = 150) -> tuple[list[dict], list[dict]]:
    """Bookings of two years by five customers, and changes to them up to months later."""
    rng = np.random.default_rng(seed)
    bookings, updates = [], []
    for key in range(count):
        made = at("2022-01-01") + timedelta(seconds=int(rng.integers(0, 730 * 86400)))
        check_in = (made + timedelta(days=int(rng.integers(0, 200)))).date()
        row = booking(
            key,
            str(made),
            user_id=int(rng.integers(1, 6)),
            check_in=check_in,
            check_out=check_in + timedelta(days=3),
            total_amount=float(round(rng.uniform(20, 900), 2)),
        )
        bookings.append(row)
        moment = made
        for _ in range(int(rng.integers(0, 4))):
            moment += timedelta(seconds=int(rng.choice([600, 3 * 86400, 90 * 86400])))
            change = {
                "booking_update_id": len(updates),
                "updated_at": moment,
                "status": str(rng.choice(["confirmed", "cancelled"])),
                "total_amount": float(round(row["total_amount"] + rng.choice([0, 12.34]), 2)),
            }
            updates.append(row | change)
    return bookings, updates


def by_hand(users: list[dict], bookings: list[dict], updates: list[dict]) -> pd.DataFrame:
    """Every row that there should be, each from scratch."""
    rows = []
    for guest in users:
        own = [row for row in bookings if row["user_id"] == guest["user_id"]]
        changed = [row for row in updates if row["user_id"] == guest["user_id"]]
        made_on = [row["created_at"].date() for row in own]
        dates = {made + timedelta(days=days) for made in made_on for days in (0, 180, 360, 365)}
        for date in sorted(dates | {row["updated_at"].date() for row in changed}):
            end = at(f"{date} 00:00") + timedelta(days=1)
            made = [row for row in own if row["created_at"] < end]
            states = []
            for row in made:
                known = [one for one in changed if one["booking_id"] == row["booking_id"] and one["updated_at"] < end]
                states.append(max([row, *known], key=lambda state: state["updated_at"]))
            held = [state for state in states if state["status"] != "cancelled"]
            ages = [(date - row["created_at"].date()).days for row in made]
            spend = round(sum(state["total_amount"] for state in held), 2)
            rows.append(
                {
                    "user_id": guest["user_id"],
                    "feature_date": pd.Timestamp(date),
                    "country": guest["country"],
                    "user_type": guest["user_type"],
                    "is_business": guest["is_business"],
                    "tenure_days": (date - guest["created_at"].date()).days,
                    "total_bookings": len(made),
                    "total_spend": spend,
                    "avg_booking_value": spend / len(held) if held else None,
                    "booking_frequency": float(sum(age < 365 for age in ages)),
                    "avg_lead_time": sum((row["check_in"] - row["created_at"].date()).days for row in made) / len(made),
                    "cancellation_rate": (len(made) - len(held)) / len(made),
                    "days_since_last_booking": min(ages),
                    "booking_trend": float(sum(age < 180 for age in ages) - sum(180 <= age < 360 for age in ages)),
                    "available_at": end,
                }
            )
    return pd.DataFrame(rows)


USERS = [user(key, "2021-12-01 12:00", country=f"Country {key}", is_business=key == 2) for key in range(1, 7)]


@pytest.mark.parametrize("seed", [1, 2])
def test_all_twelve_features_of_every_row_agree_with_a_count_by_hand(seed: int):
    bookings, updates = random_books(seed)
    found = features(history_of(bookings, updates), guests(*USERS))
    expected = by_hand(USERS, bookings, updates)
    assert len(expected) > 500
    pd.testing.assert_frame_equal(found, expected, check_exact=True, check_dtype=False)


def test_a_day_computed_alone_gives_the_rows_of_the_whole():
    bookings, updates = random_books(3)
    history, users = history_of(bookings, updates), guests(*USERS)
    whole = features(history, users)
    busy = whole.feature_date.value_counts()
    for of in sorted(busy[busy > 1].index)[::40]:
        known = stored(history.filter(history.known_at < of + pd.Timedelta(days=1)), FACT_BOOKING_HISTORY)
        alone = features(known, users, Window.of_days(of.date(), of.date()))
        assert_same(alone, whole[whole.feature_date == of].reset_index(drop=True))
