"""Gold and feature tables computed from a source into a lake, one window after the other, without Dagster."""

from datetime import datetime, timedelta

import ibis
import pandas as pd

from wanderbricks_assets.automation.plans import oldest_booking_touched
from wanderbricks_assets.contracts.tables import LAKE
from wanderbricks_assets.features.engagement_features import engagement_features
from wanderbricks_assets.features.property_features import property_features
from wanderbricks_assets.features.user_features import user_features
from wanderbricks_assets.gold import bookings, dimensions
from wanderbricks_assets.gold.cleaning import accepted
from wanderbricks_assets.gold.engagement import fact_property_engagement
from wanderbricks_assets.gold.reviews import fact_review
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.resources.source import FilesSource
from wanderbricks_assets.settings import settings
from wanderbricks_assets.window import Window
from wanderbricks_assets_tests.marketplace import frame

DAILY = (
    "fact_booking_history",
    "fact_booking_detail",
    "fact_booking_daily",
    "fact_property_engagement",
    "fact_review",
    "property_features",
    "user_features",
)
FILLED = ("fact_property_engagement", "property_features", "user_features", "engagement_features")
EVER = Window(datetime.fromisoformat("1900-01-01"), datetime.fromisoformat("2100-01-01"), opens=True)


def compute_dimensions(lake: Lake, source: FilesSource) -> None:
    read = source.read
    known = {name: accepted(name, read(name)) for name in ("destinations", "hosts")}
    lake.replace("dim_property", dimensions.dim_property(read("properties"), read("property_updates"), known))
    lake.replace("dim_destination", dimensions.dim_destination(read("destinations"), read("countries")))
    seen_at = read("bookings").created_at.max().to_pyarrow().as_py()
    lake.revise("dim_user", lambda previous: dimensions.dim_user(read("users"), previous, seen_at))


def compute_all(lake: Lake, source: FilesSource, days: Window, hours: Window) -> None:
    """The dimensions as they stand, every daily table in one window and the hourly features in another."""
    compute_dimensions(lake, source)
    for name in DAILY:
        compute(name, lake, source, days)
    compute("engagement_features", lake, source, hours)


def compute(name: str, lake: Lake, source: FilesSource, window: Window) -> None:
    """Write one window of one table, as its asset does."""
    if name in FILLED:
        lake.fill(name, lambda piece: _rows(name, lake, source, piece), window)
    else:
        lake.replace(name, _rows(name, lake, source, window), window)


def _rows(name: str, lake: Lake, source: FilesSource, window: Window) -> ibis.Table:
    """The rows of a window; inputs reach as far back as the asset's partition mappings say."""
    years = window.back(days=3 * 365)
    inputs = {
        "fact_booking_history": lambda: bookings.fact_booking_history(
            source.read("bookings", years), source.read("booking_updates", window), window
        ),
        "fact_booking_detail": lambda: bookings.fact_booking_detail(
            lake.read("fact_booking_history"),
            source.read("payments"),
            lake.read("dim_property"),
            lake.read("dim_user"),
            window,
        ),
        "fact_booking_daily": lambda: bookings.fact_booking_daily(
            lake.read("fact_booking_history", years), source.read("payments", years), lake.read("dim_property"), window
        ),
        "fact_property_engagement": lambda: fact_property_engagement(*_events(source, window), window),
        "fact_review": lambda: fact_review(source.read("reviews", window), window),
        "property_features": lambda: property_features(
            lake.read("dim_property"),
            lake.read("dim_destination"),
            lake.read("fact_booking_history", years),
            lake.read("fact_review", Window(EVER.start, window.end, opens=True)),
            source.read("property_images"),
            window,
        ),
        "user_features": lambda: user_features(
            lake.read("dim_user"),
            lake.read("fact_booking_history", Window(EVER.start, window.end, opens=True)),
            window,
        ),
        "engagement_features": lambda: engagement_features(*_events(source, window.back(hours=168)), window),
    }
    return inputs[name]()


def days_of_bookings_touched(lake: Lake, source: FilesSource, window: Window) -> Window:
    """From the day on which the oldest booking was made that was changed or paid in a window to the window's end."""
    first = max(oldest_booking_touched(lake, source, window), settings().first_day)
    return Window.of_days(first, window.last_day, opens=first == settings().first_day)


def rows_of(lake: Lake, name: str, window: Window | None = None) -> pd.DataFrame:
    return frame(lake.read(name, window), LAKE[name])


def hours_of(window: Window) -> list[Window]:
    starts = pd.date_range(window.start, window.end, freq="h", inclusive="left")
    return [Window(start.to_pydatetime(), (start + timedelta(hours=1)).to_pydatetime()) for start in starts]


def _events(source: FilesSource, window: Window) -> tuple[ibis.Table, ibis.Table, ibis.Table]:
    return source.read("page_views", window), source.read("clickstream", window), source.read("bookings", window)
