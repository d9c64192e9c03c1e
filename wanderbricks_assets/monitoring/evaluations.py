"""Checks that are evaluated one way, in jobs and by `wanderbricks recheck`: a suite looks at some partitions of an
asset and finds, for each check and partition, whether it holds. What cannot be judged is not found: neither a pass nor
an alarm.

Dagster stores the result of a check once per run, and of a range of partitions without any partition. So a range also
stores what was found in each of its partitions, and tells, by events of their own, of those that matter today: the
newest, and failures that block (see docs/decisions.md).
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from wanderbricks_assets.models.registry import ModelRegistry
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.resources.source import FilesSource

DAY = "day"
"""Metadata of a result that is stored without a partition: the day that was judged."""
NEWEST = 7  # partitions of a range that are told of one by one: a week
_SHOWN = 10  # failed partitions that the result of a range names

# Checks with partitions are called a preview; the UI shows results by partition only for these.
warnings.filterwarnings("ignore", category=dg.PreviewWarning)


@dataclass(frozen=True)
class Check:
    """One check of a suite. A blocking one fails with ERROR, any other with WARN."""

    name: str
    description: str
    blocking: bool = False

    @property
    def severity(self) -> dg.AssetCheckSeverity:
        return dg.AssetCheckSeverity.ERROR if self.blocking else dg.AssetCheckSeverity.WARN


@dataclass(frozen=True)
class Finding:
    """What a check found in a partition (None: the asset has none). Numbers in the metadata are plotted by the UI."""

    check: str
    partition: str | None
    passed: bool
    description: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Places:
    """Where a suite may look."""

    lake: Lake
    source: FilesSource
    registry: ModelRegistry
    instance: dg.DagsterInstance


@dataclass(frozen=True)
class Suite:
    """Checks of one asset that are evaluated together.

    evaluate: given the places and some of the `partitions`, oldest first and without a gap ([None] where there are
    none), what each check found. by_partition: whether the results are stored by partition, which must be the asset's;
    if not, there is one result, of how things stand, which says in its metadata of which day it is.
    """

    name: str
    asset: str
    checks: tuple[Check, ...]
    partitions: dg.TimeWindowPartitionsDefinition | None
    evaluate: Callable[[Places, Sequence[str | None]], list[Finding]]
    by_partition: bool = True

    def check(self, name: str) -> Check:
        return next(check for check in self.checks if check.name == name)


def asset_checks(suite: Suite) -> dg.AssetChecksDefinition:
    """The suite as a step of Dagster's."""

    @dg.multi_asset_check(
        name=suite.name,
        specs=[
            dg.AssetCheckSpec(
                check.name,
                asset=suite.asset,
                description=check.description,
                blocking=check.blocking,
                partitions_def=suite.partitions if suite.by_partition else None,
            )
            for check in suite.checks
        ],
        can_subset=True,  # what cannot be judged gives no result
    )
    def evaluate(
        context: dg.AssetCheckExecutionContext, lake: Lake, source: FilesSource, registry: ModelRegistry
    ) -> Iterator[dg.AssetCheckResult | dg.AssetCheckEvaluation]:
        from wanderbricks_assets.resources.event_log import forget_planned, settle_checks

        keys = _partitions_of(context, suite)
        wanted = {key.name for key in context.selected_asset_check_keys}
        places = Places(lake, source, registry, context.instance)
        findings = [finding for finding in suite.evaluate(places, keys) if finding.check in wanted]
        telling = _telling(suite, findings, keys)
        if len(keys) > 1 and suite.by_partition:
            yield from (evaluation(suite, finding) for finding in telling)
            settle_checks(context.instance, context.run.run_id, [evaluation(suite, finding) for finding in findings])
        yield from (_result(suite, check, findings, telling) for check in suite.checks if _of(check, findings))
        forget_planned(context.instance, [context.run.run_id], dg.AssetKey(suite.asset), sorted(wanted))

    return evaluate


def evaluation(suite: Suite, finding: Finding) -> dg.AssetCheckEvaluation:
    """The finding as Dagster stores it: under its partition."""
    check = suite.check(finding.check)
    return dg.AssetCheckEvaluation(
        check_name=check.name,
        asset_key=dg.AssetKey(suite.asset),
        passed=finding.passed,
        severity=check.severity,
        blocking=check.blocking,
        description=finding.description,
        metadata=_metadata(suite, finding),
        partition=finding.partition if suite.by_partition else None,
    )


def _partitions_of(context: dg.AssetCheckExecutionContext, suite: Suite) -> list[str | None]:
    """The partitions of the run; of a check that was asked for without any, the newest that was materialized."""
    if suite.partitions is None:
        return [None]
    if context.has_partition_key or context.has_partition_key_range:
        return list(suite.partitions.get_partition_keys_in_range(context.partition_key_range))
    return sorted(context.instance.get_materialized_partitions(dg.AssetKey(suite.asset)))[-1:]


def _telling(suite: Suite, findings: list[Finding], keys: list[str | None]) -> list[Finding]:
    """Those of the newest partitions, and failures that block: that a day of last year smelt helps nobody today."""
    newest = set(keys[-NEWEST:])
    return [
        finding
        for finding in findings
        if finding.partition in newest or (suite.check(finding.check).blocking and not finding.passed)
    ]


def _metadata(suite: Suite, finding: Finding) -> Mapping[str, Any]:
    of_day = suite.partitions is not None and not suite.by_partition
    return {**finding.metadata, DAY: finding.partition} if of_day else finding.metadata


def _of(check: Check, findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.check == check.name]


def _result(suite: Suite, check: Check, findings: list[Finding], telling: list[Finding]) -> dg.AssetCheckResult:
    """One result of a run: that of its partition, or of all of them together. Of a check that blocks all that are
    telling must pass; of any other, which says how things stand, the newest: what was over in the same run is no news.
    """
    found = _of(check, findings)
    failed = [finding for finding in found if not finding.passed]
    if len(found) == 1:
        description, metadata = found[0].description, _metadata(suite, found[0])
    else:
        description = f"{len(failed)} of {len(found)} partitions failed"
        if failed:
            newest = failed[-1]
            description += f"; the newest, {newest.partition}: {newest.description}"
        metadata = {
            "partitions_judged": len(found),
            "partitions_failed": len(failed),
            "failed": ", ".join(str(finding.partition) for finding in failed[-_SHOWN:]) or "none",
        }
    deciding = _of(check, telling)
    return dg.AssetCheckResult(
        passed=all(finding.passed for finding in (deciding if check.blocking else deciding[-1:])),
        asset_key=suite.asset,
        check_name=check.name,
        severity=check.severity,
        description=description,
        metadata=metadata,
    )
