"""What is known about a listing at the end of a day, compared with a count by hand."""

from datetime import timedelta

import pandas as pd
import pytest

from wanderbricks_assets.contracts.features import PROPERTY_FEATURES
from wanderbricks_assets.contracts.gold import DIM_DESTINATION, DIM_PROPERTY, FACT_BOOKING_HISTORY
from wanderbricks_assets.features.property_features import property_features
from wanderbricks_assets.gold.bookings import fact_booking_history
from wanderbricks_assets.gold.dimensions import dim_destination, dim_property
from wanderbricks_assets.gold.reviews import fact_review
from wanderbricks_assets.window import Window
from wanderbricks_assets_tests.marketplace import (
    at,
    booking,
    day,
    frame,
    listing,
    memory,
    price,
    random_marketplace,
    review,
    source_table,
    stored,
    table_of,
    update,
)

EVER = Window.of_days(day("2020-01-01"), day("2030-12-31"))
LISBON = {"destination_id": 1, "destination": "Lisbon", "country": "Portugal"}


def features(
    first: str,
    last: str,
    listings: list[dict] | None = None,
    prices: list[dict] = (),
    bookings: list[dict] = (),
    updates: list[dict] = (),
    reviews: list[dict] = (),
    images: list[dict] = (),
) -> pd.DataFrame:
    """Rows of the days from first to last; index: property and date."""
    history = fact_booking_history(source_table("bookings", *bookings), source_table("booking_updates", *updates), EVER)
    rows = property_features(
        stored(
            dim_property(
                source_table("properties", *(listings or [listing(1)])), source_table("property_updates", *prices)
            ),
            DIM_PROPERTY,
        ),
        table_of(DIM_DESTINATION, LISBON),
        stored(history, FACT_BOOKING_HISTORY),
        fact_review(source_table("reviews", *reviews), EVER),
        source_table("property_images", *images),
        Window.of_days(day(first), day(last)),
    )
    found = frame(rows, PROPERTY_FEATURES)
    return found.set_index(["property_id", found.feature_date.dt.date]).drop(columns="feature_date")


def of_property(found: pd.DataFrame, column: str, property_id: int = 1) -> dict[str, float | None]:
    values = found.loc[property_id][column]
    return {str(of)[5:]: None if pd.isna(value) else value for of, value in values.items()}


def test_a_listing_has_a_row_for_every_day_from_its_first_on():
    found = features("2024-01-01", "2024-01-04", [listing(1), listing(2, "2024-01-03"), listing(3, "2024-01-05")])
    assert [(key, str(of)) for key, of in found.index] == [
        (1, "2024-01-01"),
        (1, "2024-01-02"),
        (1, "2024-01-03"),
        (1, "2024-01-04"),
        (2, "2024-01-03"),
        (2, "2024-01-04"),
    ]
    row = found.loc[1, day("2024-01-01")]
    assert (row.property_type, row.bedrooms, row.max_guests) == ("Urban Year-Round", 2, 4)
    assert (row.destination, row.country, row.latitude, row.longitude) == ("Lisbon", "Portugal", 38.5, -9.25)
    assert (row.bookings_lag_7d, row.bookings_ma_7d, row.occupancy_30d, row.photos_count) == (0, 0.0, 0.0, 0)
    assert row.available_at == at("2024-01-02")


def test_the_price_is_the_one_that_held_when_the_day_ended():
    prices = [
        price(1, 90.0, "2023-06-01 00:00"),
        price(1, 95.0, "2024-01-02 23:59:59"),
        price(1, 99.5, "2024-01-04 00:00"),
    ]
    found = of_property(features("2024-01-01", "2024-01-04", prices=prices), "base_price")
    assert found == {"01-01": 90.0, "01-02": 95.0, "01-03": 95.0, "01-04": 99.5}


def test_bookings_are_counted_on_the_day_they_were_made_even_when_cancelled_later():
    bookings = [booking(1, "2024-01-05 10:00"), booking(2, "2024-01-05 23:59"), booking(3, "2024-01-07 00:00")]
    updates = [update(1, 1, "2024-01-06 10:00", status="cancelled")]
    found = features("2024-01-04", "2024-02-07", bookings=bookings, updates=updates)
    names = ("bookings_lag_7d", "bookings_lag_30d", "bookings_ma_7d")
    lag_7, lag_30, mean = (of_property(found, name) for name in names)
    assert {of: count for of, count in lag_7.items() if count} == {"01-12": 2, "01-14": 1}
    assert {of: count for of, count in lag_30.items() if count} == {"02-04": 2, "02-06": 1}
    assert {of: value for of, value in mean.items() if value} == {
        "01-05": 2 / 7,
        "01-06": 2 / 7,
        "01-07": 3 / 7,
        "01-08": 3 / 7,
        "01-09": 3 / 7,
        "01-10": 3 / 7,
        "01-11": 3 / 7,
        "01-12": 1 / 7,
        "01-13": 1 / 7,
    }


def test_nights_are_sold_as_they_pass_and_only_while_the_booking_holds():
    stay = {"check_in": "2024-01-03", "check_out": "2024-01-06"}
    cancelled = update(1, 1, "2024-01-05 12:00", status="cancelled", **stay)
    found = features("2024-01-02", "2024-01-06", bookings=[booking(1, **stay)], updates=[cancelled])
    sold = of_property(found, "occupancy_30d")
    assert sold == {"01-02": 0.0, "01-03": 1 / 30, "01-04": 2 / 30, "01-05": 0.0, "01-06": 0.0}


def test_nights_booked_more_than_three_years_ahead_are_not_sold_whenever_the_range_begins():
    stay = {"check_in": "2024-01-03", "check_out": "2024-01-06"}
    booked = booking(1, "2021-01-03 10:00", **stay)
    found = features("2024-01-02", "2024-01-06", bookings=[booked])
    sold = of_property(found, "occupancy_30d")
    assert sold == {"01-02": 0.0, "01-03": 1 / 30, "01-04": 0.0, "01-05": 0.0, "01-06": 0.0}


def test_nights_leave_the_thirty_days_one_by_one():
    found = features("2024-02-01", "2024-02-15", bookings=[booking(1)])
    sold = {of: round(value * 30) for of, value in of_property(found, "occupancy_30d").items()}
    assert [sold[f"02-{number:02}"] for number in (7, 8, 9, 10, 11, 12)] == [3, 3, 2, 1, 0, 0]


def test_the_rating_is_the_mean_of_the_reviews_so_far_and_deleted_ones_do_not_count():
    reviews = [
        review(1, "2023-01-05 10:00", 4.0),
        review(2, "2024-01-02 10:00", 3.1),
        review(2, "2024-01-02 10:00", 3.1),
        review(3, "2024-01-03 23:59:59", None),
        review(4, "2024-01-04 00:00", 1.0, property_id=2),
    ]
    found = features("2024-01-01", "2024-01-04", [listing(1), listing(2)], reviews=reviews)
    assert of_property(found, "rating") == {"01-01": 4.0, "01-02": 3.55, "01-03": 3.55, "01-04": 3.55}
    assert of_property(found, "rating", 2) == {"01-01": None, "01-02": None, "01-03": None, "01-04": 1.0}


def test_photos_are_counted_from_the_day_they_were_uploaded_and_those_of_no_day_from_the_first():
    images = [
        {"image_id": key, "property_id": 1, "uploaded_at": day(of) if of else None}
        for key, of in enumerate([None, "2020-01-01", "2024-01-02", "2024-01-03"])
    ]
    found = features("2024-01-01", "2024-01-03", images=[*images, images[1]])
    assert of_property(found, "photos_count") == {"01-01": 2, "01-02": 3, "01-03": 4}


def test_competitors_are_the_other_properties_of_the_same_place_and_type_listed_that_day():
    listings = [
        listing(1, base_price=100.0),
        listing(2, base_price=150.0),
        listing(3, "2024-01-02", base_price=200.1),
        listing(4, base_price=999.0, property_type="Ski Resort"),
        listing(5, base_price=999.0, destination_id=2),
    ]
    found = features("2024-01-01", "2024-01-02", listings)
    assert of_property(found, "competitor_price") == {"01-01": 150.0, "01-02": 175.05}
    assert of_property(found, "competitor_price", 2) == {"01-01": 100.0, "01-02": 150.05}
    assert of_property(found, "competitor_price", 4) == {"01-01": None, "01-02": None}


FROM, TO = day("2023-12-12"), day("2024-02-20")


@pytest.mark.parametrize("seed", [6, 7])
def test_every_row_agrees_with_a_count_by_hand(seed: int):
    tables = random_marketplace(seed)
    source = memory(tables)
    history = stored(fact_booking_history(source["bookings"], source["booking_updates"], EVER), FACT_BOOKING_HISTORY)
    found = frame(
        property_features(
            stored(dim_property(source["properties"], source["property_updates"]), DIM_PROPERTY),
            dim_destination(source["destinations"], source["countries"]),
            history,
            fact_review(source["reviews"], EVER),
            source["property_images"],
            Window.of_days(FROM, TO),
        ),
        PROPERTY_FEATURES,
    )
    expected = by_hand({name: rows.to_pandas() for name, rows in tables.items()}, history.to_pandas())
    pd.testing.assert_frame_equal(found, expected, check_exact=False, rtol=1e-12, check_dtype=False)
    exact = [name for name in found.columns if name != "competitor_price"]
    pd.testing.assert_frame_equal(found[exact], expected[exact], check_exact=True, check_dtype=False)
    assert (found.occupancy_30d > 0).sum() > 100
    assert found.rating.nunique() > 20


def by_hand(tables: dict[str, pd.DataFrame], history: pd.DataFrame) -> pd.DataFrame:
    """Every row that there should be, each from scratch."""
    places = tables["destinations"].set_index("destination_id")
    reviews = tables["reviews"].drop_duplicates("review_id").dropna(subset="rating")
    made = history[history.known_at == history.created_at]
    made_on = made.groupby(["property_id", made.created_at.dt.date]).size().to_dict()
    ordered = history.sort_values("known_at")
    rows = []
    for date_ in pd.date_range(FROM, TO):
        of, end = date_.date(), date_ + pd.Timedelta(days=1)
        listed = tables["properties"][tables["properties"].created_at <= of]
        updates = tables["property_updates"][tables["property_updates"].updated_at < end]
        prices = updates.sort_values("updated_at").groupby("property_id").base_price.last().astype(float).round(2)
        known = ordered[ordered.known_at < end].groupby("booking_id").last()
        sold = nights_sold(known[known.status != "cancelled"], date_)
        for home in listed.itertuples():
            key = home.property_id
            stars = reviews[(reviews.property_id == key) & (reviews.created_at < end)].rating
            images = tables["property_images"]
            images = images[(images.property_id == key) & ~(images.uploaded_at > of)]
            alike = (listed.destination_id == home.destination_id) & (listed.property_type == home.property_type)
            others = prices[listed[alike & (listed.property_id != key)].property_id]
            counts = [made_on.get((key, of - timedelta(days=days)), 0) for days in range(31)]
            rows.append(
                {
                    "property_id": key,
                    "feature_date": date_,
                    "property_type": home.property_type,
                    "bedrooms": home.bedrooms,
                    "base_price": prices[key],
                    "max_guests": home.max_guests,
                    "destination": places.destination[home.destination_id],
                    "country": places.country[home.destination_id],
                    "latitude": home.property_latitude,
                    "longitude": home.property_longitude,
                    "bookings_lag_7d": counts[7],
                    "bookings_lag_30d": counts[30],
                    "bookings_ma_7d": sum(counts[:7]) / 7,
                    "occupancy_30d": sold.get(key, 0) / 30,
                    "rating": round(stars.sum(), 1) / len(stars) if len(stars) else None,
                    "photos_count": len(images),
                    "competitor_price": others.mean(),
                    "available_at": end,
                }
            )
    return pd.DataFrame(rows).sort_values(["property_id", "feature_date"]).reset_index(drop=True)


def nights_sold(held: pd.DataFrame, of: pd.Timestamp) -> dict[int, int]:
    """Nights among the last thirty to a day, each night of each stay by itself."""
    sold: dict[int, int] = {}
    for stay in held.itertuples():
        for number in range(30):
            if stay.check_in_date <= of - timedelta(days=number) < stay.check_out_date:
                sold[stay.property_id] = sold.get(stay.property_id, 0) + 1
    return sold
