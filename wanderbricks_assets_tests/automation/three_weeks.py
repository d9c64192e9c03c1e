"""Three weeks of a home, through Dagster's own daemons, under a clock that jumps from one tick to the next.

`python -m ... FOLDER`: prints JSON: what was materialized, told and promoted, and what a home that was caught up once
over the same source holds. The clock is that of this process (time.time and Dagster's): nothing else runs here.
"""

import gc
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from wanderbricks_assets_tests.automation.killed_runs import _in_child, _rows


class Clock:
    """Stands where it was last set to, and goes on by the time that asking takes: however slow the machine is, the
    story is the same."""

    _ASKING = 1e-4  # seconds, so that what happens later has a later time

    def __init__(self) -> None:
        self._now = time.time()

    def install(self) -> None:
        """Before anything that asks for the time is imported."""
        time.time = self._ask
        time.time_ns = lambda: int(self._ask() * 1e9)
        import dagster._time

        dagster._time._mockable_get_current_timestamp = self._ask
        dagster._time._mockable_get_current_datetime = lambda: datetime.fromtimestamp(self._ask(), UTC)

    def _ask(self) -> float:
        self._now += self._ASKING
        return self._now

    def to(self, moment: datetime) -> None:
        self._now = moment.replace(tzinfo=UTC).timestamp()

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._now, UTC).replace(tzinfo=None)


class Daemon:
    """Dagster's scheduler, sensors and run coordinator, one iteration at a time; runs are executed where they are
    launched."""

    def __init__(self, instance, workspace):
        from dagster._daemon.controller import create_daemons_from_instance

        wanted = ("SCHEDULER", "SENSOR", "QUEUED_RUN_COORDINATOR", "EVENT_LOG_CONSUMER")
        daemons = {daemon.daemon_type(): daemon for daemon in create_daemons_from_instance(instance)}
        self._daemons, self._workspace, self.instance = [daemons[name] for name in wanted], workspace, instance
        self._loops, self.errors = {}, []

    def iterate(self, *names: str) -> None:
        """One iteration of some daemons, or all."""
        from dagster._daemon.daemon import IntervalDaemon, SpanMarker

        for daemon in self._daemons:
            if names and daemon.daemon_type() not in names:
                continue
            if isinstance(daemon, IntervalDaemon):
                steps = daemon.run_iteration(self._workspace)
            else:
                steps = self._loops.setdefault(daemon.daemon_type(), daemon.core_loop(self._workspace, _NoWaiting()))
            for step in steps:
                if step is SpanMarker.END_SPAN:
                    break
                if step is not None and step is not SpanMarker.START_SPAN:
                    self.errors.append(str(step))

    def launch(self) -> None:
        """All that is queued: in one iteration the coordinator begins no more than may run at once."""
        import dagster as dg

        left, queued = -1, dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED])
        while (waiting := self.instance.get_runs_count(queued)) != left:
            left = waiting
            self.iterate("QUEUED_RUN_COORDINATOR")


class _NoWaiting:
    """Stands for the event that a daemon sleeps on: the clock is set by the story."""

    def wait(self, seconds: float) -> bool:
        return False

    def is_set(self) -> bool:
        return False


def main(folder: Path) -> dict:
    """The story in a process of its own, then an undisturbed home over the same source in another."""
    source, home = folder / "source", folder / "home"
    os.environ.update(WANDERBRICKS_HOME=str(home), WANDERBRICKS_SOURCE=str(source))
    clock = Clock()
    clock.install()
    _import_everything()

    def story() -> None:
        (folder / "story.json").write_text(json.dumps(_story(folder, clock), default=str))

    def undisturbed() -> None:
        (folder / "undisturbed.json").write_text(json.dumps(_undisturbed(), default=str))

    for work in (story, undisturbed):
        code = _in_child(work, folder)
        assert code == 0, (folder / "log").read_text()[-6000:]
        home.rename(folder / work.__name__)
    found = json.loads((folder / "story.json").read_text())
    return found | {"undisturbed": json.loads((folder / "undisturbed.json").read_text())}


def _import_everything() -> None:
    """With stand-ins in the place of the models, once for both homes, and sparing what hundreds of ticks and runs in
    one process would cost: for every tick Dagster reads its migrations, and the collector of garbage goes through all
    that was imported."""
    from alembic.script import ScriptDirectory

    from wanderbricks_assets_tests.automation.small_marketplace import STAND_INS
    from wanderbricks_assets_tests.models.small_models import stand_in

    stand_in(STAND_INS)
    import wanderbricks_assets.definitions  # noqa: F401

    read, known = ScriptDirectory.from_config, {}

    def read_once(config: object) -> ScriptDirectory:
        place = config.get_main_option("script_location")
        if place not in known:
            known[place] = read(config)
        return known[place]

    ScriptDirectory.from_config = read_once
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


def _undisturbed() -> dict:
    from wanderbricks_assets_tests.automation.small_marketplace import day

    _caught_up(day(LAST))
    from wanderbricks_assets.definitions import defs

    return _rows(defs.resources["lake"])


def _caught_up(moment: datetime) -> None:
    from wanderbricks_assets.cli.materializing import materialize
    from wanderbricks_assets.settings import read_settings

    code = materialize(read_settings(), moment)
    assert code in (0, 2), f"the home could not be caught up: {code}"


def _story(folder: Path, clock: Clock) -> dict:
    from wanderbricks_assets.settings import settings
    from wanderbricks_assets_tests.automation.alerts.servers import Webhook
    from wanderbricks_assets_tests.automation.small_marketplace import Deliveries, day

    hook, source, asked = Webhook(), Deliveries(folder / "source"), []
    hook.on_post = lambda: asked.append(hook.status)
    os.environ["WANDERBRICKS_ALERT_URLS"] = hook.url
    settings.cache_clear()  # read when everything was imported
    clock.to(day(0, "00:00:30"))
    source.deliver(clock.now())
    _caught_up(day(0))
    with _daemon(folder / "home") as daemon:
        for moment, what in _stops():
            assert moment > clock.now(), f"runs of the tick before took until {clock.now()}"
            clock.to(moment)
            hook.status = 503 if day(12) <= moment < day(15) else 200
            source.deliver(moment)
            if what in ("look", "both"):
                _settle(daemon, clock)
            if what in ("tick", "both"):
                daemon.iterate("SCHEDULER")
                daemon.launch()
        found = _found(daemon.instance, folder / "home")
    hook.close()
    return found | {"titles": hook.titles, "refused": asked.count(503), "daemon_errors": daemon.errors}


LAST = 21
_NIGHT = ("00:05 look", "00:20 tick", "00:24 look", *(f"{at} tick" for at in ("00:40", "00:50", "01:00", "01:10")))
_NIGHT += ("01:14 look",)
# The days on which something comes late or the machine is turned on at noon. One tick makes up the hours before it.
_BY_DAY = {
    0: ("00:10 both",),
    5: ("11:05 both", "11:25 look"),
    10: ("12:05 both",),
    11: ("15:05 both", "15:25 look"),
    13: ("12:05 both", "12:25 look"),  # what it missed has been told before the training of the night
}
# The machine is off when the story has nothing to tell: each night that it is on costs as much as the days it made up.
_OFF = (("2 12:00", "5 00:00"), ("5 12:00", "7 00:00"), ("8 12:00", "10 12:00"), ("12 12:00", "13 12:00"))
_OFF += (("15 12:00", "20 00:00"),)


def _stops() -> Iterator[tuple[datetime, str]]:
    """When the daemon wakes, and whether its sensors look, its schedules tick, or one after the other."""
    from wanderbricks_assets_tests.automation.small_marketplace import day

    off = [[day(int(number), at) for number, at in (end.split() for end in ends)] for ends in _OFF]
    for number in range(LAST + 1):
        for stop in (*(_NIGHT if number else ()), *_BY_DAY.get(number, ())):
            at, what = stop.split()
            moment = day(number, at)
            if not any(first <= moment < last for first, last in off):
                yield moment, what


def _settle(daemon: Daemon, clock: Clock) -> None:
    """Sensors look, and the runs that they ask for are launched, until none asks for more."""
    before = -1
    while (runs := daemon.instance.get_runs_count()) != before or _late_data_left(daemon.instance):
        before = runs
        daemon.iterate("SENSOR")
        daemon.launch()
        daemon.iterate("EVENT_LOG_CONSUMER")
        clock.to(clock.now() + timedelta(seconds=61))


def _late_data_left(instance) -> bool:
    states = {state.instigator_name: state.instigator_data for state in instance.all_instigator_state()}
    watching = states.get("source_sensor")
    return bool(watching and watching.cursor and json.loads(watching.cursor)["stages"])


@contextmanager
def _daemon(home: Path) -> Iterator[Daemon]:
    import dagster as dg
    from dagster._core.remote_origin import InProcessCodeLocationOrigin
    from dagster._core.test_utils import create_test_daemon_workspace_context
    from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
    from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget

    file = home / "dagster" / "dagster.yaml"
    ours = file.read_text().partition("\n")[2]  # without the line that says who writes it
    file.write_text(ours + _IN_THIS_PROCESS)
    origin = LoadableTargetOrigin(
        executable_path=sys.executable, module_name="wanderbricks_assets.definitions", attribute="defs"
    )
    target = InProcessWorkspaceLoadTarget(InProcessCodeLocationOrigin(origin, location_name="wanderbricks_assets"))
    with dg.DagsterInstance.get() as instance, create_test_daemon_workspace_context(target, instance) as workspace:
        yield Daemon(instance, workspace)


# Starting an interpreter for each of hundreds of runs would take most of an hour.
_IN_THIS_PROCESS = """
run_launcher:
  module: dagster._core.launcher.sync_in_memory_run_launcher
  class: SyncInMemoryRunLauncher
"""


def _found(instance, home: Path) -> dict:
    import dagster as dg
    from dagster._core.scheduler.instigation import TickStatus

    from wanderbricks_assets.automation.sensors.source_sensor import LATE
    from wanderbricks_assets.definitions import defs
    from wanderbricks_assets.targets import TARGETS

    registry, graph = defs.resources["registry"], defs.get_repository_def().asset_graph
    runs = list(reversed(instance.get_runs()))
    ticks = [
        (state.instigator_name, tick.status, tick.error.message if tick.error else "")
        for state in instance.all_instigator_state()
        for tick in instance.get_ticks(state.instigator_origin_id, state.selector_id)
    ]
    return {
        "rows": _rows(defs.resources["lake"]),
        "partitions": {
            key.to_user_string(): sorted(instance.get_materialized_partitions(key))
            for key in graph.materializable_asset_keys
            if graph.get(key).is_partitioned
        },
        "again": _again(instance, graph),
        "late": [(run.tags[LATE], run.job_name, *_span(run), _assets(run)) for run in runs if LATE in run.tags],
        "degraded": [run.tags["wanderbricks/degraded"] for run in runs if "wanderbricks/degraded" in run.tags],
        "open": [run.run_id for run in runs if not run.is_finished],
        "failed": [(run.job_name, *_span(run)) for run in runs if run.status == dg.DagsterRunStatus.FAILURE],
        "failed_ticks": [tick for tick in ticks if tick[1] == TickStatus.FAILURE],
        "versions": {
            name: [
                (one.version, str(one.cutoff), one.promoted, one.decision)
                for one in reversed(registry.registered(target))
            ]
            for name, target in TARGETS.items()
        },
    }


def _again(instance, graph) -> dict[str, list[str]]:
    """The partitions that were materialized more than once, by asset."""
    import dagster as dg

    found = {}
    for key in graph.materializable_asset_keys:
        events = instance.fetch_materializations(dg.AssetRecordsFilter(asset_key=key), limit=10_000).records
        counts = Counter(event.partition_key for event in events if event.partition_key)
        found[key.to_user_string()] = sorted(partition for partition, count in counts.items() if count > 1)
    return {asset: partitions for asset, partitions in found.items() if partitions}


def _span(run) -> tuple[str | None, str | None]:
    one = run.tags.get("dagster/partition")
    return tuple(run.tags.get(f"dagster/asset_partition_range_{end}", one) for end in ("start", "end"))


def _assets(run) -> list[str]:
    return sorted(key.to_user_string() for key in run.asset_selection or ())


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))  # noqa: T201
