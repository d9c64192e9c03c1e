"""The flaws of the real sample, put into a day's rows at its rates (calibration: FACT, flaws).

A repeated row has the time of the first, so both land in the same hour; one in ten disagrees with the first in its
content. Cancelled bookings keeping their amount, tickets with times as text and deleted reviews without rating come
with the rows themselves.
"""

import numpy as np

from wanderbricks_assets.simulator import calibration as c
from wanderbricks_assets.simulator.lifecycle import CONFIRMED
from wanderbricks_assets.simulator.world import Columns, generator

UNKNOWN = 900_000_000  # ids that no booking will ever have


def spoil(seed: int, day: int, tables: dict[str, Columns]) -> dict[str, Columns]:
    """The rows of a day by table, with flaws, in order of time."""
    rng = generator(seed, day, 5)
    result = dict(tables)
    if len(tables["booking_updates"]):
        updates = _tie(rng, tables["booking_updates"])
        updates = _lose(rng, updates, c.UNKNOWN_BOOKING_UPDATE)
        result["booking_updates"] = _repeat(rng, updates, c.DUPLICATE_UPDATE, "amount")
    if len(tables["payments"]):
        payments = _lose(rng, tables["payments"], c.ORPHAN_PAYMENT)
        result["payments"] = _repeat(rng, payments, c.DUPLICATE_PAYMENT, "amount")
    if len(tables["reviews"]):
        result["reviews"] = _repeat(rng, tables["reviews"], c.DUPLICATE_REVIEW, "rating")
    if len(tables["page_views"]):
        result["page_views"] = _repeat(rng, tables["page_views"], c.DUPLICATE_VIEW, "device")
    return result


def _by_time(rows: Columns) -> Columns:
    return rows.take(np.argsort(rows["time"], kind="stable"))


def _with(rows: Columns, more: Columns) -> Columns:
    return _by_time(Columns({name: np.concatenate([rows[name], more[name].astype(rows[name].dtype)]) for name in rows}))


def _repeat(rng: np.random.Generator, rows: Columns, share: float, content: str) -> Columns:
    """Delivers rows again, so that `share` of all delivered rows are surplus."""
    again = rows.take(np.flatnonzero(rng.random(len(rows)) < share / (1 - share)))
    other = rng.random(len(again)) < c.CONFLICTING
    values = again[content]
    if content == "device":
        again[content] = np.where(other, (values + 1) % 3, values)
    elif content == "rating":
        again[content] = np.where(other, np.round(6.0 - values, 1), values)
    else:
        again[content] = np.where(other, np.round(values * 1.1, 2), values)
    return _with(rows, again)


def _lose(rng: np.random.Generator, rows: Columns, share: float) -> Columns:
    """Points a few rows at bookings that do not exist, as additional rows with ids of their own."""
    lost = rows.take(np.flatnonzero(rng.random(len(rows)) < share))
    lost["booking"] = UNKNOWN + lost["booking"]
    lost["id"] = UNKNOWN + lost["id"]
    return _with(rows, lost)


def _tie(rng: np.random.Generator, rows: Columns) -> Columns:
    """Some updates come with a companion of the same booking and time, but the state before: the higher id is right."""
    rows = Columns(rows | {"id": rows["id"] * 2})  # odd ids are left for companions
    ends = rows["status"] > CONFIRMED
    first = rows.take(np.flatnonzero(ends & (rng.random(len(rows)) < c.TIED_UPDATE / max(ends.mean(), 0.1))))
    first["status"] = np.full_like(first["status"], CONFIRMED)
    first["id"] = first["id"] - 1
    return _with(first, rows)
