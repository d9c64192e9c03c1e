"""A process that begins a Dagster run and an MLflow run, and never ends: `python -m ... HOME`. Tests kill it."""

import sys
import time
from datetime import datetime
from pathlib import Path

import dagster as dg

from wanderbricks_assets.automation.orphans import PROCESS, sign_of_life
from wanderbricks_assets.models.registry import ModelRegistry
from wanderbricks_assets.targets import TARGETS


def registry_of(home: Path) -> ModelRegistry:
    return ModelRegistry(tracking_uri=f"sqlite:///{home / 'mlflow.db'}", artifact_folder=str(home / "artifacts"))


@dg.asset
def endless(context: dg.AssetExecutionContext) -> None:
    home = Path(sys.argv[1])
    target = TARGETS["revenue_forecaster"]
    with registry_of(home).training_run(target, datetime(2024, 1, 1), context.run.run_id):
        (home / "begun").touch()
        time.sleep(600)


if __name__ == "__main__":
    home = Path(sys.argv[1])
    with dg.DagsterInstance.local_temp(str(home)) as instance, sign_of_life(home / "running") as process:
        dg.materialize([endless], instance=instance, tags={PROCESS: process})
