"""A home's settings: from arguments, the environment, and what the home was made with."""

import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from wanderbricks_assets.settings import DAYS_OF_HOURS, Settings, default_start, read_settings

VARIABLES = ("HOME", "START", "HOURLY_START", "SOURCE", "SEED", "MLFLOW_TRACKING_URI", "ENGINE")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, given by the environment alone."""
    for name in VARIABLES:
        monkeypatch.delenv(f"WANDERBRICKS_{name}", raising=False)
    monkeypatch.setenv("WANDERBRICKS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_everything_of_a_home_lies_in_its_folder(home: Path):
    settings = Settings()
    assert settings.home == home
    assert settings.source_folder == home / "source"
    assert settings.lake_folder == home / "lake"
    assert settings.dagster_home == home / "dagster"
    assert settings.tracking_uri == f"sqlite:///{home}/mlflow.db"
    assert not home.exists()


def test_a_variable_sets_what_it_names(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WANDERBRICKS_SOURCE", "elsewhere")
    monkeypatch.setenv("WANDERBRICKS_START", "2023-02-03")
    monkeypatch.setenv("WANDERBRICKS_SEED", "7")
    monkeypatch.setenv("WANDERBRICKS_MLFLOW_TRACKING_URI", "http://mlflow:5000")
    settings = Settings()
    assert settings.source_folder == Path.cwd() / "elsewhere"
    assert (settings.first_day, settings.seed) == (date(2023, 2, 3), 7)
    assert settings.tracking_uri == "http://mlflow:5000"


def test_history_is_three_years_and_hours_are_400_days_by_default(home: Path):
    settings = Settings()
    assert settings.first_day == default_start(datetime.now(UTC).date())
    assert (settings.first_hourly_day - settings.first_day).days == round(3 * 365.25) - DAYS_OF_HOURS


def test_hours_never_begin_before_the_first_day(home: Path):
    recent = date.fromordinal(default_start(datetime.now(UTC).date()).toordinal() + 1000)
    assert Settings(start=recent).first_hourly_day == recent


def test_a_home_keeps_what_it_was_made_with(home: Path, monkeypatch: pytest.MonkeyPatch):
    Settings(source=home / "files", start=date(2024, 1, 1), hourly_start=date(2024, 6, 1)).save()
    later = Settings()
    assert later.source_folder == home / "files"
    assert (later.first_day, later.first_hourly_day) == (date(2024, 1, 1), date(2024, 6, 1))
    assert json.loads((home / "settings.json").read_text()) == {
        "source": str(home / "files"),
        "start": "2024-01-01",
        "hourly_start": "2024-06-01",
        "engine": "duckdb",
    }


def test_saving_again_changes_nothing(home: Path):
    Settings(start=date(2024, 1, 1)).save()
    before = (home / "settings.json").read_text()
    Settings().save()
    assert (home / "settings.json").read_text() == before
    assert [file.name for file in home.iterdir()] == ["settings.json"]


def test_a_home_made_with_another_start_is_not_mixed_with_this_one(home: Path):
    Settings(start=date(2024, 1, 1), hourly_start=date(2024, 1, 1)).save()
    with pytest.raises(ValueError, match=f"{home} was made with start 2024-01-01, not 2024-02-01; give another --home"):
        Settings(start=date(2024, 2, 1)).save()
    assert Settings().first_day == date(2024, 1, 1)


def test_a_home_made_with_another_source_is_not_mixed_with_this_one(home: Path):
    Settings(start=date(2024, 1, 1)).save()
    with pytest.raises(ValueError, match=r"was made with source .*/home/source, not .*/other"):
        Settings(source=home / "other").save()


@pytest.mark.parametrize("is_older_than_the_choice", [True, False])
def test_a_home_made_on_another_engine_is_not_mixed_with_this_one(home: Path, is_older_than_the_choice: bool):
    Settings(start=date(2024, 1, 1)).save()
    if is_older_than_the_choice:
        file = home / "settings.json"
        file.write_text(json.dumps({name: to for name, to in json.loads(file.read_text()).items() if name != "engine"}))
    with pytest.raises(ValueError, match="was made with engine duckdb, not spark; give another --home"):
        Settings(engine="spark").save()
    assert Settings().engine == "duckdb"


def test_an_argument_comes_before_a_variable_and_a_variable_before_the_home(
    home: Path, monkeypatch: pytest.MonkeyPatch
):
    Settings(start=date(2024, 1, 1)).save()
    monkeypatch.setenv("WANDERBRICKS_START", "2024-02-01")
    assert Settings().first_day == date(2024, 2, 1)
    assert Settings(start=date(2024, 3, 1)).first_day == date(2024, 3, 1)


def test_a_setting_that_does_not_exist_is_an_error(home: Path):
    with pytest.raises(ValidationError, match="sauce"):
        Settings(sauce="files")


def test_the_home_given_as_an_argument_is_the_one_whose_settings_are_read(home: Path, tmp_path: Path):
    Settings(home=tmp_path / "second", start=date(2022, 5, 5)).save()
    assert Settings(home=tmp_path / "second").first_day == date(2022, 5, 5)


def test_a_variable_that_is_no_date_is_told_in_one_sentence(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WANDERBRICKS_START", "tomorrow")
    with pytest.raises(ValueError, match=r"^WANDERBRICKS_START is 'tomorrow': Input should be a valid date[^\n]*$"):
        read_settings()
    monkeypatch.delenv("WANDERBRICKS_START")
    with pytest.raises(ValueError, match=r"^--start is 'tomorrow'"):
        read_settings(start="tomorrow")


def test_what_a_person_adds_to_the_file_of_a_home_is_read_and_keeps_it_the_same_home(home: Path):
    Settings(start=date(2024, 1, 1), hourly_start=date(2024, 1, 1)).save()
    file = home / "settings.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"ui_url": "https://dagster.example.com"}))
    again = read_settings()
    again.save()
    assert again.ui_url == "https://dagster.example.com"


def test_a_damaged_file_of_a_home_is_named(home: Path):
    home.mkdir()
    (home / "settings.json").write_text('{"start": ')
    with pytest.raises(ValueError, match=r"settings\.json is no JSON"):
        read_settings()


def test_a_task_elsewhere_is_given_what_the_home_is_and_no_secret(home: Path):
    given = {"serve_token": "planted-token", "alert_urls": "slack://planted", "alerts_database": "postgresql://planted"}
    settings = Settings(profile="databricks", start=date(2024, 1, 1), seed=7, **given)
    environment = settings.for_task()
    assert environment["WANDERBRICKS_START"] == "2024-01-01"
    assert environment["WANDERBRICKS_SEED"] == "7"
    assert environment["WANDERBRICKS_HOME"] == "/Volumes/main/wanderbricks/files/home"
    assert "planted" not in json.dumps(environment)
    with pytest.raises(ValueError, match="holds a password"):
        Settings(mlflow_tracking_uri="https://someone:planted@mlflow").for_task()


def test_on_databricks_tables_are_sparks_and_models_are_the_workspaces(home: Path):
    settings = Settings(profile="databricks", databricks_schema="lab.rentals")
    assert (settings.engine, settings.spark_schema, settings.tracking_uri) == ("spark", "lab.rentals", "databricks")
    assert settings.wheel.startswith("/Volumes/lab/rentals/files/wheels/wanderbricks_assets-")
