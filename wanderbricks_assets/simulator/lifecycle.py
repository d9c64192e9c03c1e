"""What becomes of a booking: confirmation, change, cancellation, payment, stay, review. All drawn when it is made."""

from dataclasses import dataclass

import numpy as np

from wanderbricks_assets.simulator import calibration as c
from wanderbricks_assets.simulator.choice import Nights
from wanderbricks_assets.simulator.world import Columns, stack

PENDING, CONFIRMED, COMPLETED, CANCELLED = range(4)  # positions in BOOKING_STATUSES
PAID, REFUNDED, FAILED = range(3)  # positions in PAYMENT_STATUSES
NOON = c.SECONDS // 2
NEVER = np.iinfo(np.int64).max


def amount(nights: np.ndarray, price: np.ndarray) -> np.ndarray:
    """Price of a stay: nights times listed price, 7% less from a week on."""
    return np.round(nights * price * np.where(nights >= 7, 0.93, 1.0), 2)


def cancel_probability(lead: np.ndarray, trait: np.ndarray) -> np.ndarray:
    """Probability that a booking made `lead` days ahead is cancelled before arrival."""
    return 1 / (1 + np.exp(-(c.CANCEL_LEVEL + c.CANCEL_LEAD * (np.log1p(lead) - np.log(25)) + trait)))


def cancelled_by(age: np.ndarray, lead: np.ndarray) -> np.ndarray:
    """Of the bookings to be cancelled, the share cancelled by `age`; both in days, lead until noon of the day of
    arrival.
    """
    age = np.clip(age, 0.0, lead)
    early = (1 - np.exp(-age / c.CANCEL_EARLY_DAYS)) / (1 - np.exp(-lead / c.CANCEL_EARLY_DAYS))
    return c.CANCEL_EARLY * early + (1 - c.CANCEL_EARLY) * age / lead


def days_to_arrival(created: np.ndarray, check_in: np.ndarray) -> np.ndarray:
    """Days from `created` (seconds since 1970) to noon of the day of arrival, the time left to cancel."""
    return np.maximum((check_in * c.SECONDS + NOON - created) / c.SECONDS, 0.05)


@dataclass(frozen=True)
class Future:
    """Rows to come, each with its `time` in seconds since 1970; `release` frees nights, `cancel` is truth about the
    booking.
    """

    bookings: Columns
    booking_updates: Columns
    payments: Columns
    reviews: Columns
    tickets: Columns
    release: Columns
    cancel: Columns


def future(rng: np.random.Generator, b: Columns, trait: np.ndarray, pleasure: np.ndarray, nights: Nights) -> Future:
    """The lives of bookings `b` (booking, user, prop, time, check_in, nights, guests, amount, price, max_guests).

    trait: [bookings] the user's inclination to cancel; pleasure: [bookings] what the stay is worth in stars. Nights
    of changed stays are marked as sold here.
    """
    n = len(b["time"])
    created, check_in = b["time"], b["check_in"]
    lead = days_to_arrival(created, check_in)
    probability = cancel_probability(lead, trait)
    cancels = rng.random(n) < probability
    early = -c.CANCEL_EARLY_DAYS * np.log(1 - rng.random(n) * (1 - np.exp(-lead / c.CANCEL_EARLY_DAYS)))
    age = np.where(rng.random(n) < c.CANCEL_EARLY, early, rng.random(n) * lead)
    cancelled = np.where(cancels, created + 1 + (age * (c.SECONDS - 60)).astype(np.int64), NEVER)

    stuck = rng.random(n)
    stuck_pending = (stuck < c.STUCK_PENDING) & ~cancels
    stuck_confirmed = (stuck > 1 - c.STUCK_CONFIRMED) & ~cancels
    pending = (rng.random(n) < c.PENDING_AT_FIRST) | stuck_pending
    confirmed = created + np.minimum(rng.exponential(0.25, n), lead * 0.8 + 0.01) * c.SECONDS
    confirmed = np.where(pending, confirmed.astype(np.int64) + 1, created)

    new, changes, changed = _changes(rng, b, lead, cancelled, nights, ~stuck_pending)
    stays = ~cancels & ~stuck_pending & ~stuck_confirmed
    check_out = new["check_in"] + new["nights"]
    completed = check_out * c.SECONDS + 9 * 3600 + rng.integers(0, 4 * 3600, n)

    def update(rows: np.ndarray, status: int, time: np.ndarray, state: Columns) -> dict[str, np.ndarray]:
        part = {
            name: state[name][rows] for name in ("booking", "user", "prop", "check_in", "nights", "guests", "amount")
        }
        return part | {"status": np.full(rows.sum(), status), "created": created[rows], "time": time[rows]}

    confirms = pending & ~stuck_pending & (confirmed < cancelled) & (confirmed <= changed)
    latest = Columns({name: np.where(cancelled > changed, new[name], b[name]) for name in new})
    updates = stack(
        [
            update(confirms, CONFIRMED, confirmed, b),
            update(changes, CONFIRMED, changed, new),
            update(cancels, CANCELLED, cancelled, latest),
            update(stays, COMPLETED, completed, new),
        ]
    )
    held = {"prop": b["prop"], "time": cancelled}
    release = stack(
        [
            {key: value[cancels] for key, value in (held | {"check_in": s["check_in"], "nights": s["nights"]}).items()}
            for s in (b, new)
        ]
    )
    rows = Columns(b)
    rows["status"] = np.where(pending, PENDING, CONFIRMED)
    return Future(
        bookings=rows,
        booking_updates=updates,
        payments=_payments(rng, b, new, changed, cancelled, ~cancels & ~stuck_pending),
        reviews=_reviews(rng, b, pleasure, check_out, stays),
        tickets=tickets(rng, b),
        release=release,
        cancel=Columns(booking=b["booking"], time=created, probability=probability),
    )


def _changes(rng, b: Columns, lead: np.ndarray, cancelled: np.ndarray, nights: Nights, allowed: np.ndarray):
    """Guests who change dates or length while they still can, if the new nights are free: (new state, who, when).

    The new nights are held from the booking on, which keeps a later guest from being turned out; the old ones stay
    held, too.
    """
    n = len(lead)
    wants = (rng.random(n) < c.CHANGED) & allowed & (lead > 2)
    shift, longer = rng.integers(-2, 5, n), rng.integers(-1, 3, n)
    when = b["time"] + (rng.uniform(0.1, 0.6, n) * lead * c.SECONDS).astype(np.int64)
    new = Columns(
        {name: b[name].copy() for name in ("booking", "user", "prop", "check_in", "nights", "guests", "amount")}
    )
    done = np.zeros(n, dtype=bool)
    for i in np.flatnonzero(wants & (when < cancelled)):
        arrive, stay = int(b["check_in"][i] + shift[i]), int(np.clip(b["nights"][i] + longer[i], 1, c.LONGEST_STAY))
        last_word = max(when[i], cancelled[i] if cancelled[i] < NEVER else 0)
        if arrive * c.SECONDS <= last_word or arrive < nights.first:
            continue
        calendar = nights.sold[:, b["prop"][i]]
        begin, old = arrive - nights.first, int(b["check_in"][i]) - nights.first
        span = np.arange(begin, begin + stay)
        mine = (span >= old) & (span < old + b["nights"][i])
        if span[-1] >= calendar.size or calendar[span[~mine]].any():
            continue
        calendar[span] = True
        new["check_in"][i], new["nights"][i] = arrive, stay
        done[i] = True
    new["amount"] = np.where(done, amount(new["nights"], b["price"]), b["amount"])
    return new, done, np.where(done, when, NEVER)


def _payments(rng, b: Columns, new: Columns, changed: np.ndarray, cancelled: np.ndarray, due: np.ndarray) -> Columns:
    """Some pay when they book, the rest as they arrive; who cancels after paying gets the same amount back."""
    created, n = b["time"], len(b["time"])
    prepaid = rng.random(n) < c.PREPAID
    at_once = created + rng.integers(60, c.SECONDS, n)
    arrival = new["check_in"] * c.SECONDS + NOON - rng.integers(0, c.SECONDS, n)
    paid = np.where(prepaid, at_once, np.maximum(arrival, created + 600))
    price = np.where(paid < changed, b["amount"], new["amount"])
    pays = np.where(cancelled < NEVER, paid < cancelled, due)
    back = pays & (cancelled < NEVER)
    refunded = np.where(back, cancelled, 0) + rng.integers(3600, 5 * c.SECONDS, n)
    fails = pays & (rng.random(n) < c.FAILED_ROWS * 1.1)
    method = rng.integers(0, 5, n)

    def part(rows, status, time, sign):
        size = int(rows.sum())
        return {
            "booking": b["booking"][rows],
            "amount": sign * price[rows],
            "method": method[rows],
            "status": np.full(size, status),
            "time": time[rows],
        }

    return stack(
        [part(fails, FAILED, paid - 120, 1), part(pays, PAID, paid, 1), part(back, REFUNDED, refunded, -1)],
    )


def _reviews(rng, b: Columns, pleasure: np.ndarray, check_out: np.ndarray, stays: np.ndarray) -> Columns:
    n = len(check_out)
    writes = stays & (rng.random(n) < c.REVIEW_SHARE)
    time = check_out * c.SECONDS + 14 * 3600 + (np.minimum(rng.exponential(5.0, n), 30) * c.SECONDS).astype(np.int64)
    rating = np.clip(np.round(c.RATING_OF_STAY + pleasure + rng.normal(0.0, 0.8, n), 1), 1.0, 5.0)
    deleted = rng.random(n) < c.DELETED_REVIEW
    words = rng.integers(0, 4, n)
    every = {"booking": b["booking"], "prop": b["prop"], "user": b["user"], "rating": rating, "deleted": deleted}
    return Columns({name: values[writes] for name, values in (every | {"words": words, "time": time}).items()})


def tickets(rng: np.random.Generator, b: Columns) -> Columns:
    """Some guests write to customer support in the days after booking."""
    n = len(b["time"])
    asks = rng.random(n) < c.TICKETS_PER_BOOKING
    time = b["time"] + (rng.exponential(6.0, n) * c.SECONDS).astype(np.int64)
    every = {"user": b["user"], "time": time, "kind": rng.integers(0, 6, n), "mood": rng.integers(0, 3, n)}
    return Columns({name: values[asks] for name, values in every.items()})
