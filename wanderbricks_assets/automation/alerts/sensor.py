"""One round of alerts: read what is new in Dagster's event log, record it, deliver what waits, write the page."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.scheduler.instigation import InstigatorTick, TickStatus

from wanderbricks_assets.automation.alerts.destinations import Destination, Log, Message, alert_destinations
from wanderbricks_assets.automation.alerts.incidents import TICKS_IN_A_ROW, Book, Definitions
from wanderbricks_assets.automation.alerts.messages import messages
from wanderbricks_assets.settings import Settings, settings

if TYPE_CHECKING:  # SQLAlchemy takes 0.2 s to load, and definitions are loaded again and again
    from wanderbricks_assets.automation.alerts.outbox import Outbox, Position

_LOG = logging.getLogger(__name__)
_KINDS = (
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    dg.DagsterEventType.RUN_SUCCESS,
    dg.DagsterEventType.RUN_FAILURE,
)
_ENDED = [TickStatus.SUCCESS, TickStatus.SKIPPED, TickStatus.FAILURE]
_PAGE = 1000  # events read at once
_SETTLES = 10  # seconds after which no event with a lower number appears; Postgres stores each in a transaction of ms
_SENDING = 20  # seconds in which sending begins; Dagster ends a sensor's tick after 60


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells people of failed checks and runs, once, and of their recovery: see alerts.html in the home, and "
    "WANDERBRICKS_ALERT_URLS.",
)
def alerts(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    def log(text: str) -> None:
        """In the tick, where the UI shows it, and in the daemon's log."""
        context.log.warning(text)
        _LOG.warning(text)

    return dg.SkipReason(tell(context.instance, context.repository_def, settings(), log, is_daemon=True))


ALERT_SENSORS = [alerts]


def tell(
    instance: dg.DagsterInstance,
    repository: dg.RepositoryDefinition,
    settings: Settings,
    log: Callable[[str], None],
    is_daemon: bool = False,
) -> str:
    """Do one round, and say in a sentence what it found.

    is_daemon: whether this process tells all the time. That another one, as `wanderbricks run` in some shell, was given
    no addresses does not mean that none are set.
    Raises ValueError when WANDERBRICKS_ALERT_URLS cannot be understood. A destination that does not answer raises
    nothing: what waits for it is sent in a later round.
    """
    from wanderbricks_assets.automation.alerts.outbox import Outbox
    from wanderbricks_assets.automation.alerts.page import write_page

    services, nobody_else = alert_destinations(settings), Log(log)
    outbox = Outbox(_database(instance, settings), settings.home / "alerts.lock")
    with outbox.exclusive() as mine:
        if not mine:
            return "Another process is at it."
        outbox.meet([*services, nobody_else])
        if services or is_daemon:
            for label, count in outbox.move_stranded(services, nobody_else).items():
                log(f"{count} alerts waited for {label}, which is set no more; they go to who is told now.")
        news = _record(instance, repository, outbox, services, nobody_else, settings.ui_url)
        page = partial(write_page, settings.alerts_page, outbox, services or [nobody_else], settings.ui_url)
        page()
        _deliver(outbox, [*services, nobody_else])
        page()
        waiting = sum(destination.messages for destination in outbox.waiting())
        return f"{news} new, {len(outbox.open_incidents())} open, {waiting} waiting to be delivered."


def _database(instance: dg.DagsterInstance, settings: Settings) -> str:
    """Beside Dagster's own tables when those are in Postgres, so that any machine of the team can go on."""
    of_dagster = getattr(instance.event_log_storage, "postgres_url", None)
    return settings.alerts_database or of_dagster or f"sqlite:///{settings.home / 'alerts.db'}"


def _record(
    instance: dg.DagsterInstance,
    repository: dg.RepositoryDefinition,
    outbox: "Outbox",
    services: Sequence[Destination],
    nobody_else: Destination,
    ui_url: str,
) -> int:
    """Read what is new and store what it means; returns the number of messages.

    The first reading of a log covers all of its past, and tells only of what is still wrong at its end.
    """
    from wanderbricks_assets.automation.alerts.outbox import Position

    storage, before = instance.event_log_storage, outbox.position()
    if before and (storage.get_maximum_record_id() or 0) < before.newest:  # another log, or its end was deleted
        before = None
    position = before or Position()
    open_ones = {incident.key: incident for incident in outbox.open_incidents()}
    book, read = Book(instance, Definitions(repository), open_ones), set()
    for event_id, entry in _events(storage, position.settled):
        if event_id not in position.read:
            book.read(event_id, entry)
            read.add(event_id)
    for name, ticks in _ticks(instance):
        book.ticked(name, ticks)
    if before is None:
        book.forget_what_is_over()
    told: list[tuple[Message, Sequence[Destination]]] = []
    for message, incidents in messages(book.news, ui_url):
        takers = [service for service in services if service.takes(message)]
        if message.state == "failed":
            for incident in incidents:
                book.changed[incident.id] = replace(book.changed[incident.id], message_id=message.id)
        else:  # who heard of the failure hears of its end
            of_failure = {book.changed[incident.id].message_id for incident in incidents} - {None}
            heard = outbox.heard(of_failure)
            heard |= {taker.id for earlier, its_takers in told if earlier.id in of_failure for taker in its_takers}
            takers = [service for service in services if service.id in heard] or takers
        told.append((message, takers or [nobody_else]))
    now = time.time()
    outbox.record(_after(position, read, now), book.changed.values(), told, now)
    return len(told)


def _ticks(instance: dg.DagsterInstance) -> Iterator[tuple[str, list[InstigatorTick]]]:
    """Of every schedule and sensor that is on, the newest ticks that have ended, newest first."""
    for state in instance.all_instigator_state():
        if state.is_running:
            place = state.instigator_origin_id, state.selector_id
            yield state.instigator_name, list(instance.get_ticks(*place, limit=TICKS_IN_A_ROW, statuses=_ENDED))


def _events(storage, after: int) -> Iterator[tuple[int, dg.EventLogEntry]]:
    """The events of the kinds that matter after a place in the log, in the log's order."""
    while True:
        pages = [storage.get_logs_for_all_runs_by_log_id(after, kind, _PAGE) for kind in _KINDS]
        # After the end of a full page there may be more of its kind.
        end = min((max(page) for page in pages if len(page) == _PAGE), default=None)
        events = {event: entry for page in pages for event, entry in page.items() if end is None or event <= end}
        yield from sorted(events.items(), key=lambda found: found[0])
        if end is None:
            return
        after = end


def _after(position: "Position", read: set[int], now: float) -> "Position":
    is_settled = not 0 <= now - position.read_at < _SETTLES
    settled = position.newest if is_settled else position.settled
    known = frozenset(event for event in position.read | read if event > settled)
    return replace(position, settled=settled, newest=max(known, default=position.newest), read_at=now, read=known)


def _deliver(outbox: "Outbox", destinations: Sequence[Destination]) -> None:
    """Each destination in a thread of its own: one that is down holds up no other."""
    due = [destination for destination in destinations if outbox.is_due(destination, time.time())]
    if due:
        with ThreadPoolExecutor(len(due)) as pool:
            list(pool.map(partial(_send, outbox, time.monotonic() + _SENDING), due))


def _send(outbox: "Outbox", until: float, destination: Destination) -> None:
    """What waits for a destination, oldest first, until it refuses or the time is over."""
    while time.monotonic() < until and (delivery := outbox.next_for(destination)):
        message = delivery.message
        if delivery.was_begun:
            repeated = "This may be a repetition: the process that was sending it ended before it knew."
            message = replace(message, body=f"{message.body}\n{repeated}")
        if delivery.meant_for:
            message = replace(
                message, body=f"{message.body}\nThis waited for {delivery.meant_for}, which is set no more."
            )
        outbox.begin(delivery, time.time())
        error = destination.send(message)
        if error:
            outbox.refused(delivery, destination, error, time.time())
            return
        outbox.sent(delivery, destination, time.time())
