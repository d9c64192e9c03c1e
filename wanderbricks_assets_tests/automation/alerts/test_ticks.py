"""A schedule or sensor that cannot tick is told once, and once when it ticks again."""

from pathlib import Path

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorTick,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster_shared.error import SerializableErrorInfo

from wanderbricks_assets.automation.alerts.incidents import Book, Definitions
from wanderbricks_assets.automation.alerts.messages import link
from wanderbricks_assets.automation.alerts.sensor import _ticks
from wanderbricks_assets_tests.automation.alerts.world import DEFS

FAILED, SKIPPED = TickStatus.FAILURE, TickStatus.SKIPPED
ERROR = SerializableErrorInfo("CheckError: all must have the same partitions", [], "CheckError")


def ticks(*statuses: TickStatus) -> list[InstigatorTick]:
    """Newest first, a minute apart."""
    found = []
    for number, status in enumerate(statuses):
        data = {"error": ERROR} if status == FAILED else {}
        at = 600.0 - 60 * number
        found.append(InstigatorTick(number, TickData("origin", "carry_on", InstigatorType.SENSOR, status, at, **data)))
    return found


def test_three_failed_ticks_in_a_row_are_told_once_and_a_tick_that_ends_well_once():
    with dg.DagsterInstance.ephemeral() as instance:
        book = Book(instance, Definitions(DEFS.get_repository_def()), {})
        book.ticked("carry_on", ticks(FAILED, FAILED, SKIPPED))
        assert book.news == []
        book.ticked("carry_on", ticks(FAILED, FAILED, FAILED))
        book.ticked("carry_on", ticks(FAILED, FAILED, FAILED))
        [(state, incident)] = book.news
        assert (state, incident.name, incident.since) == ("failed", "carry_on", 480.0)
        assert "must have the same partitions" in incident.reason
        assert link(incident, "http://ui") == "http://ui/automation"
        book.ticked("carry_on", ticks(SKIPPED, FAILED, FAILED))
        assert [state for state, _ in book.news] == ["failed", "recovered"]
        assert book.open == {}


def test_ticks_are_read_from_dagster_of_what_is_on_and_of_those_that_have_ended(tmp_path: Path):
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("somewhere"), "__repository__")
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        for name, status in (("carry_on", InstigatorStatus.RUNNING), ("turned_off", InstigatorStatus.STOPPED)):
            origin = RemoteInstigatorOrigin(repository, name)
            state = InstigatorState(origin, InstigatorType.SENSOR, status, SensorInstigatorData(min_interval=30))
            instance.add_instigator_state(state)
            for number, ended in enumerate((SKIPPED, FAILED, FAILED, FAILED, TickStatus.STARTED)):
                place = {"instigator_origin_id": state.instigator_origin_id, "selector_id": state.selector_id}
                what = {"instigator_name": name, "instigator_type": InstigatorType.SENSOR, "status": ended}
                why = {"error": ERROR} if ended == FAILED else {}
                instance.create_tick(TickData(**place, **what, timestamp=float(number), **why))
        [(name, found)] = _ticks(instance)
    assert name == "carry_on"
    assert [(tick.timestamp, tick.status) for tick in found] == [(3.0, FAILED), (2.0, FAILED), (1.0, FAILED)]


def test_a_sensor_that_has_hardly_ticked_is_not_told():
    with dg.DagsterInstance.ephemeral() as instance:
        book = Book(instance, Definitions(DEFS.get_repository_def()), {})
        book.ticked("carry_on", ticks(FAILED, FAILED))
        book.ticked("other", [])
        assert book.news == []
