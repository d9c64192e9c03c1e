"""Properties and guests by version, places, hosts and the calendar."""

from datetime import date

import ibis
import pytest

from wanderbricks_assets.contracts.gold import DIM_DATE, DIM_DESTINATION, DIM_HOST, DIM_PROPERTY, DIM_USER
from wanderbricks_assets.gold.dimensions import dim_date, dim_destination, dim_host, dim_property, dim_user
from wanderbricks_assets_tests.marketplace import (
    assert_same,
    at,
    day,
    frame,
    listing,
    price,
    source_table,
    stored,
    table_of,
    user,
)


def property_versions(*updates: dict, listings: tuple[dict, ...] = (listing(1, "2023-06-01"),)) -> list[tuple]:
    rows = dim_property(source_table("properties", *listings), source_table("property_updates", *updates))
    rows = DIM_PROPERTY.conform(rows).order_by("property_id", "effective_from").to_pyarrow().to_pylist()
    return [(row["property_id"], row["base_price"], *life(row)) for row in rows]


def versions_of(*rows: dict, known: dict[str, ibis.Table] | None = None) -> ibis.Table:
    made = dim_property(source_table("properties", *rows), source_table("property_updates"), known)
    return DIM_PROPERTY.conform(made)


def life(row: dict) -> tuple[str, str | None, bool]:
    end = row["effective_to"]
    return str(row["effective_from"]), str(end) if end else None, row["is_current"]


def test_a_listing_without_price_history_has_one_version_from_its_first_day_on():
    assert property_versions() == [(1, 100.0, "2023-06-01 00:00:00", None, True)]


def test_each_price_is_a_version_that_ends_when_the_next_begins():
    first, second, third = ("2023-06-01 00:00", 90.5), ("2023-09-01 12:30", 80.0), ("2024-02-01 09:00", 120.0)
    assert property_versions(*(price(1, amount, since) for since, amount in (third, first, second))) == [
        (1, 90.5, "2023-06-01 00:00:00", "2023-09-01 12:30:00", False),
        (1, 80.0, "2023-09-01 12:30:00", "2024-02-01 09:00:00", False),
        (1, 120.0, "2024-02-01 09:00:00", None, True),
    ]


def test_before_its_first_known_change_the_price_of_a_listing_is_unknown_not_the_later_one():
    assert property_versions(price(1, 80.0, "2023-09-01 12:30")) == [
        (1, None, "2023-06-01 00:00:00", "2023-09-01 12:30:00", False),
        (1, 80.0, "2023-09-01 12:30:00", None, True),
    ]


def test_of_prices_set_before_the_listing_the_last_one_holds_when_it_is_listed():
    before = [price(1, 70.0, "2023-04-01 00:00"), price(1, 75.0, "2023-05-01 00:00")]
    assert property_versions(*before, price(1, 80.0, "2023-09-01 00:00")) == [
        (1, 75.0, "2023-06-01 00:00:00", "2023-09-01 00:00:00", False),
        (1, 80.0, "2023-09-01 00:00:00", None, True),
    ]


def test_a_price_change_delivered_twice_is_one_version():
    change = price(1, 80.0, "2023-09-01 00:00")
    assert property_versions(price(1, 90.0, "2023-06-01 00:00"), change, change) == [
        (1, 90.0, "2023-06-01 00:00:00", "2023-09-01 00:00:00", False),
        (1, 80.0, "2023-09-01 00:00:00", None, True),
    ]


def test_price_histories_of_listings_do_not_mix():
    updates = [price(2, 55.0, "2023-07-01 00:00"), price(3, 1.0, "2023-07-01 00:00")]
    assert property_versions(*updates, listings=(listing(1), listing(2, "2023-06-15"))) == [
        (1, 100.0, "2023-06-01 00:00:00", None, True),
        (2, None, "2023-06-15 00:00:00", "2023-07-01 00:00:00", False),
        (2, 55.0, "2023-07-01 00:00:00", None, True),
    ]


def test_every_version_carries_the_columns_of_the_listing():
    [row] = versions_of(listing(1)).to_pyarrow().to_pylist()
    assert (row["host_id"], row["destination_id"], row["max_guests"], row["bedrooms"]) == (101, 1, 4, 2)
    assert (row["latitude"], row["longitude"], row["created_at"]) == (38.5, -9.25, day("2023-06-01"))


def test_a_listing_in_a_place_or_of_a_host_that_nobody_knows_is_not_believed():
    known = {
        "destinations": source_table("destinations", {"destination_id": 1, "destination": "Lisbon"}),
        "hosts": source_table("hosts", {"host_id": 101, "name": "Ana"}),
    }
    rows = [listing(1), listing(2), listing(3, host_id=101, destination_id=9), listing(4, host_id=None)]
    assert sorted(versions_of(*rows, known=known).property_id.to_pyarrow().to_pylist()) == [1, 4]
    without_hosts = known | {"hosts": source_table("hosts")}
    assert sorted(versions_of(*rows, known=without_hosts).property_id.to_pyarrow().to_pylist()) == [1, 2, 4]


def users_after(previous: ibis.Table, seen_at: str, *rows: dict) -> ibis.Table:
    made = dim_user(source_table("users", *rows), previous, at(seen_at))
    return stored(made, DIM_USER)


def user_versions(rows: ibis.Table) -> list[tuple]:
    rows = rows.order_by("user_id", "effective_from").to_pyarrow().to_pylist()
    return [(row["user_id"], row["country"], *life(row)) for row in rows]


NOBODY = table_of(DIM_USER)
TWO_GUESTS = (user(7, "2023-05-01 12:00"), user(8, "2023-06-01 12:00", country=None))


def test_a_guest_seen_for_the_first_time_has_one_version_since_registration():
    assert user_versions(users_after(NOBODY, "2024-01-10", *TWO_GUESTS)) == [
        (7, "Portugal", "2023-05-01 12:00:00", None, True),
        (8, None, "2023-06-01 12:00:00", None, True),
    ]


def test_guests_who_did_not_change_keep_their_one_version_on_a_rerun():
    first = users_after(NOBODY, "2024-01-10", *TWO_GUESTS)
    second = users_after(first, "2024-01-11", *TWO_GUESTS, user(9, "2024-01-10 18:00"))
    assert user_versions(second) == [*user_versions(first), (9, "Portugal", "2024-01-10 18:00:00", None, True)]


def test_a_changed_country_ends_the_old_version_and_begins_a_new_one():
    first = users_after(NOBODY, "2024-01-10", *TWO_GUESTS)
    changed = (user(7, country="Japan"), user(8, "2023-06-01 12:00", country="Peru"))
    second = users_after(first, "2024-01-15 08:00", *changed)
    assert user_versions(second) == [
        (7, "Portugal", "2023-05-01 12:00:00", "2024-01-15 08:00:00", False),
        (7, "Japan", "2024-01-15 08:00:00", None, True),
        (8, None, "2023-06-01 12:00:00", "2024-01-15 08:00:00", False),
        (8, "Peru", "2024-01-15 08:00:00", None, True),
    ]


def test_seeing_the_same_change_again_changes_nothing():
    changed = (user(7, country="Japan"), TWO_GUESTS[1])
    first = users_after(users_after(NOBODY, "2024-01-10", *TWO_GUESTS), "2024-01-15 08:00", *changed)
    for seen_at in ("2024-01-15 08:00", "2024-01-16 08:00"):
        assert_same(frame(users_after(first, seen_at, *changed), DIM_USER), frame(first, DIM_USER))


def test_of_two_changes_seen_at_the_same_moment_the_second_replaces_the_first():
    first = users_after(NOBODY, "2024-01-10", user(7))
    second = users_after(first, "2024-01-15", user(7, country="Japan"))
    third = users_after(second, "2024-01-15", user(7, country="Peru"))
    assert user_versions(third) == [
        (7, "Portugal", "2023-05-01 12:00:00", "2024-01-15 00:00:00", False),
        (7, "Peru", "2024-01-15 00:00:00", None, True),
    ]


def test_a_guest_who_registers_after_the_newest_booking_and_changes_has_no_version_that_ends_before_it_begins():
    first = users_after(NOBODY, "2024-01-10", user(7, "2024-01-12 12:00"))
    second = users_after(first, "2024-01-10", user(7, "2024-01-12 12:00", country="Japan"))
    assert user_versions(second) == [(7, "Japan", "2024-01-12 12:00:00", None, True)]


def test_a_guest_who_left_the_source_keeps_the_versions_of_before():
    first = users_after(NOBODY, "2024-01-10", *TWO_GUESTS)
    second = users_after(first, "2024-01-15", TWO_GUESTS[0])
    assert user_versions(second) == user_versions(first)


def test_a_place_has_its_country_code_and_one_in_an_unknown_country_has_none():
    rows = dim_destination(
        source_table(
            "destinations",
            {"destination_id": 1, "destination": "Lisbon", "country": "Portugal"},
            {"destination_id": 2, "destination": "Atlantis", "country": "Sea"},
        ),
        source_table("countries", {"country": "Portugal", "country_code": "PT", "continent": "Europe"}),
    )
    found = DIM_DESTINATION.conform(rows).order_by("destination_id").to_pyarrow().to_pylist()
    assert [(row["destination"], row["country"], row["country_code"]) for row in found] == [
        ("Lisbon", "Portugal", "PT"),
        ("Atlantis", "Sea", None),
    ]


def test_a_host_counts_listings_and_one_without_has_zero():
    hosts = source_table("hosts", {"host_id": 101, "name": "Ana"}, {"host_id": 5, "name": "Rui"})
    rows = dim_host(hosts, versions_of(listing(1), listing(2, host_id=101), listing(3)))
    found = DIM_HOST.conform(rows).order_by("host_id").to_pyarrow().to_pylist()
    assert [(row["host_id"], row["property_count"]) for row in found] == [(5, 0), (101, 2)]


@pytest.fixture(scope="module")
def calendar() -> dict[tuple[str, date], dict]:
    countries = [("Portugal", "PT"), ("United States", "US"), ("Atlantis", None), ("Erewhon", "XX")]
    rows = DIM_DATE.conform(dim_date(day("2023-12-31"), day("2024-12-31"), countries)).to_pyarrow().to_pylist()
    assert len(rows) == 4 * 367
    return {(row["country"], row["date"]): row for row in rows}


@pytest.mark.parametrize(
    ("country", "of", "holiday"),
    [("Portugal", "2024-04-25", True), ("United States", "2024-04-25", False), ("United States", "2024-07-04", True)],
)
def test_holidays_are_those_of_the_country(calendar: dict, country: str, of: str, holiday: bool):
    row = calendar[country, day(of)]
    assert row["is_holiday"] is holiday
    assert (row["holiday"] is not None) is holiday


@pytest.mark.parametrize("country", ["Atlantis", "Erewhon"])
def test_where_nobody_knows_the_holidays_no_day_claims_to_be_none(calendar: dict, country: str):
    assert {row["is_holiday"] for (name, _), row in calendar.items() if name == country} == {None}


def test_the_calendar_knows_weekdays_weekends_and_leap_days(calendar: dict):
    names = ("day_of_week", "day_of_year", "month", "quarter", "year", "is_weekend")
    leap_day, saturday, last = (calendar["Portugal", day(of)] for of in ("2024-02-29", "2024-03-02", "2024-12-31"))
    assert [leap_day[name] for name in names] == [4, 60, 2, 1, 2024, False]
    assert [saturday[name] for name in names] == [6, 62, 3, 1, 2024, True]
    assert [last[name] for name in names] == [2, 366, 12, 4, 2024, False]
