"""Tiny assets whose checks and steps fail on demand, on a real Dagster instance; `python -m ... HOME` does one round.

What fails is said by files in the home, so that a second process sees the same world.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import dagster as dg
from dagster._core.events import DagsterEvent
from dagster._core.instance import InstanceRef

from wanderbricks_assets.automation.alerts.sensor import tell
from wanderbricks_assets.settings import Settings

DAYS = dg.DailyPartitionsDefinition("2024-01-01", end_date="2024-03-01")
ONE_DAY = "2024-01-05"


def is_ill(context, name: str) -> bool:
    return (Path(context.instance.root_directory).parent / f"{name} is ill").exists()


@dg.asset(owners=["team:revenue"], partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
def prices(context: dg.AssetExecutionContext) -> None:
    if is_ill(context, "prices"):
        raise ValueError("no such file: prices.csv\nand more that nobody reads")


@dg.asset(owners=["team:marketing"])
def audience(context: dg.AssetExecutionContext) -> None:
    if is_ill(context, "audience"):
        raise ValueError("nobody is left")


@dg.asset(deps=[audience], owners=["team:marketing"])
def mailing(context: dg.AssetExecutionContext) -> None:
    if is_ill(context, "mailing"):
        raise dg.Failure("the new version was refused", metadata={"decision": "refused"})


def check(asset, name: str, severity: dg.AssetCheckSeverity, blocking: bool = False) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=asset, name=name, blocking=blocking)
    def of_asset(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        return dg.AssetCheckResult(
            passed=not is_ill(context, name),
            severity=severity,
            description="dearer than they were",
            metadata={"value": 1.25, "bound": 1.0},
        )

    return of_asset


CHECKS = [
    check(prices, "few_are_dear", dg.AssetCheckSeverity.WARN),
    check(prices, "none_is_missing", dg.AssetCheckSeverity.WARN),
    check(audience, "is_large", dg.AssetCheckSeverity.ERROR, blocking=True),
]
DEFS = dg.Definitions(assets=[prices, audience, mailing], asset_checks=CHECKS, executor=dg.in_process_executor)


def _instance(folder: Path, postgres: str | None = None) -> dg.DagsterInstance:
    """With the storage of a home on one machine, or with Postgres."""
    overrides: dict = {"telemetry": {"enabled": False}}
    if postgres:
        overrides["storage"] = {"postgres": {"postgres_url": postgres}}
    else:
        storage = {"module": "wanderbricks_assets.resources.event_log", "class": "BatchingSqliteEventLogStorage"}
        overrides["event_log_storage"] = {**storage, "config": {"base_dir": str(folder / "history" / "runs")}}
    return dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(folder), overrides=overrides))


@cache
def _empty_dagster() -> Path:
    """Making Dagster's tables takes a second; they are made once and copied."""
    folder = Path(tempfile.mkdtemp(dir=os.environ["WANDERBRICKS_HOME"]))  # which goes with the tests
    with _instance(folder) as instance:
        instance.get_runs()
        instance.event_log_storage.get_maximum_record_id()
    return folder


class World:
    """A home with its Dagster instance. `rounds` of alerts are done in this process."""

    def __init__(self, home: Path, urls: str = "", postgres: str | None = None):
        self.home, self.urls, self.postgres, self.logged = home, urls, postgres, []
        if not (home / "dagster").exists() and not postgres:
            shutil.copytree(_empty_dagster(), home / "dagster")
        (home / "dagster").mkdir(parents=True, exist_ok=True)
        self.instance = _instance(home / "dagster", postgres)

    @property
    def settings(self) -> Settings:
        return Settings(home=self.home, alert_urls=self.urls or None)

    def ill(self, name: str) -> None:
        (self.home / f"{name} is ill").touch()

    def well(self, name: str) -> None:
        (self.home / f"{name} is ill").unlink()

    def run(self, assets: Sequence[dg.AssetsDefinition], **how) -> dg.ExecuteInProcessResult:
        keys = {asset.key for asset in assets}
        checks = [check for check in CHECKS if next(iter(check.check_keys)).asset_key in keys]
        return dg.materialize([*assets, *checks], instance=self.instance, raise_on_error=False, resources={}, **how)

    def run_days(self, first: str, last: str) -> dg.ExecuteInProcessResult:
        tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
        return self.run([prices], tags=tags)

    def evaluated(self, passed: bool, day: str = ONE_DAY, reason: str = "", check: str = "few_are_dear") -> None:
        """A check's result for one day, evaluated without a run. Only `none_is_missing` is an error."""
        severity = dg.AssetCheckSeverity.ERROR if check == "none_is_missing" else dg.AssetCheckSeverity.WARN
        evaluation = dg.AssetCheckEvaluation(
            asset_key=prices.key,
            check_name=check,
            passed=passed,
            severity=severity,
            description=reason,
            partition=day,
        )
        # `report_runless_asset_event` can be told of a check and its partition once only: it names no run.
        event = DagsterEvent(dg.DagsterEventType.ASSET_CHECK_EVALUATION.value, "", event_specific_data=evaluation)
        self.instance.report_dagster_event(event, run_id=uuid.uuid4().hex)

    def round(self, is_daemon: bool = True) -> str:
        return tell(self.instance, DEFS.get_repository_def(), self.settings, self.logged.append, is_daemon)

    def round_that_is_killed(self, method: str) -> None:
        """One round in a process of its own, which kills itself when it comes to a method of the outbox."""
        place = [str(self.home), self.urls, self.postgres or "", method]
        assert subprocess.run([sys.executable, "-m", __name__, *place], check=False).returncode == -signal.SIGKILL

    @property
    def page(self) -> str:
        return self.settings.alerts_page.read_text()


def _die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    # HOME URLS POSTGRES [METHOD]: one round; the process is killed when it comes to that method of the outbox.
    from wanderbricks_assets.automation.alerts.outbox import Outbox

    if len(sys.argv) > 4:
        setattr(Outbox, sys.argv[4], _die)
    World(Path(sys.argv[1]), sys.argv[2], sys.argv[3]).round()
