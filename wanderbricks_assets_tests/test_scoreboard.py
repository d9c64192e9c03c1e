"""The scoreboard as it stands and as it stood, from a real registry."""

from datetime import datetime

from wanderbricks_assets.scoreboard import Row, scoreboard_rows
from wanderbricks_assets_tests.models.test_lifecycle import FIRST_WEEK, THIRD_WEEK, MeanRevenue, Pipeline, pipeline

__all__ = ["pipeline"]


def revenue(of: Pipeline, moment: datetime | None = None) -> Row:
    rows = scoreboard_rows(of.registry, of.lake, of.source, floors=False, moment=moment)
    return next(row for row in rows if row.model == "revenue_forecaster")


def test_as_of_an_earlier_day_the_gates_of_the_week_that_had_ended_are_reported(pipeline: Pipeline, monkeypatch):
    pipeline.train(FIRST_WEEK)
    monkeypatch.setattr(MeanRevenue, "mape", 0.2)
    pipeline.train(THIRD_WEEK)
    now, then, before = (
        revenue(pipeline),
        revenue(pipeline, datetime(2024, 1, 16)),
        revenue(pipeline, datetime(2024, 1, 4)),
    )
    assert (now.as_of, now.passed, now.value, now.version) == ("2024-01-29", False, 0.2, "1")
    assert (then.as_of, then.passed, then.value, then.version) == ("2024-01-15", True, 0.1, "1")
    assert (before.as_of, before.reason, before.version) == (None, "nothing was trained yet", None)
