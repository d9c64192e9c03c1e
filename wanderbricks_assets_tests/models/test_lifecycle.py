"""The lifecycle with a real Dagster, a real MLflow on SQLite and a model small enough to be fitted in no time."""

import json
import tempfile
from datetime import datetime
from pathlib import Path
from typing import ClassVar

import dagster as dg
import ibis
import pandas as pd
import pytest

from wanderbricks_assets.models import all as all_models
from wanderbricks_assets.models.gates import GATES, MEETS_TARGET
from wanderbricks_assets.models.lifecycle import judge, lifecycle
from wanderbricks_assets.models.model import (
    SLICE_COLUMNS,
    Calibration,
    CannotLearn,
    Evaluation,
    Interval,
    Model,
)
from wanderbricks_assets.models.registry import CARD, ModelRegistry
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.resources.source import FilesSource
from wanderbricks_assets.targets import TARGETS
from wanderbricks_assets.window import Window

TARGET = TARGETS["revenue_forecaster"]
FIRST_WEEK, SECOND_WEEK, THIRD_WEEK = "2024-01-08", "2024-01-15", "2024-01-22"


class MeanRevenue(Model):
    """Forecasts the mean of the past."""

    name = "revenue_forecaster"
    reads = ("fact_booking_daily",)
    flavours = ()
    limits = ("It knows only the mean.",)
    mape: ClassVar[float] = 0.1
    lacks: ClassVar[str | None] = None

    @classmethod
    def training_set(cls, tables, cutoff):
        if cls.lacks:
            raise CannotLearn(cls.lacks)
        return tables["fact_booking_daily"].select("check_in_date", "total_booking_value").to_pandas()

    def fit(self, training):
        self.mean = float(training.total_booking_value.mean())
        return self

    @classmethod
    def inputs(cls, tables, moment):
        return pd.DataFrame({"ds": pd.date_range(moment, periods=90), "on_the_books": 0.0})

    def predict_columns(self, inputs):
        return dict(inputs) | {"yhat": self.mean}

    @classmethod
    def evaluate(cls, tables, cutoff, seed=0):
        if cls.lacks:
            raise CannotLearn(cls.lacks)
        rows = pd.DataFrame({"actual": [1.0], "predicted": [1.1]})
        losses = pd.Series(dict.fromkeys("abcdef", cls.mape))
        interval = Interval(cls.mape, cls.mape - 0.01, cls.mape + 0.01)
        return Evaluation(
            metric=interval,
            baseline=0.4,
            calibration=Calibration(True, "holds"),
            losses=losses,
            metrics={"origins": 2.0},
            slices=pd.DataFrame([["weekday", "Friday", 5, 0.2]], columns=SLICE_COLUMNS),
            rows=rows,
        )

    @property
    def params(self):
        return {"mean": self.mean}

    def save(self, folder: Path):
        (folder / "mean.json").write_text(json.dumps(self.mean))

    @classmethod
    def load(cls, folder: Path):
        model = cls()
        model.mean = json.loads((folder / "mean.json").read_text())
        return model

    @classmethod
    def figure(cls, evaluation):
        from matplotlib.figure import Figure

        return Figure(figsize=(1, 1))


@pytest.fixture
def pipeline(tmp_path, monkeypatch):
    monkeypatch.setitem(all_models.MODELS, "revenue_forecaster", MeanRevenue)
    monkeypatch.setattr(MeanRevenue, "mape", 0.1)
    monkeypatch.setattr(MeanRevenue, "lacks", None)
    return Pipeline(tmp_path)


class Pipeline:
    def __init__(self, folder: Path):
        self.registry = ModelRegistry(
            tracking_uri=f"sqlite:///{folder / 'mlflow.db'}", artifact_folder=str(folder / "artifacts")
        )
        self.lake = Lake(folder=str(folder / "lake"))
        self.source = FilesSource(folder=str(folder / "source"))
        self.instance = dg.DagsterInstance.ephemeral()
        day = pd.DataFrame({"property_id": [1], "check_in_date": [datetime(2024, 1, 3).date()], "destination_id": [1]})
        counts = dict.fromkeys(["booking_count", "confirmed_booking_count", "cancellation_count", "total_guests"], 1)
        values = dict.fromkeys(["total_booking_value", "avg_booking_value", "avg_nights_booked"], 100.0)
        row = day.assign(**counts, **values, payment_completion_rate=1.0)
        window = Window.of_days(datetime(2024, 1, 3).date(), datetime(2024, 1, 3).date())
        self.lake.replace("fact_booking_daily", ibis.memtable(row), window)

    def train(self, week: str):
        training, gates, promotion = lifecycle(MeanRevenue)
        return dg.materialize(
            [training, gates, promotion],
            partition_key=week,
            instance=self.instance,
            resources={"registry": self.registry, "lake": self.lake, "source": self.source},
            raise_on_error=False,
        )

    def mlflow_runs(self):
        client = self.registry._client
        return client.search_runs([client.get_experiment_by_name(TARGET.experiment).experiment_id])


def test_a_model_that_passes_its_gates_is_promoted_under_alias_and_stage(pipeline):
    result = pipeline.train(FIRST_WEEK)
    assert result.success
    assert all(check.passed for check in result.get_asset_check_evaluations())
    assert len(result.get_asset_check_evaluations()) == len(GATES)
    assert pipeline.registry.serving_version(TARGET) == "1"
    version = pipeline.registry._client.get_model_version(TARGET.registered_name, "1")
    assert (version.current_stage, version.tags["release"]) == ("Production", "1.0")
    assert pipeline.registry._mlflow.pyfunc.load_model(f"models:/{TARGET.registered_name}@Production")


def test_a_model_that_misses_its_target_never_serves_and_the_last_good_one_goes_on(pipeline, monkeypatch):
    pipeline.train(FIRST_WEEK)
    monkeypatch.setattr(MeanRevenue, "mape", 0.2)
    result = pipeline.train(SECOND_WEEK)
    assert not result.success
    failed = [check.check_name for check in result.get_asset_check_evaluations() if not check.passed]
    assert MEETS_TARGET in failed
    assert pipeline.registry.serving_version(TARGET) == "1"
    assert pipeline.registry.candidate(TARGET).version == "2"


def test_promotion_alone_refuses_a_version_that_missed_a_gate_and_says_why(pipeline, monkeypatch):
    monkeypatch.setattr(MeanRevenue, "mape", 0.2)
    pipeline.train(FIRST_WEEK)
    _, _, promotion = lifecycle(MeanRevenue)
    with pytest.raises(dg.Failure, match=r"meets_target: mape 0\.2 .* No version serves yet"):
        dg.materialize([promotion], resources={"registry": pipeline.registry})


def test_data_that_cannot_support_a_model_fail_its_checks_with_a_sentence_and_register_nothing(pipeline, monkeypatch):
    monkeypatch.setattr(MeanRevenue, "lacks", "page_views is empty: there is nothing to convert")
    result = pipeline.train(FIRST_WEEK)
    assert result.asset_materializations_for_node("revenue_forecaster")
    assert {check.description for check in result.get_asset_check_evaluations()} == {MeanRevenue.lacks}
    assert pipeline.registry.candidate(TARGET).version is None
    assert pipeline.registry.serving_version(TARGET) is None


def test_every_mlflow_run_is_ended_and_says_what_it_was(pipeline):
    dagster_run = pipeline.train(FIRST_WEEK).run_id
    (run,) = pipeline.mlflow_runs()
    assert run.info.status == "FINISHED"
    assert run.data.tags["dagster_run_id"] == dagster_run
    assert run.data.tags["cutoff"] == "2024-01-15T00:00:00"
    assert run.data.params["mean"] == "100.0"
    assert run.data.metrics["mape"] == 0.1
    assert run.inputs.dataset_inputs[0].dataset.name == "revenue_forecaster as of 2024-01-15T00:00:00"


def test_a_training_that_raises_leaves_its_mlflow_run_failed_not_open(pipeline, monkeypatch):
    def broken(self, training):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(MeanRevenue, "fit", broken)
    assert not pipeline.train(FIRST_WEEK).success
    assert [run.info.status for run in pipeline.mlflow_runs()] == ["FAILED"]
    assert pipeline.registry.candidate(TARGET) is None


def test_a_past_day_is_predicted_by_what_had_been_trained_by_then(pipeline):
    pipeline.train(FIRST_WEEK)
    pipeline.train(THIRD_WEEK)
    champion = pipeline.registry.champion
    assert champion(TARGET).version == "2"
    assert champion(TARGET, datetime(2024, 1, 29)).version == "2"
    assert champion(TARGET, datetime(2024, 1, 28)).version == "1"
    assert champion(TARGET, datetime(2024, 1, 14)) is None


def test_a_past_week_is_judged_against_what_served_then_not_against_what_came_later(pipeline, monkeypatch):
    monkeypatch.setattr(MeanRevenue, "mape", 0.12)
    pipeline.train(FIRST_WEEK)
    monkeypatch.setattr(MeanRevenue, "mape", 0.05)
    pipeline.train(THIRD_WEEK)
    first = pipeline.registry.candidate(TARGET, datetime(2024, 1, 15))
    assert all(verdict.passed for verdict in judge(TARGET, first, pipeline.registry))
    assert pipeline.registry.serving_version(TARGET, datetime(2024, 1, 15)) == "1"
    assert pipeline.registry.serving_version(TARGET) == "2"


def test_reading_an_evaluation_leaves_no_files_behind(pipeline, tmp_path, monkeypatch):
    pipeline.train(FIRST_WEEK)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    pipeline.registry.scores(pipeline.registry.candidate(TARGET).run_id)
    assert list((tmp_path / "temporary").iterdir()) == []


def test_training_an_older_week_later_does_not_become_the_candidate(pipeline):
    pipeline.train(SECOND_WEEK)
    pipeline.train(FIRST_WEEK)
    assert pipeline.registry.candidate(TARGET).cutoff == datetime(2024, 1, 22)
    assert pipeline.registry.serving_version(TARGET) == "1"


def test_a_saved_version_predicts_the_same_and_reads_no_pickle(pipeline):
    pipeline.train(FIRST_WEEK)
    champion = pipeline.registry.champion(TARGET)
    assert champion.model.predict(MeanRevenue.inputs({}, datetime(2024, 1, 15))).yhat.unique().tolist() == [100.0]


def test_what_was_evaluated_is_read_back_whole(pipeline):
    pipeline.train(FIRST_WEEK)
    run_id = pipeline.registry.candidate(TARGET).run_id
    read = pipeline.registry.scores(run_id)
    assert read.metric == Interval(0.1, 0.1 - 0.01, 0.1 + 0.01)
    assert read.losses.to_dict() == dict.fromkeys("abcdef", 0.1)
    assert read.calibration == Calibration(True, "holds")
    assert read.metrics == {"origins": 2.0}
    assert read.slices.to_dict("records") == [{"slice": "weekday", "value": "Friday", "rows": 5, "metric": 0.2}]
    assert pipeline.registry.evaluated_rows(run_id).predicted.tolist() == [1.1]


def test_the_model_card_says_what_it_learned_from_how_good_it_is_and_where_it_is_worst(pipeline):
    result = pipeline.train(FIRST_WEEK)
    registry, run_id = pipeline.registry, pipeline.registry.candidate(TARGET).run_id
    registry.record_floor(run_id, 0.08, "error of the best")
    card = registry._mlflow.artifacts.load_text(f"runs:/{run_id}/{CARD}")
    data, reached, worst = "as known at 2024-01-15", "mape < 0.15. Reached: 0.1, 90% interval 0.09 to 0.11", "Friday"
    floor = "**With the truth known.** error of the best: 0.08"
    for said in (data, "1 training rows", reached, "Naive baseline: 0.4", worst, "It knows only the mean.", floor):
        assert said in card
    assert registry.floor(run_id) == 0.08
    (trained,) = result.asset_materializations_for_node("revenue_forecaster")
    assert "Where it is worst" in trained.metadata["model_card"].value


def decision_of(result):
    (promoted,) = result.asset_materializations_for_node("revenue_forecaster_champion")
    return promoted.metadata["decision"].value


def test_a_tie_on_the_same_data_keeps_the_champion_and_one_on_newer_data_serves(pipeline):
    assert (
        decision_of(pipeline.train(FIRST_WEEK)) == "Version 1 serves: it passed all gates, and no other version served."
    )
    kept = decision_of(pipeline.train(FIRST_WEEK))
    assert kept.startswith("A tie with version 2 of the same data (the same losses on 6 common units")
    assert kept.endswith("Version 1 goes on serving.")
    assert pipeline.registry.serving_version(TARGET) == "1"
    newer = decision_of(pipeline.train(SECOND_WEEK))
    assert newer.startswith("Version 3 serves: it has learned from newer data than version 1 (the same losses")
    assert pipeline.registry.serving_version(TARGET) == "3"


def test_a_better_version_of_the_same_data_takes_over_and_keeps_the_reason(pipeline, monkeypatch):
    pipeline.train(FIRST_WEEK)
    monkeypatch.setattr(MeanRevenue, "mape", 0.05)
    assert decision_of(pipeline.train(FIRST_WEEK)).startswith("Version 2 serves: better than version 1 (mean loss")
    assert pipeline.registry.candidate(TARGET).decision.startswith("Version 2 serves: better")
