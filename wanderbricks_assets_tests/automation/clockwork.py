"""A clock that tests set: the repository's schedules and sensors on a Dagster instance and folders of their own."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.test_utils import freeze_time

from wanderbricks_assets.automation.journal import SourceJournal
from wanderbricks_assets.automation.plans import Planner
from wanderbricks_assets.definitions import defs
from wanderbricks_assets.models.registry import ModelRegistry
from wanderbricks_assets.partitions import DAILY, HOURLY, ended
from wanderbricks_assets.resources.lake import Lake, LakeIOManager
from wanderbricks_assets.resources.source import FilesSource, SourceIOManager
from wanderbricks_assets_tests.marketplace import at


@dataclass
class Clockwork:
    folder: Path
    instance: dg.DagsterInstance
    cursors: dict[str, str | None] = field(default_factory=dict)

    def __post_init__(self):
        self.lake = Lake(folder=str(self.folder / "lake"))
        self.source = FilesSource(folder=str(self.folder / "source"))
        self.journal = SourceJournal(folder=str(self.folder / "observations"))
        self.registry = ModelRegistry(
            tracking_uri=f"sqlite:///{self.folder / 'mlflow.db'}", artifact_folder=str(self.folder / "artifacts")
        )
        parts = {name: getattr(defs, name) for name in ("assets", "asset_checks", "jobs", "schedules", "sensors")}
        inputs = {"io_manager": LakeIOManager(lake=self.lake), "source_io": SourceIOManager(source=self.source)}
        self.defs = dg.Definitions(**parts, resources=self.resources | inputs, executor=defs.executor)
        self.repository = self.defs.get_repository_def()

    @property
    def resources(self) -> dict[str, object]:
        return {"lake": self.lake, "source": self.source, "registry": self.registry, "journal": self.journal}

    def planner(self) -> Planner:
        return Planner(self.repository, self.instance, self.lake, self.source, self.registry)

    def tick(self, schedule: str, moment: str):
        """What a schedule asks for at a moment."""
        definition = self.repository.get_schedule_def(schedule)
        with (
            at_time(moment) as now,
            dg.build_schedule_context(
                instance=self.instance,
                scheduled_execution_time=now,
                repository_def=self.repository,
                resources=self.resources,
            ) as context,
        ):
            return definition.evaluate_tick(context)

    def look(self, sensor: str, moment: str, store: bool = True):
        """What a sensor asks for. A tick that is not stored is one during which the daemon was killed."""
        definition = self.repository.get_sensor_def(sensor)
        with (
            at_time(moment),
            dg.build_sensor_context(
                instance=self.instance,
                cursor=self.cursors.get(sensor),
                repository_def=self.repository,
                resources=self.resources,
            ) as context,
        ):
            found = definition.evaluate_tick(context)
        if store and found.cursor is not None:
            self.cursors[sensor] = found.cursor
        return found

    def materialized(self, assets: Iterable[str], first: str, last: str | None = None) -> None:
        """One run of assets that compute nothing, over a range of partitions."""
        partitions = HOURLY if ":" in first else DAILY
        stubs = [
            dg.asset(name=name, partitions_def=partitions, backfill_policy=dg.BackfillPolicy.single_run())(_nothing)
            for name in assets
        ]
        tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last or first}
        assert dg.materialize(stubs, instance=self.instance, tags=tags).success

    def days_until(self, moment: str) -> None:
        """All daily tables have been materialized up to a moment."""
        days = ended(DAILY, at(moment))
        self.materialized(self.planner().daily_assets(), days[0], days[-1])

    def hours_until(self, moment: str) -> None:
        hours = ended(HOURLY, at(moment))
        self.materialized(["engagement_features"], hours[0], hours[-1])

    def begun(self, request: dg.RunRequest, status=dg.DagsterRunStatus.STARTED) -> dg.DagsterRun:
        """A run as the daemon would create it from a request, in some state, not executed."""
        tags = dict(request.tags) | ({"dagster/partition": request.partition_key} if request.partition_key else {})
        return self.instance.create_run_for_job(
            self.repository.get_job(request.job_name),
            tags=tags,
            asset_selection=frozenset(request.asset_selection),
            status=status,
        )

    def execute(self, requests: Iterable[dg.RunRequest]) -> None:
        """The runs that were asked for, as the daemon would launch them, without the checks: the random marketplace is
        flawed."""
        for request in requests:
            job = self.repository.get_job(request.job_name)
            job = job.get_subset(asset_selection=set(request.asset_selection), asset_check_selection=set())
            partition, tags = request.partition_key, dict(request.tags)
            assert job.execute_in_process(instance=self.instance, partition_key=partition, tags=tags).success


def _nothing() -> dg.MaterializeResult:
    return dg.MaterializeResult()


@contextmanager
def clockwork(folder: Path) -> Iterator[Clockwork]:
    """With the event log of a home, which stores the events of a range in one go."""
    storage = {
        "module": "wanderbricks_assets.resources.event_log",
        "class": "BatchingSqliteEventLogStorage",
        "config": {"base_dir": str(folder / "dagster" / "history")},
    }
    (folder / "dagster").mkdir(parents=True, exist_ok=True)
    with (
        pytest.MonkeyPatch.context() as environment,
        dg.DagsterInstance.local_temp(str(folder / "dagster"), {"event_log_storage": storage}) as instance,
    ):
        environment.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
        yield Clockwork(folder, instance)


@contextmanager
def at_time(moment: str) -> Iterator[datetime]:
    now = at(moment).replace(tzinfo=UTC)
    with freeze_time(now):
        yield now


def asked(found) -> list[tuple[str, frozenset[str], str, str]]:
    """Requests as (job, assets, first partition, last partition)."""
    return [
        (
            request.job_name,
            frozenset(key.to_user_string() for key in request.asset_selection),
            request.tags.get("dagster/asset_partition_range_start", request.partition_key),
            request.tags.get("dagster/asset_partition_range_end", request.partition_key),
        )
        for request in found.run_requests or []
    ]
