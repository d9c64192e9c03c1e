"""Dagster's events as this repository reads and makes them."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
from dagster._core import errors
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._utils.error import SerializableErrorInfo

HAS_A_RESULT = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}


def check_event(found: dg.AssetCheckEvaluation, job_name: str = "") -> dg.DagsterEvent:
    """The event that tells what a check found."""
    return dg.DagsterEvent(
        dg.DagsterEventType.ASSET_CHECK_EVALUATION.value,
        job_name,
        event_specific_data=found,
        message=f"{found.check_name} of {found.asset_key.to_user_string()}: {found.description}",
    )


def value_of(metadata: Mapping[str, dg.MetadataValue], name: str) -> Any:
    """A value of an event's metadata; None where it has none of that name."""
    return metadata[name].value if name in metadata else None


def first_cause(error: SerializableErrorInfo) -> SerializableErrorInfo:
    """The error that Dagster's errors around it were raised from. What that was raised from it says itself, in a
    sentence for people."""
    while error.cause is not None and hasattr(errors, error.cls_name or ""):
        error = error.cause
    return error


def reason(error: SerializableErrorInfo) -> str:
    """What an error says, without its class."""
    return error.message.partition(f"{error.cls_name}: ")[2].strip() or error.message.strip()
