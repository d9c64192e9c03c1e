"""The checks of every table, generated from its contract: lake tables by partition, source tables by the day."""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import dagster as dg

from wanderbricks_assets.contracts.contract import Contract
from wanderbricks_assets.contracts.source import SOURCE
from wanderbricks_assets.contracts.tables import LAKE
from wanderbricks_assets.lazy import np
from wanderbricks_assets.monitoring.data_checks import LOOK_BACK, broken_rules, counts, different_columns, usual
from wanderbricks_assets.monitoring.evaluations import Check, Finding, Places, Suite
from wanderbricks_assets.monitoring.quarantine_suites import LARGEST_SHARE
from wanderbricks_assets.partitions import DAILY, HOURLY, window_of
from wanderbricks_assets.resources.events import HAS_A_RESULT, value_of
from wanderbricks_assets.resources.source import SourceError

KEEPS_ITS_CONTRACT, ARRIVES_AS_USUAL = "keeps_its_contract", "arrives_as_usual"
_HOURLY_TABLES = ("engagement_features",)
_CONTRACT = "Keys are unique, references are whole, values are within their ranges, columns are as agreed."
_USUAL = (
    "As many rows as on the same weekday of the eight weeks before (the median, give or take half of it or four "
    "deviations), and no longer silence than there was in them. Not evaluated before four weeks have passed."
)


def lake_suite(contract: Contract) -> Suite:
    """A table of the lake. What breaks its contract blocks what is made of it; what is unusual warns."""
    partitions = _partitions_of(contract)
    checks = (Check(KEEPS_ITS_CONTRACT, _CONTRACT, blocking=True), Check(ARRIVES_AS_USUAL, _USUAL))
    return Suite(
        f"{contract.name}_data",
        contract.name,
        checks if partitions else checks[:1],
        partitions,
        partial(_of_lake, contract),
    )


def source_suite(contract: Contract) -> Suite:
    """A table of the outside world, the newest day of a range. Its rows are judged one by one, and the bad ones kept
    out, by the quarantine; so here all warns, and contracts may be broken by some."""
    checks = (
        Check(KEEPS_ITS_CONTRACT, f"{_CONTRACT} No rule is broken by more than {LARGEST_SHARE:.0%} of the rows."),
        Check(ARRIVES_AS_USUAL, _USUAL),
    )
    return Suite(
        f"{contract.name}_source_data",
        contract.name,
        checks if contract.time_column else checks[:1],
        DAILY if contract.time_column else None,
        partial(_of_source, contract),
        by_partition=False,  # source tables are cut by hours, which are not what is judged
    )


def _partitions_of(contract: Contract) -> dg.TimeWindowPartitionsDefinition | None:
    if contract.time_column is None:
        return None
    return HOURLY if contract.name in _HOURLY_TABLES else DAILY


def _of_lake(contract: Contract, places: Places, keys: Sequence[str | None]) -> list[Finding]:
    partitions, lake = _partitions_of(contract), places.lake
    window = window_of(partitions, dg.PartitionKeyRange(keys[0], keys[-1])) if partitions else None
    unit = _unit(partitions) if partitions else None
    known = {name: lake.read(name) for name in _referenced(contract) if LAKE[name].time_column is None}
    broken = broken_rules(contract, lake.read(contract.name, window), known, unit, window)
    stored = {name: _plain(type_) for name, type_ in lake.columns(contract.name).items()}
    wanted = {name: _plain(str(type_)) for name, type_ in contract.schema.items()}
    columns = different_columns(stored, wanted) if stored else []
    findings = [_contract_finding(key, *broken.get(key, (0, {})), columns if key == keys[-1] else []) for key in keys]
    if partitions:
        before = window.back(days=LOOK_BACK.days)
        findings += _usual_findings(counts(contract, lake.read(contract.name, before), unit, window), keys, unit)
    return findings


def _of_source(contract: Contract, places: Places, keys: Sequence[str | None]) -> list[Finding]:
    key, source = keys[-1], places.source
    window = window_of(DAILY, dg.PartitionKeyRange(key, key)) if contract.time_column else None
    try:
        found = source.columns(contract.name, window)
        rows = source.read(contract.name, window)
        known = {name: source.read(name) for name in _referenced(contract) if SOURCE[name].time_column is None}
        known = {name: rows for name, rows in known.items() if SOURCE[name].required or source.has(name)}
        ((count, broken),) = broken_rules(contract, rows, known).values() or [(0, {})]
    except SourceError as error:
        return [Finding(KEEPS_ITS_CONTRACT, key, False, str(error))]
    columns = different_columns(found, _last_columns(places.instance, contract) or found) if found else []
    broken = {rule: count_ for rule, count_ in broken.items() if count_ > LARGEST_SHARE * count}
    findings = [_contract_finding(key, count, broken, columns, {"columns": found} if found else {})]
    if window:
        before = window.back(days=LOOK_BACK.days)
        findings += _usual_findings(counts(contract, source.read(contract.name, before), "D", window), [key], "D")
    return findings


def _last_columns(instance: dg.DagsterInstance, contract: Contract) -> dict[str, str] | None:
    """The columns that the newest evaluation of this check saw: Dagster's own record of it is the memory."""
    history = instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(dg.AssetKey(contract.name), KEEPS_ITS_CONTRACT),
        limit=1,
        status=HAS_A_RESULT,
    )
    evaluation = history[0].evaluation if history else None
    return value_of(evaluation.metadata, "columns") if evaluation else None


def _contract_finding(
    key: str | None, rows: int, broken: Mapping[str, int], columns: Sequence[str], metadata: Mapping[str, Any] = {}
) -> Finding:
    faults = [*columns, *(f"{rule} in {count:,} rows" for rule, count in broken.items())]
    return Finding(
        KEEPS_ITS_CONTRACT,
        key,
        not faults,
        "; ".join(faults) or f"{rows:,} rows keep the contract",
        {"rows": rows, "broken_rules": len(faults), **broken, **metadata},
    )


def _usual_findings(counted, keys: Sequence[str], unit: str) -> list[Finding]:
    """Only of partitions whose volume or silence can be judged."""
    found = []
    for key, row in usual(counted, keys, unit).iterrows():
        if np.isnan(row["median"]) or np.isnan(row["silence"]):
            continue
        volume = row["least"] <= row["rows"] <= row["most"]
        fresh = not row["silence"] > row["longest"]
        said = f"{row['rows']:,.0f} rows; {row['least']:,.0f} to {row['most']:,.0f} are usual"
        if not fresh:
            said += f"; nothing has come for {row['silence']:.0f} partitions, {row['longest']:.0f} at most are usual"
        numbers = {name: float(value) for name, value in row.items() if value == value}
        found.append(Finding(ARRIVES_AS_USUAL, key, bool(volume and fresh), said, numbers))
    return found


def _plain(type_: str) -> str:
    """A type without the precision of its seconds."""
    return re.sub(r"timestamp\(\d\)", "timestamp", type_)


def _referenced(contract: Contract) -> set[str]:
    return {column.references.split(".")[0] for column in contract.columns if column.references}


def _unit(partitions: dg.TimeWindowPartitionsDefinition) -> str:
    return "h" if partitions is HOURLY else "D"


# A record is added to as things happen: no run makes it, and no day of it is usual.
LAKE_SUITES = [lake_suite(contract) for contract in LAKE.values() if not contract.append_only]
SOURCE_SUITES = [source_suite(contract) for contract in SOURCE.values()]
SOURCE_CHECK_KEYS = [
    dg.AssetCheckKey(dg.AssetKey(suite.asset), check.name) for suite in SOURCE_SUITES for check in suite.checks
]
