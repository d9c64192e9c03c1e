"""The view holds the newest predictions, and is replaced as a whole."""

import sqlite3
from datetime import date, datetime, timedelta

import ibis
import pandas as pd
import pytest

from wanderbricks_assets.activation.online_asset import view_tables
from wanderbricks_assets.activation.online_view import OnlineView, write_view
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.resources.source import FilesSource
from wanderbricks_assets.window import Window

DAY = date(2024, 6, 3)
REVENUE = [("2024-06-03", 10.0, 8.0, 12.0), ("2024-06-04", 20.0, 16.0, 24.0)]


@pytest.fixture
def lake(tmp_path) -> Lake:
    return Lake(folder=str(tmp_path / "lake"))


def predict_demand(lake: Lake, day: date, version: str) -> None:
    rows = pd.DataFrame({"property_id": [1, 2, 3], "destination_id": [7, 7, 8], "expected_bookings": [0.1, 0.2, 0.4]})
    days = pd.DataFrame({"ds": [day + timedelta(days=1), day + timedelta(days=2)], "horizon_days": [1, 2]})
    rows = rows.merge(days, how="cross").assign(country="Italy", prediction_date=day, model_name="demand")
    made_at = datetime(day.year, day.month, day.day) + timedelta(days=1)
    rows = rows.assign(model_version=version, made_at=made_at)
    lake.replace("demand_forecast", ibis.memtable(rows), Window.of_days(day, day))


def test_the_newest_predictions_are_shown_whichever_day_was_written_last(lake, tmp_path):
    predict_demand(lake, DAY, "2")
    predict_demand(lake, DAY - timedelta(days=30), "1")
    tables = view_tables(lake, FilesSource(folder=str(tmp_path)), converts=False)
    file = tmp_path / "online" / "view.db"
    write_view(file, tables)
    view = OnlineView(file).snapshot()
    assert view.about("demand_predictor") == {
        "model_version": "2",
        "as_of": "2024-06-04T00:00:00",
        "first": "2024-06-04",
        "last": "2024-06-05",
    }
    assert view.about("revenue_forecaster") is None


def test_what_is_expected_of_a_destination_is_the_sum_of_its_properties(lake, tmp_path):
    predict_demand(lake, DAY, "2")
    tables = view_tables(lake, FilesSource(folder=str(tmp_path)), converts=False)
    assert sorted(tables["destination_demand"]) == [
        (7, "2024-06-04", pytest.approx(0.3)),
        (7, "2024-06-05", pytest.approx(0.3)),
        (8, "2024-06-04", 0.4),
        (8, "2024-06-05", 0.4),
    ]


def test_a_reader_sees_the_new_view_as_soon_as_it_is_in_place(tmp_path):
    file = tmp_path / "view.db"
    view = OnlineView(file)
    assert view.snapshot() is None
    write_view(file, {"revenue": REVENUE})
    assert [day["yhat"] for day in view.snapshot().days("revenue", DAY, DAY + timedelta(days=9))] == [10.0, 20.0]
    write_view(file, {"revenue": REVENUE[:1]})
    assert [day["yhat"] for day in view.snapshot().days("revenue", DAY, DAY + timedelta(days=9))] == [10.0]


def test_a_view_that_cannot_be_written_leaves_the_old_one_and_nothing_else(tmp_path):
    file = tmp_path / "view.db"
    write_view(file, {"revenue": REVENUE})
    with pytest.raises(sqlite3.IntegrityError):
        write_view(file, {"revenue": [REVENUE[0], REVENUE[0]]})
    assert [path.name for path in tmp_path.iterdir()] == ["view.db"]
    assert len(OnlineView(file).snapshot().days("revenue", DAY, DAY + timedelta(days=9))) == 2
