"""What guests said."""

from __future__ import annotations

from wanderbricks_assets.gold.cleaning import accepted
from wanderbricks_assets.lazy import Table
from wanderbricks_assets.window import Window


def fact_review(reviews: Table, days: Window) -> Table:
    """One row per review given in the window that is believed and not deleted."""
    given = accepted("reviews", reviews)
    return given.filter(days.contains(given.created_at) & given.rating.notnull())
