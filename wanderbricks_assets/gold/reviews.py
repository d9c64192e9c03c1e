"""What guests said."""

from __future__ import annotations

from wanderbricks_assets.gold.cleaning import accepted
from wanderbricks_assets.lazy import Table
from wanderbricks_assets.window import Window


def fact_review(reviews: Table, days: Window) -> Table:
    """One row per review given in the window that is believed and not deleted, whatever it says of its booking."""
    given = accepted("reviews", reviews)
    is_deleted = given.is_deleted.fill_null(False)
    return given.filter(days.contains(given.created_at) & given.rating.notnull() & ~is_deleted)
