"""The checks of past partitions, evaluated again. No table is written: only what the checks find, by partition."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from uuid import uuid4

import dagster as dg
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

from wanderbricks_assets.monitoring.assets import REALIZED
from wanderbricks_assets.monitoring.drift_suites import DRIFT_SUITES
from wanderbricks_assets.monitoring.evaluations import DAY, Finding, Places, Suite, evaluation
from wanderbricks_assets.monitoring.quarantine_suites import QUARANTINE_SUITES
from wanderbricks_assets.monitoring.table_suites import LAKE_SUITES, SOURCE_SUITES
from wanderbricks_assets.partitions import ended
from wanderbricks_assets.resources.events import HAS_A_RESULT, check_event, value_of
from wanderbricks_assets.window import midnight

SUITES: tuple[Suite, ...] = (*LAKE_SUITES, *QUARANTINE_SUITES, *SOURCE_SUITES, *DRIFT_SUITES, REALIZED)
_JOB = "recheck"


@dataclass(frozen=True)
class Rechecked:
    """One check of one partition, or why a suite could not be evaluated there."""

    asset: str
    partition: str | None
    check: str
    passed: bool
    said: str
    could_run: bool = True

    @property
    def mark(self) -> str:
        return "ok" if self.passed else "FAILED" if self.could_run else "not run"

    @property
    def colour(self) -> str | None:
        return None if self.passed else "red"


@contextmanager
def recheck_run(instance: dg.DagsterInstance, first: date, last: date, tags: Mapping[str, str]) -> Iterator[str]:
    """A run of Dagster's, of the days `first` to `last`, that the results belong to; its id.

    They need one: of results outside of any run Dagster keeps a single one per check and partition, for ever.
    """
    days = {ASSET_PARTITION_RANGE_START_TAG: first.isoformat(), ASSET_PARTITION_RANGE_END_TAG: last.isoformat()}
    status = dg.DagsterRunStatus.STARTED
    run = instance.add_run(dg.DagsterRun(_JOB, run_id=str(uuid4()), status=status, tags={**tags, **days}))
    try:
        yield run.run_id
    except BaseException:
        instance.report_run_failed(run, "The recheck ended before all was checked.")
        raise
    instance.report_dagster_event(dg.DagsterEvent(dg.DagsterEventType.PIPELINE_SUCCESS.value, _JOB), run.run_id)


def recheck(
    places: Places,
    first: date,
    last: date,
    run_id: str,
    asset: str | None = None,
    suites: tuple[Suite, ...] = SUITES,
) -> Iterator[Rechecked]:
    """Evaluate and store the checks of the days `first` to `last` (hours of hourly tables; tables without days once, as
    they stand). Of a lake table only partitions that were materialized. A check of a source table has one result, that
    of the newest day that was judged: earlier days are only returned.

    Raises ValueError for an asset that has no such checks.
    """
    if last < first:
        raise ValueError(f"--to {last} is before --from {first}")
    from wanderbricks_assets.resources.event_log import settle_checks

    chosen = [suite for suite in suites if asset in (None, suite.asset)]
    if not chosen:
        raise ValueError(
            f"{asset} has no data checks; there are: {', '.join(sorted({suite.asset for suite in suites}))}"
        )
    for suite in chosen:
        runs = _runs_of(places.instance, suite, first, last)
        for keys in runs:
            try:
                findings = suite.evaluate(places, keys)
            except Exception as error:  # noqa: BLE001 (the next table is looked at all the same; the exit code is 1)
                yield Rechecked(suite.asset, keys[-1], suite.name, False, f"{type(error).__name__}: {error}", False)
                continue
            for finding in findings:
                if suite.by_partition or (keys == runs[-1] and not _is_older(places.instance, suite, finding)):
                    places.instance.report_dagster_event(check_event(evaluation(suite, finding), _JOB), run_id)
                yield _row(suite, finding)
            if suite.by_partition:
                settle_checks(places.instance, run_id, [evaluation(suite, finding) for finding in findings])


def _runs_of(instance: dg.DagsterInstance, suite: Suite, first: date, last: date) -> list[list[str | None]]:
    """The partitions to judge, in runs without a gap."""
    if suite.partitions is None:
        return [[None]]
    end = midnight(last) + timedelta(days=1)
    keys = [key for key in ended(suite.partitions, end) if key >= first.isoformat()]
    if not suite.by_partition:
        return [[key] for key in keys]
    have = instance.get_materialized_partitions(dg.AssetKey(suite.asset))
    runs: list[list[str | None]] = []
    for before, key in zip([None, *keys], keys, strict=False):
        if key in have:
            runs = [*runs[:-1], [*runs[-1], key]] if runs and runs[-1][-1] == before else [*runs, [key]]
    return runs


def _is_older(instance: dg.DagsterInstance, suite: Suite, finding: Finding) -> bool:
    """Than the day of the result that is stored."""
    key = dg.AssetCheckKey(dg.AssetKey(suite.asset), finding.check)
    stored = instance.event_log_storage.get_asset_check_execution_history(key, limit=1, status=HAS_A_RESULT)
    day = value_of(stored[0].evaluation.metadata, DAY) if stored else None
    return day is not None and finding.partition is not None and finding.partition < day


def _row(suite: Suite, finding: Finding) -> Rechecked:
    return Rechecked(suite.asset, finding.partition, finding.check, finding.passed, finding.description)
