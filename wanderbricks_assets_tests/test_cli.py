"""The command as a person types it, in processes of its own."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from wanderbricks_assets.cli import app
from wanderbricks_assets.doctor import Finding
from wanderbricks_assets.predictions.assets import TARGET_OF
from wanderbricks_assets.targets import TARGETS

SCOREBOARD_KEYS = [
    "model", "metric", "target", "value", "lower", "upper", "baseline", "floor", "passed", "stage", "version", "as_of",
    "reason",
]  # fmt: skip


def wanderbricks(*words: str, home: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("WANDERBRICKS_", "DAGSTER_"))}
    command = [sys.executable, "-m", "wanderbricks_assets.cli", *words]
    if words[0] != "doctor" and "--help" not in words:
        command += ["--home", str(home)]
    return subprocess.run(command, env=clean | settings, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def small_source(tmp_path_factory) -> Path:
    """Four bookings of a hotel without views, prices or returning guests."""
    folder = tmp_path_factory.mktemp("source")
    made = pd.to_datetime(["2024-01-01 10:00", "2024-01-01 11:00", "2024-01-02 09:00", "2024-01-03 12:00"])
    bookings = pd.DataFrame(
        {
            "booking_id": [1, 2, 3, 4],
            "user_id": [1, 2, 3, 4],
            "property_id": 1,
            "check_in": pd.to_datetime(["2024-01-02", "2024-01-03", "2024-01-03", "2024-01-09"]).date,
            "check_out": pd.to_datetime(["2024-01-04", "2024-01-05", "2024-01-04", "2024-01-11"]).date,
            "guests_count": 2,
            "total_amount": [100.0, 200.0, 300.0, 400.0],
            "status": "confirmed",
            "created_at": made,
            "updated_at": made,
        }
    )
    users = pd.DataFrame({"user_id": [1, 2, 3, 4], "created_at": made}).assign(
        email="", name="", country="PT", user_type="individual", is_business=False, company_name=""
    )
    property_ = {
        "property_id": 1,
        "host_id": 1,
        "destination_id": 1,
        "title": "",
        "description": "",
        "base_price": 99.0,
    }
    rooms = {
        "title": "",
        "description": "",
        "property_type": "Hotel",
        "max_guests": 2,
        "bedrooms": 1,
        "bathrooms": 1,
        "created_at": made[0].date(),
    }
    place = {"property_latitude": 37.0, "property_longitude": -8.0}
    destination = {"destination_id": 1, "destination": "Faro", "country": "Portugal"}
    region = {"state_or_province": "", "state_or_province_code": "", "description": ""}
    bookings.to_parquet(folder / "bookings.parquet")
    users.to_csv(folder / "users.csv", index=False)
    pd.DataFrame([property_ | rooms | place]).to_parquet(folder / "properties.parquet")
    pd.DataFrame([destination | region]).to_parquet(folder / "destinations.parquet")
    return folder


@pytest.fixture(scope="module")
def home(small_source, tmp_path_factory):
    """A home in which everything ran once, and the process that did it."""
    folder = tmp_path_factory.mktemp("home")
    words = ("--source", str(small_source), "--start", "2024-01-01", "--as-of", "2024-01-10")
    return folder, wanderbricks("run", *words, home=folder)


def test_a_run_on_data_too_small_to_learn_from_ends_with_2_and_a_reason_for_every_model(home):
    _, first = home
    assert first.returncode == 2, first.stdout + first.stderr
    assert first.stdout.count("gate failed") == 5
    assert "page_views is empty" in first.stdout
    assert "tell season from price" in first.stdout


def test_progress_counts_down_to_nothing_although_gates_stop_promotions_and_predictions(home):
    _, first = home
    steps = [line.split() for line in first.stdout.splitlines() if line.startswith(("done ", "failed ", "skipped "))]
    left = [int(words[words.index("left") - 1]) for words in steps]
    assert left == [*range(len(steps))][::-1]
    skipped = {words[1] for words in steps if words[0] == "skipped"}
    assert {f"{model}_champion" for model in TARGETS} | set(TARGET_OF) <= skipped
    assert len(skipped) == 4 * len(TARGETS)  # with the checks of the predictions' rows and of drift


def test_a_second_run_says_that_nothing_is_missing_and_what_failed(home):
    folder, _ = home
    second = wanderbricks("run", "--as-of", "2024-01-10", home=folder)
    assert second.returncode == 2
    assert "Nothing is missing." in second.stdout
    assert "done " not in second.stdout
    assert second.stdout.count("gate failed") == 5


def test_a_run_as_of_a_day_before_the_first_week_ended_does_not_report_the_weeks_after_it(home):
    folder, _ = home
    earlier = wanderbricks("run", "--as-of", "2024-01-05", home=folder)
    assert earlier.returncode == 2
    assert earlier.stdout.count("nothing was trained yet") == 5


def test_the_scoreboard_is_a_list_of_objects_with_exactly_the_promised_keys(home):
    folder, _ = home
    rows = json.loads(wanderbricks("scoreboard", "--json", home=folder).stdout)
    assert [list(row) for row in rows] == [SCOREBOARD_KEYS] * 5
    assert {row["target"] for row in rows} == {0.15, 3.0, 0.75, 0.05, 0.2}
    assert not any(row["passed"] for row in rows)
    assert all(row["reason"] for row in rows)


def test_a_home_made_from_one_source_refuses_another(home, tmp_path):
    folder, _ = home
    refused = wanderbricks("run", "--source", str(tmp_path), "--as-of", "2024-01-10", home=folder)
    assert refused.returncode == 1
    assert "was made with source" in refused.stdout


def test_a_source_without_a_required_table_ends_with_1_and_names_the_table(tmp_path):
    (tmp_path / "empty").mkdir()
    words = ("--source", str(tmp_path / "empty"), "--start", "2024-01-01", "--as-of", "2024-01-03")
    broken = wanderbricks("run", *words, home=tmp_path / "home")
    assert broken.returncode == 1
    assert "has no users, properties, destinations, bookings" in broken.stdout
    assert not (tmp_path / "home").exists(), "a mistyped --source must not make a home"


def test_a_day_that_has_not_come_or_lies_before_the_start_is_refused(small_source, tmp_path):
    for as_of, sentence in (("2999-01-01", "has not come yet"), ("2023-12-31", "not after the first day")):
        words = ("--source", str(small_source), "--start", "2024-01-01", "--as-of", as_of)
        refused = wanderbricks("run", *words, home=tmp_path / "home")
        assert (refused.returncode, sentence in refused.stdout) == (1, True)


def test_a_wrong_option_ends_with_1_as_2_means_that_a_gate_failed(tmp_path):
    refused = wanderbricks("run", "--as-of", "yesterday", home=tmp_path / "home")
    assert refused.returncode == 1
    assert "Invalid value for '--as-of'" in refused.stderr


@pytest.mark.parametrize("command", ["run", "up"])
def test_what_runs_on_databricks_is_not_begun_on_this_machine(command: str, tmp_path):
    refused = wanderbricks(command, home=tmp_path / "home", WANDERBRICKS_PROFILE="databricks")
    assert (refused.returncode, "docs/databricks.md" in refused.stdout) == (1, True)
    assert not (tmp_path / "home").exists()


def test_every_option_can_be_set_in_the_environment(tmp_path):
    given = {"WANDERBRICKS_SIMULATE_PROFILE": "bazaar", "WANDERBRICKS_SIMULATE_OUT": str(tmp_path / "source")}
    refused = wanderbricks("simulate", home=tmp_path / "home", **given)
    assert refused.returncode == 1
    assert "profile must be one of marketplace" in refused.stdout


def test_a_broken_table_stops_before_training_and_the_next_run_makes_good(small_source, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(small_source, source)
    reviews = pd.DataFrame({"review_id": [1], "property_id": [1]})
    reviews.to_parquet(source / "reviews.parquet")
    words = ("--source", str(source), "--start", "2024-01-01", "--as-of", "2024-01-10")
    broken = wanderbricks("run", *words, home=tmp_path / "home")
    assert broken.returncode == 1
    assert "reviews.parquet: column 'booking_id' is missing" in broken.stdout
    assert "revenue_forecaster" not in broken.stdout
    [line] = [line for line in broken.stdout.splitlines() if "reviews.parquet" in line]
    assert line.startswith("could not run ")
    assert {"quarantine", "property_features"} <= set(line.removeprefix("could not run ").split(": ")[0].split(", "))
    assert "SourceError" not in broken.stdout
    assert "not begun engagement, training, predictions" in broken.stdout
    (source / "reviews.parquet").unlink()
    mended = wanderbricks("run", *words, home=tmp_path / "home")
    assert mended.returncode == 2
    assert "done    revenue_forecaster" in mended.stdout


def test_a_scoreboard_of_a_home_that_nobody_made_makes_none(tmp_path):
    shown = wanderbricks("scoreboard", home=tmp_path / "nowhere")
    assert shown.returncode == 1
    assert "is no home yet" in shown.stdout
    assert not (tmp_path / "nowhere").exists()


def test_a_backtest_of_an_unknown_model_names_the_models(home):
    folder, _ = home
    unknown = wanderbricks("backtest", "weather", home=folder)
    assert unknown.returncode == 1
    assert "revenue_forecaster, demand_predictor" in unknown.stdout


def test_help_teaches_every_command(tmp_path):
    shown = wanderbricks("--help", home=tmp_path).stdout
    assert all(word in shown for word in ("simulate", "run", "scoreboard", "backtest", "up", "doctor"))


def test_the_doctor_says_what_it_found_and_no_remedy_for_what_is_there(tmp_path):
    examined = wanderbricks("doctor", home=tmp_path)
    assert examined.returncode == 0
    assert "Python 3.11" in examined.stdout
    assert "install Python" not in examined.stdout


def test_what_the_doctor_says_can_be_typed_as_it_stands(monkeypatch):
    lacking = Finding("pyspark", ok=False, found="not installed", remedy="pip install '.[spark]'", weight="optional")
    monkeypatch.setattr("wanderbricks_assets.doctor.examine", lambda: [lacking])
    assert lacking.remedy in CliRunner().invoke(app, ["doctor"]).output


@pytest.mark.parametrize("words", [("scoreboard",), ("backtest", "revenue_forecaster"), ("run",)])
def test_a_start_that_is_not_the_homes_or_no_date_is_refused_by_every_command(home, words):
    folder, _ = home
    other = wanderbricks(*words, home=folder, WANDERBRICKS_START="2024-01-02")
    assert (other.returncode, "was made with start 2024-01-01, not 2024-01-02" in other.stdout) == (1, True)
    wrong = wanderbricks(*words, home=folder, WANDERBRICKS_START="tomorrow")
    assert (wrong.returncode, wrong.stdout.count("\n")) == (1, 1)
    assert "WANDERBRICKS_START is 'tomorrow'" in wrong.stdout


def test_mlflow_that_is_away_stops_training_but_no_table(small_source, tmp_path):
    words = ("--source", str(small_source), "--start", "2024-01-01", "--as-of", "2024-01-10")
    away = {"WANDERBRICKS_MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
    broken = wanderbricks("run", *words, home=tmp_path / "home", **away)
    assert broken.returncode == 1
    assert "15 assets in 2 runs" in broken.stdout
    [sentence] = [line for line in broken.stdout.splitlines() if line.startswith("could not run")]
    assert sentence.startswith(
        "could not run training, predictions, activation, monitoring: MLflow does not answer at http://127.0.0.1:9 ("
    )
    assert "WANDERBRICKS_MLFLOW_TRACKING_URI" in sentence
    assert "Traceback" not in broken.stdout + broken.stderr


def test_a_required_table_that_does_not_fit_its_contract_is_told_before_anything_is_made(small_source, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(small_source, source)
    pd.read_parquet(source / "bookings.parquet").drop(columns="check_in").to_parquet(source / "bookings.parquet")
    words = ("--source", str(source), "--start", "2024-01-01", "--as-of", "2024-01-10")
    refused = wanderbricks("run", *words, home=tmp_path / "home")
    assert refused.returncode == 1
    assert "bookings.parquet: column 'check_in' is missing (found: booking_id" in refused.stdout
    assert not (tmp_path / "home").exists()


def test_rules_are_put_where_they_can_be_edited_and_a_mistake_in_them_is_named(tmp_path):
    first = wanderbricks("rules", "--edit", home=tmp_path)
    assert first.returncode == 0
    file = tmp_path / "rules" / "customer_actions.csv"
    assert str(file) in first.stdout
    file.write_text(file.read_text().replace("High Value,Low", "Highest Value,Low", 1))
    again = wanderbricks("rules", home=tmp_path)
    assert again.returncode == 1
    assert f"{file}, row 2: segment 'Highest Value' is none of High Value, Medium Value, Low Value" in again.stdout
