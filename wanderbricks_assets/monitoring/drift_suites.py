"""Whether what a model was given on a day, and what it said, is distributed as when it was trained."""

from collections.abc import Sequence

import dagster as dg

from wanderbricks_assets.models.drift import LARGE
from wanderbricks_assets.monitoring.evaluations import Check, Finding, Places, Suite
from wanderbricks_assets.partitions import DAILY
from wanderbricks_assets.predictions.assets import DRIFT, PREDICTED_BY
from wanderbricks_assets.resources.events import value_of

HAS_NOT_DRIFTED = "has_not_drifted"
_SHOWN = 5
_CHECK = Check(
    HAS_NOT_DRIFTED,
    f"The population stability index of every input, and of what is predicted, is below {LARGE:g} or what chance gives "
    "in samples of that size, against the day the version was trained. Not evaluated for versions without a reference.",
)


def drift_suite(table: str) -> Suite:
    return Suite(f"{table}_drift", table, (_CHECK,), DAILY, lambda places, keys: _of_days(table, places, keys))


def _of_days(table: str, places: Places, keys: Sequence[str]) -> list[Finding]:
    """The indices were taken when the day was predicted, from the very rows that it was predicted from."""
    found = []
    for key in keys:
        filter_ = dg.AssetRecordsFilter(asset_key=dg.AssetKey(table), asset_partitions=[key])
        records = places.instance.fetch_materializations(filter_, limit=1).records
        metadata = records[0].asset_materialization.metadata if records else {}
        moved = value_of(metadata, DRIFT) or {}
        indices = {f"{kind}: {name}": drift for kind, drifts in moved.items() for name, drift in drifts.items()}
        if indices:
            found.append(_judged(key, indices, value_of(metadata, "model_version")))
    return found


def _judged(key: str, indices: dict[str, list[float]], version: str) -> Finding:
    worst = sorted(indices.items(), key=lambda item: item[1][1] - item[1][0])
    drifted = [f"{name} {psi:.2f} (bound {bound:.2f})" for name, (psi, bound) in worst if psi > bound]
    return Finding(
        HAS_NOT_DRIFTED,
        key,
        not drifted,
        "; ".join(drifted[:_SHOWN]) or f"none of {len(indices)} distributions has moved by more than its bound",
        {
            "drifted": len(drifted),
            "distributions": len(indices),
            "model_version": version,
            **{name: psi for name, (psi, _) in worst[:_SHOWN]},
        },
    )


DRIFT_SUITES = [drift_suite(contract.name) for contract in PREDICTED_BY]
