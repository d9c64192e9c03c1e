"""Which of the things people act on must be made again."""

from collections.abc import Collection

import dagster as dg

from wanderbricks_assets.activation.assets import ACTIVATION_ASSETS
from wanderbricks_assets.predictions.assets import TARGET_OF

_WITHOUT_DAYS = {asset.key for asset in ACTIVATION_ASSETS if asset.partitions_def is None}


def outdated_activation(instance: dg.DagsterInstance, predicted: Collection[str], day: str) -> tuple[str, ...]:
    """The activation assets that lack the day, or were made from older predictions of it than there are or will be.

    predicted: the predictions that the same run makes.
    """
    again = set(predicted)
    chosen = []
    for asset in ACTIVATION_ASSETS:
        name = asset.key.to_user_string()
        ours = {key.to_user_string() for key in asset.dependency_keys}
        ours &= {*TARGET_OF, *(other.key.to_user_string() for other in ACTIVATION_ASSETS)}
        made = _made(instance, name, day)
        if made is None or ours & again or any((_made(instance, key, day) or 0) > made for key in ours):
            again.add(name)
            chosen.append(name)
    return tuple(chosen)


def _made(instance: dg.DagsterInstance, name: str, day: str) -> int | None:
    """The number of the newest materialization of the day, of an asset without days the newest; later ones are
    greater."""
    key, made = dg.AssetKey(name), dg.DagsterEventType.ASSET_MATERIALIZATION
    if key in _WITHOUT_DAYS:
        records = instance.get_asset_records([key])
        return records[0].asset_entry.last_materialization_storage_id if records else None
    return instance.get_latest_storage_id_by_partition(key, made, {day}).get(day)
