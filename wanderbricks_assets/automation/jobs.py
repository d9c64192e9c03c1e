"""What is materialized together: one job per rhythm, in the order in which data flows."""

import dagster as dg

from wanderbricks_assets.monitoring.table_suites import SOURCE_CHECK_KEYS
from wanderbricks_assets.partitions import DAILY, HOURLY, WEEKLY

_DAILY_FEATURES = dg.AssetSelection.assets("property_features", "user_features")
_HOURLY_FEATURES = dg.AssetSelection.assets("engagement_features")

GOLD_AND_FEATURES = dg.define_asset_job(
    "gold_and_features",
    selection=dg.AssetSelection.groups("gold") | _DAILY_FEATURES,
    partitions_def=DAILY,
    description="The day's facts and features, and the dimensions as they stand.",
)
ENGAGEMENT = dg.define_asset_job(
    "engagement", selection=_HOURLY_FEATURES, partitions_def=HOURLY, description="The hour's engagement features."
)
TRAINING = dg.define_asset_job(
    "training",
    selection=dg.AssetSelection.groups("models", "promotion"),
    partitions_def=WEEKLY,
    description="Trains the five models on what was known at the week's end, checks them and promotes those that pass.",
)
PREDICTIONS = dg.define_asset_job(
    "predictions",
    selection=dg.AssetSelection.groups("predictions"),
    partitions_def=DAILY,
    description="The day's forecasts, scores, prices and customer values, by the versions that serve.",
)
ACTIVATION = dg.define_asset_job(
    "activation",
    selection=dg.AssetSelection.groups("activation"),
    partitions_def=DAILY,
    description="What people and services act on: the day's audience, segments and their files.",
)
MONITORING = dg.define_asset_job(
    "monitoring",
    selection=dg.AssetSelection.groups("monitoring") | dg.AssetSelection.checks(*SOURCE_CHECK_KEYS),
    partitions_def=DAILY,
    description="What became of past predictions by the end of the day, and the checks of the day's source tables.",
)
NEED_THE_REGISTRY = [TRAINING, PREDICTIONS, ACTIVATION, MONITORING]
JOBS = [GOLD_AND_FEATURES, ENGAGEMENT, *NEED_THE_REGISTRY]
