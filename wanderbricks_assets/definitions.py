"""Marketplace tables flow through gold and feature tables into five models; what passes its gates predicts."""

from functools import cache

import dagster as dg

from wanderbricks_assets.activation.assets import ACTIVATION_ASSETS, PRICE_DECISIONS
from wanderbricks_assets.activation.serving_endpoint import serving_on_databricks
from wanderbricks_assets.automation.alerts.sensor import ALERT_SENSORS
from wanderbricks_assets.automation.jobs import JOBS
from wanderbricks_assets.automation.journal import SourceJournal
from wanderbricks_assets.automation.schedules import SCHEDULES
from wanderbricks_assets.automation.sensors import SENSORS
from wanderbricks_assets.automation.tidying import TIDY_SCHEDULE, tidy
from wanderbricks_assets.features import assets as features
from wanderbricks_assets.gold import assets as gold
from wanderbricks_assets.models.all import MODELS
from wanderbricks_assets.models.lifecycle import lifecycle
from wanderbricks_assets.models.registry import ModelRegistry
from wanderbricks_assets.monitoring.assets import realized_accuracy
from wanderbricks_assets.monitoring.evaluations import asset_checks
from wanderbricks_assets.monitoring.recheck import SUITES
from wanderbricks_assets.predictions.assets import PREDICTION_ASSETS
from wanderbricks_assets.resources.catalog_source import source_of
from wanderbricks_assets.resources.databricks import on_databricks
from wanderbricks_assets.resources.lake import LakeIOManager
from wanderbricks_assets.resources.source import SourceIOManager
from wanderbricks_assets.resources.tables import lake_of
from wanderbricks_assets.settings import settings
from wanderbricks_assets.source.assets import SOURCE_ASSETS

_LIFECYCLES = [definition for model in MODELS.values() for definition in lifecycle(model)]
_LAKE = lake_of(settings())
_SOURCE = source_of(settings())


@cache
def everything() -> dg.Definitions:
    """All that there is, to be executed in this process: with the profile databricks, in the task over there."""
    return dg.Definitions(
        assets=[
            *SOURCE_ASSETS,
            *dg.load_assets_from_modules([gold, features]),
            *(definition for definition in _LIFECYCLES if not isinstance(definition, dg.AssetChecksDefinition)),
            *PREDICTION_ASSETS,
            realized_accuracy,
            *ACTIVATION_ASSETS,
            PRICE_DECISIONS,
        ],
        asset_checks=[
            *map(asset_checks, SUITES),
            *(definition for definition in _LIFECYCLES if isinstance(definition, dg.AssetChecksDefinition)),
        ],
        jobs=[*JOBS, tidy],
        schedules=[*SCHEDULES, TIDY_SCHEDULE],
        sensors=[*SENSORS, *ALERT_SENSORS],
        resources={
            "lake": _LAKE,
            "source": _SOURCE,
            "journal": SourceJournal(folder=str(settings().home / "observations")),
            "io_manager": LakeIOManager(lake=_LAKE),
            "source_io": SourceIOManager(source=_SOURCE),
            "registry": ModelRegistry.of(settings()),
        },
        # A step in a process of its own takes seconds to begin; eight trivial ones took 36-73 s, 9 s in one process.
        executor=dg.in_process_executor,
    )


if settings().profile == "databricks":
    defs = dg.Definitions.merge(on_databricks(everything()), serving_on_databricks())
else:
    defs = everything()
