"""What a training run keeps of its data and its evaluation, as files."""

from __future__ import annotations

import hashlib
import json
from io import StringIO
from pathlib import Path

from wanderbricks_assets.lazy import pd
from wanderbricks_assets.models.model import Calibration, Evaluation, Interval, Scores

SCORES, ROWS = "scores", "evaluated_rows.parquet"


def write_evaluation(folder: Path, evaluation: Evaluation) -> Path:
    """Write the scores and the evaluated rows into a new folder, and return it."""
    place = folder / SCORES
    place.mkdir(parents=True)
    summary = {
        "metric": vars(evaluation.metric),
        "baseline": evaluation.baseline,
        "calibration": vars(evaluation.calibration),
        "metrics": evaluation.metrics,
        "slices": evaluation.slices.to_json(orient="split", index=False),
    }
    (place / "summary.json").write_text(json.dumps(summary, indent=2, default=float))
    evaluation.losses.rename("loss").to_frame().to_parquet(place / "losses.parquet")
    evaluation.rows.to_parquet(folder / ROWS)
    return folder


def read_scores(folder: Path) -> Scores:
    """Read the folder SCORES that `write_evaluation` wrote."""
    summary = json.loads((folder / "summary.json").read_text())
    return Scores(
        metric=Interval(**summary["metric"]),
        baseline=summary["baseline"],
        calibration=Calibration(**summary["calibration"]),
        metrics=summary["metrics"],
        losses=pd.read_parquet(folder / "losses.parquet")["loss"],
        slices=pd.read_json(StringIO(summary["slices"]), orient="split"),
    )


def digest(training: pd.DataFrame) -> str:
    """The same for the same rows in the same order; lists play no part."""
    frame = without_nested(training)
    return hashlib.sha256(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes()).hexdigest()[:8]


def without_nested(frame: pd.DataFrame) -> pd.DataFrame:
    """Lists have no hash; they play no part in training."""
    return frame[[name for name in frame.columns if not isinstance(frame[name].iloc[0], list | dict)]]
