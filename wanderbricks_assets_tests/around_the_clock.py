"""Rows around a leap day and both changes of the clock, in the time zone of this process: `python -m ... FOLDER`."""

import hashlib
import sys
from datetime import timedelta
from pathlib import Path

from wanderbricks_assets.contracts.source import SOURCE
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.resources.source import FilesSource
from wanderbricks_assets.window import Window
from wanderbricks_assets_tests.marketplace import arrow_of, at, booking, day, deliver, listing, payment, user, view
from wanderbricks_assets_tests.whole_pipeline import DAILY, compute_all, rows_of

# A leap day; the night in which Berlin's clocks skip 02:00 to 03:00; and the one in which they have that hour twice.
NIGHTS = ("2024-02-29", "2024-03-31", "2024-10-27")
HOURS = ("00:00", "01:30", "02:00", "02:30", "03:00", "23:59:59")


def main(folder: Path) -> None:
    times = [f"{night} {hour}" for night in NIGHTS for hour in HOURS]
    bookings = [booking(key, made, check_in=made[:10], check_out="2024-11-02") for key, made in enumerate(times)]
    rows = {
        "bookings": bookings,
        "payments": [payment(key, key, made) for key, made in enumerate(times)],
        "page_views": [view(key, made) for key, made in enumerate(times)],
        "properties": [listing()],
        "users": [user()],
        "destinations": [{"destination_id": 1, "destination": "Berlin", "country": "Germany"}],
    }
    deliver(folder, {name: arrow_of(SOURCE[name], table) for name, table in rows.items()}, None, day("2024-11-01"))
    lake, source = Lake(folder=str(folder / "lake")), FilesSource(folder=str(folder))
    for number, night in enumerate(NIGHTS):
        days = Window.of_days(day(night) - timedelta(days=1), day(night) + timedelta(days=1), opens=number == 0)
        compute_all(lake, source, days, Window(at(night), at(night) + timedelta(days=1)))
    for name in (*DAILY, "engagement_features"):
        found = rows_of(lake, name)
        print(name, len(found), hashlib.sha256(found.to_csv().encode()).hexdigest())  # noqa: T201
    views = rows_of(lake, "engagement_features")
    for night in NIGHTS:
        of_night = views[views.feature_hour.between(at(night), at(night) + timedelta(hours=23))]
        print(night, *of_night.feature_hour.dt.hour)  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]))
