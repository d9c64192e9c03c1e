"""Profile "sample": a folder with the counts, dates and sparseness of the real `samples.wanderbricks`.

The real sample is drawn evenly: 72,247 bookings over 124,509 users leave 54,708 who booked and 17,724 booked
properties, which is what drawing both at random gives. So nothing about users or prices can be learned from it, and
there is no truth to write. Page views begin five weeks after the last booking. Rows whose history was lost have their
final state in `bookings` itself, which is how only 66% of bookings have an update and yet 90% have ended.
"""

from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np

from wanderbricks_assets.simulator import calibration as c
from wanderbricks_assets.simulator import event_tables, files, flaws, lifecycle, small_tables
from wanderbricks_assets.simulator.geography import geography
from wanderbricks_assets.simulator.market import Market
from wanderbricks_assets.simulator.season import EPOCH, day_number
from wanderbricks_assets.simulator.world import Columns, draw, generator, new_users

FIRST, LAST = date(2022, 12, 8), date(2025, 7, 30)  # FACT: created_at
VIEWS_FROM, VIEWS_DAYS = date(2025, 9, 4), 30  # FACT, ASSUMPTION
SPIKE_DAYS, SPIKE = 14, 3.0  # ASSUMPTION for the FACT of "a spike that ends with the data"
REVIEWS_EACH = c.SAMPLE["reviews"] * (1 - c.DUPLICATE_REVIEW) / (c.REVIEW_SHARE * c.SAMPLE["bookings"])
STATES = (lifecycle.COMPLETED, lifecycle.CANCELLED, lifecycle.CONFIRMED, lifecycle.PENDING)
STATE_SHARE = np.array([0.510, 0.393, 0.080, 0.017])  # FACT


def everything(seed: int, scale: float) -> tuple[Columns, Columns, Market, dict[str, Columns]]:
    """All rows of the sample, whatever the time: (users, properties, a market that holds hosts and prices, event
    tables).
    """
    rng, place = generator(seed, 0, 20), geography()
    count = {name: max(round(number * scale), 1) for name, number in c.SAMPLE.items()}
    count["page_views"] = max(round(count["page_views"] * (1 - c.DUPLICATE_VIEW)), 1)  # repeated rows come on top
    first, last = day_number(FIRST), day_number(LAST)
    market = Market.founded(seed, count["properties"] / c.PROPERTIES_AT_START, first)
    registered = np.sort(rng.integers((first - 900) * c.SECONDS, last * c.SECONDS, count["users"]))
    users = new_users(rng, registered, place)
    bookings, updates = _bookings(rng, count, market.properties, first, last)
    tables = {
        "bookings": bookings,
        "booking_updates": updates,
        "payments": _payments(rng, bookings),
        "reviews": _reviews(rng, bookings),
    }
    n, begin = count["page_views"], day_number(VIEWS_FROM)
    views = _visits(rng, n, count, begin)
    views["id"] = np.arange(1, n + 1)
    clicks = _visits(rng, count["clickstream"], count, begin)
    clicks["event"] = rng.integers(0, 4, len(clicks))
    tables |= {"page_views": views, "clickstream": clicks}
    tables["reviews"]["id"] = np.arange(1, len(tables["reviews"]) + 1)
    result = flaws.spoil(seed, 0, tables | {"payments": Columns()})
    return users, market.properties, market, result | {"payments": tables["payments"]}


def _visits(rng: np.random.Generator, n: int, count: dict[str, int], begin: int) -> Columns:
    return Columns(
        time=np.sort(begin * c.SECONDS + rng.integers(0, VIEWS_DAYS * c.SECONDS, n)),
        user=rng.integers(0, count["users"], n),
        prop=rng.integers(0, count["properties"], n),
        device=rng.integers(0, 3, n),
        referrer=rng.integers(0, 5, n),
    )


def _bookings(rng, count: dict[str, int], properties: Columns, first: int, last: int) -> tuple[Columns, Columns]:
    n = count["bookings"]
    days = np.arange(first, last + 1)
    months = np.array([(EPOCH + timedelta(days=int(d))).month for d in days])
    weight = np.exp(c.USER_GROWTH * (days - first) / 365.25) * np.array(c.LEISURE_NORTH)[months - 1]
    weight[-SPIKE_DAYS:] *= SPIKE
    created = np.sort(days[draw(rng, weight, n)] * c.SECONDS + rng.integers(0, c.SECONDS, n))
    low, high = c.NIGHTS_BY_DESTINATION
    nights = np.minimum(1 + rng.poisson((low + high) / 2 - 1, n), c.LONGEST_STAY)
    prop = rng.integers(0, count["properties"], n)
    check_in = created // c.SECONDS + rng.integers(1, 120, n)
    taken: dict[int, list[tuple[int, int]]] = {}
    for i in range(n):  # one loop over 72,247 rows: no night is booked twice
        while any(a < check_in[i] + nights[i] and check_in[i] < b for a, b in taken.get(int(prop[i]), ())):
            prop[i] = rng.integers(0, count["properties"])
        taken.setdefault(int(prop[i]), []).append((int(check_in[i]), int(check_in[i] + nights[i])))
    final = np.array(STATES)[draw(rng, STATE_SHARE, n)]
    has_update = rng.random(n) < 0.66  # FACT
    bookings = Columns(
        booking=np.arange(1, n + 1),
        user=rng.integers(0, count["users"], n),
        prop=prop,
        check_in=check_in,
        nights=nights,
        guests=np.minimum(1 + rng.poisson(2.0, n), c.MAX_GUESTS_EVER),
        amount=np.round(nights * properties["price"][prop] * rng.uniform(0.6, 0.9, n), 2),
        status=np.where(has_update, lifecycle.PENDING, final),
        time=created,
        final=final,
    )
    moved = bookings.take(np.flatnonzero(has_update))
    extra = c.SAMPLE["booking_updates"] * (1 - c.DUPLICATE_UPDATE) / (0.66 * c.SAMPLE["bookings"]) - 1
    before = moved.take(np.flatnonzero(rng.random(len(moved)) < extra))
    before["time"] = before["time"] + rng.integers(60, 1800, len(before))
    before["created"] = before["time"]
    before["status"] = np.full(len(before), lifecycle.CONFIRMED)
    moved["created"] = moved["time"]
    moved["time"] = moved["time"] + rng.integers(3600, 3 * c.SECONDS, len(moved))
    moved["status"] = moved["final"]
    updates = Columns({k: np.concatenate([moved[k], before[k]]) for k in moved})
    updates = updates.take(np.argsort(updates["time"], kind="stable"))
    updates["id"] = np.arange(1, len(updates) + 1)
    return bookings, updates


def _payments(rng: np.random.Generator, b: Columns) -> Columns:
    paid = b.take(np.flatnonzero(rng.random(len(b)) < c.PAID_SHARE))
    n = len(paid)
    rows = Columns(
        booking=paid["booking"],
        amount=paid["amount"],
        method=rng.integers(0, 5, n),
        status=np.where(rng.random(n) < c.FAILED_ROWS / (1 - c.REFUND_ROWS), lifecycle.FAILED, lifecycle.PAID),
        time=paid["time"] + rng.integers(60, c.SECONDS, n),
    )
    share = c.REFUND_ROWS / (1 - c.REFUND_ROWS)
    back = rows.take(np.flatnonzero((rng.random(n) < share) & (rows["status"] == lifecycle.PAID)))
    back["amount"], back["status"] = -back["amount"], np.full(len(back), lifecycle.REFUNDED)
    back["time"] = back["time"] + rng.integers(3600, 5 * c.SECONDS, len(back))
    rows = Columns({k: np.concatenate([rows[k], back[k]]) for k in rows})
    rows = rows.take(np.argsort(rows["time"], kind="stable"))
    # Here different payments of a day share an id: 49,638 payments are what 64% paid and 7.4% refunded come to,
    # without repeats.
    shares = rng.random(len(rows)) < c.DUPLICATE_PAYMENT
    shares &= np.diff(rows["time"] // c.SECONDS, prepend=0) == 0
    rows["id"] = np.cumsum(~shares)
    rows["booking"] = np.where(rng.random(len(rows)) < c.ORPHAN_PAYMENT, flaws.UNKNOWN, 0) + rows["booking"]
    return rows


def _reviews(rng: np.random.Generator, b: Columns) -> Columns:
    some = b.take(np.flatnonzero(rng.random(len(b)) < c.REVIEW_SHARE))
    times = 1 + (rng.random(len(some)) < REVIEWS_EACH - 1).astype(int)
    rows = some.take(np.repeat(np.arange(len(some)), times))
    n = len(rows)
    time = (rows["check_in"] + rows["nights"]) * c.SECONDS + rng.integers(0, 20 * c.SECONDS, n)
    order = np.argsort(time, kind="stable")
    rows = rows.take(order)
    return Columns(
        booking=rows["booking"],
        prop=rows["prop"],
        user=rows["user"],
        rating=np.round(rng.uniform(1.0, 5.0, n), 1),
        deleted=rng.random(n) < c.DELETED_REVIEW,
        words=rng.integers(0, 4, n),
        time=time[order],
    )


def simulate_sample(out: Path, until: datetime, state: dict) -> dict[str, int]:
    """Writes what happened before `until` and was not written yet; returns rows by table."""
    users, properties, market, tables = everything(state["seed"], state["scale"])
    tickets = lifecycle.tickets(generator(state["seed"], 0, 21), tables["bookings"])
    done = datetime.fromisoformat(state["until"])
    seconds = [day_number(t.date()) * c.SECONDS + t.hour * 3600 for t in (done, until)]
    files.remove_beyond(out, day_number(done.date()), done.hour)
    rows = {}
    with files.Writer() as writer:
        for name, make in event_tables.EVENTS.items():
            time = tables[name]["time"]
            new = tables[name].take(np.flatnonzero((time >= seconds[0]) & (time < seconds[1])))
            rows[name] = len(new)
            if not len(new):
                continue
            day = new["time"] // c.SECONDS
            for number in np.unique(day).tolist():
                begin = done.hour if number == day_number(done.date()) else 0
                part = new.take(np.flatnonzero(day == number))
                writer.submit(files.event_path(out, name, number, begin), make, part)
        today = day_number(until.date())
        for name, make_whole in {
            "users": lambda: small_tables.users(users.take(users["created"] < seconds[1])),
            "hosts": lambda: small_tables.hosts(market.hosts),
            "properties": lambda: small_tables.properties(properties, seconds[1]),
            "property_amenities": lambda: small_tables.property_amenities(properties),
            "property_images": lambda: small_tables.property_images(properties),
            "employees": lambda: small_tables.employees(market.hosts, today),
            "customer_support_logs": lambda: small_tables.customer_support_logs(
                tickets.take(tickets["time"] < seconds[1])
            ),
            "destinations": small_tables.destinations,
            "countries": small_tables.countries,
            "amenities": small_tables.amenities,
        }.items():
            writer.submit(out / f"{name}.parquet", make_whole)
    return rows
