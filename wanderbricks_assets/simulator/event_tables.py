"""Rows of the market in the public form of the event tables and of the truth about events."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wanderbricks_assets.contracts import source
from wanderbricks_assets.simulator.world import Columns

COMMENTS = (
    ("Not what the photos promised.", "Noisy and far from everything.", "We left a day early.", "Would not come back."),
    ("Fine for the price.", "Average place, average stay.", "Some things need repair.", "OK for a short stay."),
    (
        "Lovely place, great host.",
        "We will come back!",
        "Spotless and very well located.",
        "Even better than the photos.",
    ),
)


def timestamps(seconds: np.ndarray) -> pa.Array:
    return pa.array(seconds.astype("datetime64[s]").astype("datetime64[us]"))


def dates(days: np.ndarray) -> pa.Array:
    return pa.array(days.astype(np.int32)).view(pa.date32())


def words(values: tuple[str, ...], index: np.ndarray) -> pa.Array:
    return pa.array(values).take(pa.array(index.astype(np.int32)))


def numbered(text: str, numbers: np.ndarray, after: str = "") -> pa.Array:
    """text + number + after, for each number."""
    return pc.binary_join_element_wise(text, pa.array(numbers.astype(np.int64)).cast(pa.string()), after, "")


def conform(table: str, columns: dict[str, pa.Array | np.ndarray]) -> pa.Table:
    """A table with exactly the columns and types its contract declares."""
    schema = source.SOURCE[table].arrow_schema
    given = [columns[field.name] for field in schema]
    arrays = [x if isinstance(x, pa.Array) else pa.array(x) for x in given]
    return pa.Table.from_arrays([x.cast(f.type) for x, f in zip(arrays, schema, strict=True)], schema=schema)


def _stay(rows: Columns) -> dict[str, pa.Array | np.ndarray]:
    return {
        "booking_id": rows["booking"],
        "user_id": rows["user"] + 1,
        "property_id": rows["prop"] + 1,
        "check_in": dates(rows["check_in"]),
        "check_out": dates(rows["check_in"] + rows["nights"]),
        "guests_count": rows["guests"],
        "total_amount": rows["amount"].astype(np.float32),
        "status": words(source.BOOKING_STATUSES, rows["status"]),
        "updated_at": timestamps(rows["time"]),
    }


def bookings(rows: Columns) -> pa.Table:
    return conform("bookings", _stay(rows) | {"created_at": timestamps(rows["time"])})


def booking_updates(rows: Columns) -> pa.Table:
    more = {"booking_update_id": rows["id"], "created_at": timestamps(rows["created"])}
    return conform("booking_updates", _stay(rows) | more)


def payments(rows: Columns) -> pa.Table:
    # Cents as integers, so that no binary fraction reaches the decimals.
    cents = pa.array(np.round(rows["amount"] * 100).astype(np.int64)).cast(pa.decimal128(19, 0))
    amount = pc.multiply(cents, pa.scalar("0.0100", pa.string()).cast(pa.decimal128(5, 4)))
    return conform(
        "payments",
        {
            "payment_id": rows["id"],
            "booking_id": rows["booking"],
            "amount": amount,
            "payment_method": words(source.PAYMENT_METHODS, rows["method"]),
            "status": words(source.PAYMENT_STATUSES, rows["status"]),
            "payment_date": timestamps(rows["time"]),
        },
    )


def reviews(rows: Columns) -> pa.Table:
    mood = np.digitize(rows["rating"], [2.5, 3.7])
    flat = tuple(text for texts in COMMENTS for text in texts)
    deleted = rows["deleted"]
    return conform(
        "reviews",
        {
            "review_id": rows["id"],
            "booking_id": rows["booking"],
            "property_id": rows["prop"] + 1,
            "user_id": rows["user"] + 1,
            "rating": pa.array(rows["rating"], mask=deleted),
            "comment": words(flat, mood * 4 + rows["words"]),
            "is_deleted": deleted,
            "created_at": timestamps(rows["time"]),
            "updated_at": timestamps(rows["time"]),
        },
    )


def page_views(rows: Columns) -> pa.Table:
    return conform(
        "page_views",
        {
            "view_id": rows["id"],
            "user_id": rows["user"] + 1,
            "property_id": rows["prop"] + 1,
            "page_url": numbered("/properties/", rows["prop"] + 1),
            "device_type": words(source.DEVICES, rows["device"]),
            "referrer": words(source.REFERRERS, rows["referrer"]),
            "timestamp": timestamps(rows["time"]),
        },
    )


def clickstream(rows: Columns) -> pa.Table:
    metadata = pa.StructArray.from_arrays(
        [words(source.DEVICES, rows["device"]), words(source.REFERRERS, rows["referrer"])], ["device", "referrer"]
    )
    return conform(
        "clickstream",
        {
            "event": words(source.CLICK_EVENTS, rows["event"]),
            "user_id": rows["user"] + 1,
            "property_id": rows["prop"] + 1,
            "timestamp": timestamps(rows["time"]),
            "metadata": metadata,
        },
    )


def conversion_probability(rows: Columns) -> pa.Table:
    return pa.table({"view_id": rows["view"].astype(np.int64), "probability": rows["probability"].astype(np.float32)})


def cancellation_probability(rows: Columns) -> pa.Table:
    return pa.table({"booking_id": rows["booking"], "probability": rows["probability"].astype(np.float32)})


def demand_rate(rows: dict[str, np.ndarray], day: int) -> pa.Table:
    n = len(rows["prop"])
    return pa.table(
        {
            "property_id": rows["prop"].astype(np.int64) + 1,
            "date": dates(np.full(n, day)),
            "bookings": rows["bookings"].astype(np.float32),
        }
    )


def arrival_rate(rows: dict[str, np.ndarray], day: int) -> pa.Table:
    return pa.table(
        {
            "created_date": dates(np.full(len(rows["check_in"]), day)),
            "check_in": dates(rows["check_in"]),
            "bookings": rows["bookings"].astype(np.float32),
            "revenue": rows["revenue"].astype(np.float32),
            "kept_revenue": rows["kept"].astype(np.float32),
        }
    )


def price_response(rows: dict[str, np.ndarray], day: int) -> pa.Table:
    n = len(rows["prop"])
    multiplier = pa.FixedSizeListArray.from_arrays(
        pa.array(rows["multiplier"].T.ravel().astype(np.float32)), len(rows["multiplier"])
    )
    return pa.table(
        {
            "property_id": rows["prop"].astype(np.int64) + 1,
            "date": dates(np.full(n, day)),
            "base_price": rows["price"].astype(np.float32),
            "elasticity": rows["elasticity"].astype(np.float32),
            "multiplier": multiplier,
        }
    )


def customer_value(rows: dict[str, np.ndarray], day: int) -> pa.Table:
    return pa.table(
        {
            "user_id": rows["user"].astype(np.int64) + 1,
            "as_of": dates(np.full(len(rows["user"]), day)),
            "expected_revenue_12m": rows["revenue"].astype(np.float32),
            "is_churned": rows["churned"],
        }
    )


EVENTS: dict[str, Callable[[Columns], pa.Table]] = {
    f.__name__: f for f in (bookings, booking_updates, payments, reviews, page_views, clickstream)
}
TRUTH_OF_EVENTS: dict[str, Callable[[Columns], pa.Table]] = {
    f.__name__: f for f in (conversion_probability, cancellation_probability)
}
TRUTH_BY_MONTH = {f.__name__: f for f in (demand_rate, arrival_rate)}
TRUTH_BY_DATE = {f.__name__: f for f in (price_response, customer_value)}
