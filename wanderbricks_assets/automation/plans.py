"""What is missing at a moment, rhythm by rhythm: said here alone, for catching up at once as for the clock."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Self

import dagster as dg
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

from wanderbricks_assets.automation.jobs import (
    ACTIVATION,
    ENGAGEMENT,
    GOLD_AND_FEATURES,
    MONITORING,
    PREDICTIONS,
    TRAINING,
)
from wanderbricks_assets.automation.outdated import outdated_activation
from wanderbricks_assets.models.all import MODELS
from wanderbricks_assets.models.lifecycle import champion_key, judge
from wanderbricks_assets.models.model import Model
from wanderbricks_assets.models.registry import ModelRegistry
from wanderbricks_assets.monitoring.assets import unmeasured_days
from wanderbricks_assets.monitoring.table_suites import SOURCE_CHECK_KEYS
from wanderbricks_assets.partitions import ended, window_of
from wanderbricks_assets.predictions.assets import TARGET_OF
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.resources.source import FilesSource
from wanderbricks_assets.window import Window

# Days that a model did not predict because nothing ran are made up for a week back; older ones are a backfill.
PREDICTED_BACK = 7
_DETAIL = "fact_booking_detail"


@dataclass(frozen=True)
class Planned:
    """One run: a job, the assets of it to materialize, and the range of partitions (None: the assets have none).

    `settle` looks again when it is the run's turn, as the runs before it may have changed what is to be done.
    """

    job: str
    assets: tuple[str, ...]
    first: str | None
    last: str | None
    settle: Callable[["Planned"], "Planned"] = lambda planned: planned


@dataclass(frozen=True)
class Planner:
    """Reads what there is and says what is missing. Each rhythm's plans are to be executed in their order."""

    repository: dg.RepositoryDefinition
    instance: dg.DagsterInstance
    lake: Lake
    source: FilesSource
    registry: ModelRegistry

    @classmethod
    def of(cls, defs: dg.Definitions, instance: dg.DagsterInstance) -> Self:
        place = {name: defs.resources[name] for name in ("lake", "source", "registry")}
        return cls(defs.get_repository_def(), instance, **place)

    def tables(self, moment: datetime) -> list[Planned]:
        """What is missing of facts and features, in the order in which data flows."""
        return [*self.gold_and_features(moment), *self.engagement(moment)]

    def models(self, moment: datetime) -> list[Planned]:
        """What is missing of all that needs the registry, likewise."""
        training = self.training(moment)
        predictions = self.predictions(moment, may_promote=bool(training))
        activation = self.activation(moment, after=predictions)
        return [*training, *predictions, *activation, *self.monitoring(moment)]

    def gold_and_features(self, moment: datetime) -> list[Planned]:
        """The dimensions and daily tables, then the details of bookings, of which days long past may have changed."""
        daily, without_days = self.daily_assets(), self.assets_without_days()
        first_of_all = GOLD_AND_FEATURES.partitions_def.get_first_partition_key()
        others = [key for key in daily if key != _DETAIL]
        missing = self._missing(others, GOLD_AND_FEATURES.partitions_def, moment)
        plans = []
        if missing:
            at_once = daily if missing[0] == first_of_all else others
            plans.append(Planned(GOLD_AND_FEATURES.name, (*without_days, *at_once), *missing))
            if at_once is daily:
                return plans
        details = self._missing([_DETAIL], GOLD_AND_FEATURES.partitions_def, moment)
        if days := min(filter(None, (missing, details)), default=None):
            plans.append(Planned(GOLD_AND_FEATURES.name, (_DETAIL,), *days, self._with_bookings_touched))
        return plans

    def engagement(self, moment: datetime) -> list[Planned]:
        """The hours."""
        assets = self.assets_of(ENGAGEMENT.name)
        missing = self._missing(assets, ENGAGEMENT.partitions_def, moment)
        return [Planned(ENGAGEMENT.name, tuple(assets), *missing)] if missing else []

    def training(self, moment: datetime) -> list[Planned]:
        """The newest model is enough to serve from; earlier weeks are there for whoever wants to backfill them, also
        when the moment is the last tick and a later week has been trained since."""
        weeks = ended(TRAINING.partitions_def, moment)
        if not weeks:
            return []
        untrained = [model for model in MODELS if weeks[-1] > max(self.materialized(model), default="")]
        champions = [
            champion_key(model)
            for name, model in MODELS.items()
            if name in untrained or _awaits_promotion(model, self.registry, self.instance)
        ]
        return [Planned(TRAINING.name, (*untrained, *champions), weeks[-1], weeks[-1])] if champions else []

    def predictions(self, moment: datetime, may_promote: bool = False) -> list[Planned]:
        """The newest day and the days missed before it, of the models that a version serves for, or may once training
        has run.

        A model that never predicted is caught up from the newest day on; the days before it are there for whoever
        wants to backfill them.
        """
        days = ended(PREDICTIONS.partitions_def, moment)[-PREDICTED_BACK:]
        have = {asset: self.materialized(asset) for asset in TARGET_OF}
        since = {asset: max(made, default=days[-1] if days else "") for asset, made in have.items()}
        plans = []
        for day in days:
            lacking = tuple(asset for asset in TARGET_OF if day >= since[asset] and day not in have[asset])
            planned = Planned(PREDICTIONS.name, lacking, day, day, self._with_champion)
            planned = planned if may_promote else self._with_champion(planned)
            plans += [planned] if planned.assets else []
        return plans

    def activation(self, moment: datetime, after: Sequence[Planned] = ()) -> list[Planned]:
        """What people act on, of the newest day: what lacks it, or was made from older predictions than there are or,
        `after` some that are planned, will be."""
        days = ended(ACTIVATION.partitions_def, moment)
        newest = max((day for asset in self.assets_of(ACTIVATION.name) for day in self.materialized(asset)), default="")
        if not days or days[-1] < newest:
            return []
        predicted = {asset for planned in after if planned.last == days[-1] for asset in planned.assets}
        assets = outdated_activation(self.instance, predicted, days[-1])
        return [Planned(ACTIVATION.name, assets, days[-1], days[-1], self._still_outdated)] if assets else []

    def monitoring(self, moment: datetime) -> list[Planned]:
        """The days whose predictions were not yet held against what happened."""
        days = unmeasured_days(self.instance, moment)
        return [Planned(MONITORING.name, ("realized_accuracy",), *days)] if days else []

    def assets_of(self, job: str) -> list[str]:
        keys = self.repository.get_job(job).asset_layer.executable_asset_keys
        return sorted(key.to_user_string() for key in keys)

    def daily_assets(self) -> list[str]:
        return [key for key in self.assets_of(GOLD_AND_FEATURES.name) if self.has_partitions(key)]

    def assets_without_days(self) -> list[str]:
        return [key for key in self.assets_of(GOLD_AND_FEATURES.name) if not self.has_partitions(key)]

    def materialized(self, asset: str) -> set[str]:
        return self.instance.get_materialized_partitions(dg.AssetKey(asset))

    def has_partitions(self, asset: str) -> bool:
        return self.repository.asset_graph.get(dg.AssetKey(asset)).is_partitioned

    def _missing(
        self, assets: Sequence[str], partitions: dg.PartitionsDefinition, moment: datetime
    ) -> tuple[str, str] | None:
        """The range from the first partition that any of the assets lacks to the last one that has ended."""
        wanted = ended(partitions, moment)
        have = set.intersection(*(self.materialized(asset) for asset in assets))
        first = next((key for key in wanted if key not in have), None)
        return (first, wanted[-1]) if first else None

    def _with_champion(self, planned: Planned) -> Planned:
        """The predictions for which some version may have been known at the end of the day."""
        day = dg.PartitionKeyRange(planned.first, planned.last)
        end = window_of(PREDICTIONS.partitions_def, day).end
        assets = tuple(key for key in planned.assets if self.registry.serving_version(TARGET_OF[key], end))
        return replace(planned, assets=assets)

    def _still_outdated(self, planned: Planned) -> Planned:
        return replace(planned, assets=outdated_activation(self.instance, (), planned.last))

    def _with_bookings_touched(self, planned: Planned) -> Planned:
        days = Window.of_days(date.fromisoformat(planned.first), date.fromisoformat(planned.last))
        oldest = oldest_booking_touched(self.lake, self.source, days)
        begin = GOLD_AND_FEATURES.partitions_def.get_first_partition_key()
        return replace(planned, first=max(begin, min(planned.first, oldest.isoformat()))) if oldest else planned


def range_tags(planned: Planned) -> dict[str, str]:
    """What makes one run of a range; a single partition is given to the run as its key."""
    if planned.first == planned.last:
        return {}
    return {ASSET_PARTITION_RANGE_START_TAG: planned.first, ASSET_PARTITION_RANGE_END_TAG: planned.last}


def checks_of(planned: Planned, graph: BaseAssetGraph) -> set[dg.AssetCheckKey]:
    """The checks of a run's assets; with the monitoring of a day also those of source tables, which no run makes."""
    assets = {dg.AssetKey(asset) for asset in planned.assets}
    checks = {key for key in graph.asset_check_keys if key.asset_key in assets}
    return checks | set(SOURCE_CHECK_KEYS) if planned.job == MONITORING.name else checks


def oldest_booking_touched(lake: Lake, source: FilesSource, days: Window) -> date | None:
    """The day on which the oldest booking was made that changed, or was paid or refunded, in these days."""
    history = lake.read("fact_booking_history")
    changed = history.filter(days.contains(history.known_at)).select("created_at")
    paid = history.semi_join(source.read("payments", days), "booking_id").select("created_at")
    oldest = changed.union(paid).created_at.min().to_pyarrow().as_py()
    return oldest.date() if oldest else None


def _awaits_promotion(model: type[Model], registry: ModelRegistry, instance: dg.DagsterInstance) -> bool:
    """Whether the newest version passed all gates and its promotion did not come to its end: a run was stopped."""
    target = model.target()
    candidate = registry.candidate(target)
    if candidate is None or candidate.version is None:
        return False
    told = instance.get_latest_materialization_event(dg.AssetKey(champion_key(model)))
    if told and candidate.decision == told.asset_materialization.metadata["decision"].value:
        return False
    return all(verdict.passed for verdict in judge(target, candidate, registry))
