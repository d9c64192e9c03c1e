"""A schedule or sensor that cannot tick is told once, and once when it ticks again."""

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorTick, TickData, TickStatus
from dagster_shared.error import SerializableErrorInfo

from wanderbricks_assets.automation.alerts.incidents import Book, Definitions
from wanderbricks_assets.automation.alerts.messages import link
from wanderbricks_assets_tests.automation.alerts.world import DEFS

FAILED, SKIPPED = TickStatus.FAILURE, TickStatus.SKIPPED


def ticks(*statuses: TickStatus) -> list[InstigatorTick]:
    """Newest first, a minute apart."""
    error = SerializableErrorInfo("CheckError: all must have the same partitions", [], "CheckError")
    found = []
    for number, status in enumerate(statuses):
        data = {"error": error} if status == FAILED else {}
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


def test_a_sensor_that_has_hardly_ticked_is_not_told():
    with dg.DagsterInstance.ephemeral() as instance:
        book = Book(instance, Definitions(DEFS.get_repository_def()), {})
        book.ticked("carry_on", ticks(FAILED, FAILED))
        book.ticked("other", [])
        assert book.news == []
