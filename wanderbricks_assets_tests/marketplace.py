"""Small source tables: rows made by hand with sensible defaults, and a random marketplace with its flaws."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wanderbricks_assets.contracts.contract import Contract
from wanderbricks_assets.contracts.source import SOURCE

at = datetime.fromisoformat
day = date.fromisoformat


def arrow_of(contract: Contract, rows: Iterable[dict]) -> pa.Table:
    """The rows in the types of the contract; a column not given is null."""
    return pa.Table.from_pylist(list(rows), schema=contract.arrow_schema)


def table_of(contract: Contract, *rows: dict) -> ibis.Table:
    return contract.conform(ibis.memtable(arrow_of(contract, rows)))


def source_table(name: str, *rows: dict) -> ibis.Table:
    return table_of(SOURCE[name], *rows)


def stored(rows: ibis.Table, contract: Contract) -> ibis.Table:
    """What the lake would give back after writing the rows."""
    return contract.conform(ibis.memtable(contract.conform(rows).to_pyarrow()))


def frame(rows: ibis.Table, contract: Contract) -> pd.DataFrame:
    """The rows as the lake would hold them, ordered by the contract's key."""
    found = contract.conform(rows).to_pandas()
    return found.sort_values(list(contract.key), kind="stable").reset_index(drop=True)


def assert_same(left: pd.DataFrame, right: pd.DataFrame) -> None:
    """Bit for bit the same rows, of which there are some."""
    assert len(left) > 0
    pd.testing.assert_frame_equal(left, right, check_exact=True)


def booking(booking_id: int = 1, created_at: str = "2024-01-02 10:00", **changes) -> dict:
    row = {
        "booking_id": booking_id,
        "user_id": 7,
        "property_id": 1,
        "check_in": day("2024-01-10"),
        "check_out": day("2024-01-13"),
        "guests_count": 2,
        "total_amount": 300.0,
        "status": "confirmed",
        "created_at": at(created_at),
        "updated_at": at(created_at),
    }
    return _changed(row, changes)


def update(booking_update_id: int, booking_id: int, updated_at: str, **changes) -> dict:
    row = booking(booking_id) | {"booking_update_id": booking_update_id, "updated_at": at(updated_at)}
    return _changed(row, changes)


def payment(payment_id: int, booking_id: int, payment_date: str, amount: str = "300", **changes) -> dict:
    row = {
        "payment_id": payment_id,
        "booking_id": booking_id,
        "amount": Decimal(amount),
        "payment_method": "paypal",
        "status": "completed",
        "payment_date": at(payment_date),
    }
    return _changed(row, changes)


def view(view_id: int, timestamp: str, user_id: int | None = 7, property_id: int = 1, **changes) -> dict:
    row = {
        "view_id": view_id,
        "user_id": user_id,
        "property_id": property_id,
        "page_url": f"/property/{property_id}",
        "device_type": "mobile",
        "referrer": "google",
        "timestamp": at(timestamp),
    }
    return _changed(row, changes)


def click(event: str, timestamp: str, user_id: int | None = 7, property_id: int = 1) -> dict:
    metadata = {"device": "mobile", "referrer": "google"}
    stamp = at(timestamp)
    return {"event": event, "user_id": user_id, "property_id": property_id, "timestamp": stamp, "metadata": metadata}


def review(review_id: int, created_at: str, rating: float | None, property_id: int = 1) -> dict:
    row = {"review_id": review_id, "property_id": property_id, "rating": rating, "is_deleted": rating is None}
    return row | {"created_at": at(created_at), "updated_at": at(created_at)}


def listing(property_id: int = 1, created_at: str = "2023-06-01", **changes) -> dict:
    row = {
        "property_id": property_id,
        "host_id": 100 + property_id,
        "destination_id": 1,
        "title": f"Property {property_id}",
        "base_price": 100.0,
        "property_type": "Urban Year-Round",
        "max_guests": 4,
        "bedrooms": 2,
        "bathrooms": 1,
        "property_latitude": 38.5,
        "property_longitude": -9.25,
        "created_at": day(created_at),
    }
    return _changed(row, changes)


def user(user_id: int = 7, created_at: str = "2023-05-01 12:00", **changes) -> dict:
    row = {"user_id": user_id, "country": "Portugal", "user_type": "individual", "is_business": False}
    return _changed(row | {"created_at": at(created_at)}, changes)


def price(property_id: int, base_price: float, updated_at: str) -> dict:
    return {"property_id": property_id, "base_price": base_price, "updated_at": at(updated_at)}


def _changed(row: dict, changes: dict) -> dict:
    """Dates and times may be given as text."""
    unknown = [name for name in changes if name not in row]
    assert not unknown, f"no such columns: {unknown}"
    texts = {name: at for name, value in row.items() if isinstance(value, datetime)}
    texts |= {name: day for name, value in row.items() if type(value) is date}
    return row | {
        name: texts[name](value) if isinstance(value, str) and name in texts else value
        for name, value in changes.items()
    }


FIRST, LAST = day("2023-12-15"), day("2024-01-16")
_DESTINATIONS = ((1, "Lisbon", "Portugal"), (2, "Paris", "France"))


def random_marketplace(seed: int = 0, bookings: int = 120, events: int = 900) -> dict[str, pa.Table]:
    """All source tables from FIRST to LAST. Some rows are delivered twice, some are orphans or broken, some times are
    exactly midnight; every price history begins with the listing."""
    rng = np.random.default_rng(seed)
    tables = {
        "destinations": [
            {"destination_id": key, "destination": name, "country": country} for key, name, country in _DESTINATIONS
        ],
        "countries": [
            {"country": "Portugal", "country_code": "PT", "continent": "Europe"},
            {"country": "France", "country_code": "FR", "continent": "Europe"},
        ],
        "hosts": [{"host_id": key, "name": f"Host {key}", "rating": 4.5} for key in range(101, 108)],
        "users": [
            user(key, f"2023-0{1 + key % 9}-01 12:00", country=["Portugal", "Japan"][key % 2]) for key in range(1, 10)
        ],
        "properties": [
            listing(
                key,
                "2024-01-05" if key == 6 else "2023-06-01",
                destination_id=1 + key % 2,
                property_type=["Summer Getaway", "Urban Year-Round"][key // 4],
                base_price=80.0 + key,
            )
            for key in range(1, 8)
        ],
    }
    tables["property_images"] = [
        {"image_id": key, "property_id": 1 + key % 7, "uploaded_at": _random_time(rng).date() if key % 5 else None}
        for key in range(30)
    ]
    prices = [price(row["property_id"], 90.25, f"{row['created_at']} 00:00") for row in tables["properties"]]
    prices += [price(1 + key % 7, round(rng.uniform(50, 200), 2), str(_random_time(rng))) for key in range(20)]
    tables["property_updates"] = prices
    tables["bookings"] = made = [_random_booking(rng, key) for key in range(bookings)]
    tables["booking_updates"] = changes = [_random_update(rng, key, made) for key in range(bookings)]
    tables["payments"] = paid = [_random_payment(rng, key, made) for key in range(bookings)]
    tables["reviews"] = reviews = [
        review(
            key,
            str(_random_time(rng)),
            rating=None if key % 9 == 0 else float(round(rng.uniform(1, 5), 1)),
            property_id=int(rng.integers(1, 8)),
        )
        for key in range(40)
    ]
    tables["page_views"] = views = [
        view(
            key,
            str(_random_time(rng)),
            user_id=None if key % 11 == 0 else int(rng.integers(1, 10)),
            property_id=int(rng.integers(1, 8)),
        )
        for key in range(events)
    ]
    # Half of the clicks follow a view by minutes; some happen in the very second of another event of that visitor.
    tables["clickstream"] = clicks = [
        click(
            str(rng.choice(["view", "click", "search", "filter"])),
            str(seen["timestamp"] + timedelta(seconds=int(rng.choice([0, 5, 600, 4000])))),
            user_id=seen["user_id"],
            property_id=int(rng.choice([seen["property_id"], 1])),
        )
        for seen in views[::2]
    ]
    tables["users"].append(dict(tables["users"][3]))
    for rows in (made, changes, paid, reviews, views, clicks):
        rows += [dict(row) for row in rows[:: max(len(rows) // 7, 1)]]
    made.append(made[5] | {"total_amount": made[5]["total_amount"] + 11})
    made.append(_random_booking(rng, 9001) | {"check_out": FIRST})
    changes.append(changes[3] | {"booking_update_id": 9002, "status": "pending"})
    changes.append(changes[4] | {"booking_update_id": 9003, "booking_id": 123456})
    views.append(views[0] | {"view_id": 9004, "device_type": "toaster"})
    return {name: arrow_of(SOURCE[name], rows) for name, rows in tables.items()}


def until(tables: dict[str, pa.Table], moment: datetime) -> dict[str, pa.Table]:
    """The tables as they stood at a moment: events before it, and listings, guests and places as they are."""
    return {name: rows if _time(name) is None else _before(rows, _time(name), moment) for name, rows in tables.items()}


def deliver(folder: Path, tables: dict[str, pa.Table], first: date | None, last: date) -> None:
    """Write the events of some days (from the beginning where `first` is None) as daily folders, other tables whole."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        if _time(name) is None:
            pq.write_table(rows, folder / f"{name}.parquet")
            continue
        dates = pc.cast(rows[_time(name)], pa.date32())
        for of in sorted(set(dates.to_pylist())):
            if of <= last and (first is None or of >= first):
                file = folder / name / f"date={of}" / "part-0.parquet"
                file.parent.mkdir(parents=True, exist_ok=True)
                pq.write_table(rows.filter(pc.equal(dates, of)), file)


def memory(tables: dict[str, pa.Table]) -> dict[str, ibis.Table]:
    """Every table of the source, those not given empty."""
    return {
        name: contract.conform(ibis.memtable(tables.get(name, contract.empty()))) for name, contract in SOURCE.items()
    }


def _time(name: str) -> str | None:
    return SOURCE[name].time_column


def _before(rows: pa.Table, column: str, moment: datetime) -> pa.Table:
    return rows.filter(pc.less(rows[column], pa.scalar(moment, rows[column].type)))


def _random_time(rng: np.random.Generator, first: datetime | None = None, days: int | None = None) -> datetime:
    first = first or datetime.combine(FIRST, datetime.min.time())
    days = days or (LAST - FIRST).days + 1
    moment = first + timedelta(seconds=int(rng.integers(0, days * 86400)))
    if rng.random() < 0.05:
        moment = moment.replace(hour=0, minute=0, second=0)
    return moment


def _random_booking(rng: np.random.Generator, booking_id: int) -> dict:
    created = _random_time(rng)
    check_in = created.date() + timedelta(days=int(rng.integers(0, 15)))
    return booking(
        booking_id,
        str(created),
        user_id=int(rng.integers(1, 10)),
        property_id=int(rng.integers(1, 8)),
        check_in=check_in,
        check_out=check_in + timedelta(days=int(rng.integers(0, 6))),
        guests_count=int(rng.integers(1, 5)),
        total_amount=float(round(rng.uniform(50, 900), 2)),
        status=str(rng.choice(["pending", "confirmed"])),
    )


def _random_update(rng: np.random.Generator, update_id: int, made: list[dict]) -> dict:
    row = made[int(rng.integers(len(made)))]
    moved = timedelta(days=int(rng.choice([0, 0, 0, 2])))
    return row | {
        "booking_update_id": update_id,
        "updated_at": max(_random_time(rng, row["created_at"], days=14), row["created_at"]),
        "status": str(rng.choice(["confirmed", "completed", "cancelled", "cancelled"])),
        "check_in": row["check_in"] + moved,
        "check_out": row["check_out"] + moved,
        "total_amount": float(round(row["total_amount"] + rng.choice([0, 0, 25.5]), 2)),
    }


def _random_payment(rng: np.random.Generator, payment_id: int, made: list[dict]) -> dict:
    row = made[int(rng.integers(len(made)))]
    status = str(rng.choice(["completed", "completed", "refunded", "failed"]))
    amount = row["total_amount"] * (-1 if status == "refunded" else 1)
    when = max(_random_time(rng, row["created_at"], days=5), row["created_at"])
    method = str(rng.choice(["paypal", "credit_card"]))
    return payment(
        payment_id, row["booking_id"], str(when), amount=f"{amount:.2f}", payment_method=method, status=status
    )
