"""Incidents, messages and deliveries in a database that outlives processes: SQLite in the home, or Dagster's Postgres.

One process at a time works on it; a process that is killed loses its hold at once. A message is delivered at least
once: `begun_at` is stored before it is sent and `sent_at` after, so only a process that dies between the two sends it
again, and that copy says that it may be one.
"""

import fcntl
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from wanderbricks_assets.automation.alerts.destinations import Destination, Message
from wanderbricks_assets.automation.alerts.incidents import Incident

_TABLES = sa.MetaData()
_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_INCIDENTS = sa.Table(
    "wanderbricks_incidents",
    _TABLES,
    sa.Column("id", sa.String(32), primary_key=True),
    *(sa.Column(name, sa.Text, nullable=False) for name in ("kind", "asset", "name", "partitions", "span")),
    *(sa.Column(name, sa.Text, nullable=False) for name in ("severity", "measured", "reason", "run_id")),
    sa.Column("owners", sa.Text, nullable=False),
    sa.Column("steps", sa.Text, nullable=False),
    sa.Column("since", sa.Float, nullable=False),
    sa.Column("last_failed_at", sa.Float, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("event_id", sa.BigInteger, nullable=False),
    sa.Column("closed_at", sa.Float),
    sa.Column("message_id", sa.String(32)),
)
_IS_OPEN = _INCIDENTS.c.closed_at.is_(None)
sa.Index(
    "wanderbricks_open_incidents",
    *(_INCIDENTS.c[name] for name in ("kind", "asset", "name", "partitions")),
    unique=True,
    sqlite_where=_IS_OPEN,
    postgresql_where=_IS_OPEN,
)
_MESSAGES = sa.Table(
    "wanderbricks_messages",
    _TABLES,
    sa.Column("id", sa.String(32), primary_key=True),
    *(sa.Column(name, sa.Text, nullable=False) for name in ("title", "body", "state", "severity", "owners")),
    sa.Column("made_at", sa.Float, nullable=False),
)
_DELIVERIES = sa.Table(
    "wanderbricks_deliveries",
    _TABLES,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("message_id", sa.ForeignKey(_MESSAGES.c.id), nullable=False),
    sa.Column("destination", sa.Text, nullable=False),
    sa.Column("begun_at", sa.Float),
    sa.Column("sent_at", sa.Float),
)
_MOVED = sa.Table(
    "wanderbricks_moved_deliveries",
    _TABLES,
    sa.Column("delivery", sa.ForeignKey(_DELIVERIES.c.id), primary_key=True),
    sa.Column("meant_for", sa.Text, nullable=False),
)
_DESTINATIONS = sa.Table(
    "wanderbricks_destinations",
    _TABLES,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("failed_at", sa.Float),
    sa.Column("error", sa.Text, nullable=False),
)
_POSITION = sa.Table(
    "wanderbricks_alerts_position",
    _TABLES,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("settled", sa.BigInteger, nullable=False),
    sa.Column("newest", sa.BigInteger, nullable=False),
    sa.Column("read_at", sa.Float, nullable=False),
)
_READ = sa.Table("wanderbricks_events_read", _TABLES, sa.Column("id", sa.BigInteger, primary_key=True))
_LOCK = zlib.crc32(b"wanderbricks alerts")  # Postgres names an advisory lock by a number
_FIRST_RETRY, _LONGEST_RETRY = 30, 3600  # seconds: the sensor's rhythm, and an hour
_KEPT = 90 * 86400  # seconds that closed incidents and delivered messages are kept


@dataclass(frozen=True)
class Position:
    """How far the event log has been read: all events up to `settled`, and of those up to `newest` the ones in `read`.

    Postgres hands out an event's number before the event can be seen, so one with a lower number may appear later.
    """

    settled: int = 0
    newest: int = 0
    read_at: float = 0.0
    read: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Delivery:
    """`meant_for` is the label of the destination that was to have the message, if that is set no more."""

    id: int
    message: Message
    was_begun: bool
    meant_for: str | None = None


@dataclass(frozen=True)
class Waiting:
    """What a destination has not taken yet: how many messages, since when, and why."""

    label: str
    messages: int
    since: float
    failures: int
    error: str


class Outbox:
    def __init__(self, url: str, lock_file: Path):
        """`lock_file` is locked where the database is a file; Postgres has locks of its own."""
        timeout = {"timeout": 20} if url.startswith("sqlite") else {}
        self._engine = sa.create_engine(url, poolclass=NullPool, connect_args=timeout)
        self._lock_file = lock_file

    @contextmanager
    def exclusive(self) -> Iterator[bool]:
        """Hold the outbox against all other processes; gives False, at once, when another one holds it."""
        held = self._held_in_postgres() if self._engine.dialect.name == "postgresql" else self._held_by_file()
        with held as mine:
            if mine:
                _TABLES.create_all(self._engine)
            yield mine

    @contextmanager
    def _held_by_file(self) -> Iterator[bool]:
        self._lock_file.parent.mkdir(parents=True, exist_ok=True)
        with self._lock_file.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True

    @contextmanager
    def _held_in_postgres(self) -> Iterator[bool]:
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            yield bool(connection.scalar(sa.select(sa.func.pg_try_advisory_lock(_LOCK))))

    def position(self) -> Position | None:
        """None before the first reading."""
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(_POSITION)).one_or_none()
            read = connection.scalars(sa.select(_READ.c.id)).all()
        return Position(row.settled, row.newest, row.read_at, frozenset(read)) if row else None

    def open_incidents(self) -> list[Incident]:
        return self._incidents(sa.select(_INCIDENTS).where(_IS_OPEN).order_by(_INCIDENTS.c.since.desc()))

    def recovered(self, limit: int) -> list[Incident]:
        newest = _INCIDENTS.c.closed_at.desc()
        return self._incidents(sa.select(_INCIDENTS).where(~_IS_OPEN).order_by(newest).limit(limit))

    def record(
        self,
        position: Position,
        incidents: Iterable[Incident],
        messages: Sequence[tuple[Message, Sequence[Destination]]],
        now: float,
    ) -> None:
        """Store what a reading found, in one transaction: how far it came, what changed, and who is to hear of it."""
        rows = [_row_of(incident) for incident in incidents]
        with self._engine.begin() as connection:
            connection.execute(sa.delete(_POSITION))
            connection.execute(
                sa.insert(_POSITION).values(
                    id=1, settled=position.settled, newest=position.newest, read_at=position.read_at
                )
            )
            connection.execute(sa.delete(_READ))
            if position.read:
                connection.execute(sa.insert(_READ), [{"id": event} for event in sorted(position.read)])
            if rows:
                connection.execute(sa.delete(_INCIDENTS).where(_INCIDENTS.c.id.in_([row["id"] for row in rows])))
                connection.execute(sa.insert(_INCIDENTS), rows)
            for message, destinations in messages:
                values = {**asdict(message), "owners": json.dumps(message.owners), "made_at": now}
                connection.execute(sa.insert(_MESSAGES).values(values))
                for destination in destinations:
                    connection.execute(sa.insert(_DELIVERIES).values(message_id=message.id, destination=destination.id))
            self._forget(connection, now - _KEPT)

    def heard(self, message_ids: Iterable[str]) -> set[str]:
        """The destinations that messages went to, or wait for."""
        query = sa.select(_DELIVERIES.c.destination).where(_DELIVERIES.c.message_id.in_(list(message_ids)))
        with self._engine.connect() as connection:
            return set(connection.scalars(query))

    def meet(self, destinations: Iterable[Destination]) -> None:
        """Keep the labels of the destinations, for when they are set no more."""
        with self._engine.begin() as connection:
            known = {row.id: row.label for row in connection.execute(sa.select(_DESTINATIONS))}
            for destination in destinations:
                if destination.id not in known:
                    values = {"id": destination.id, "label": destination.label, "failures": 0, "error": ""}
                    connection.execute(sa.insert(_DESTINATIONS).values(values))
                elif known[destination.id] != destination.label:
                    self._update(connection, destination.id, label=destination.label)

    def move_stranded(self, services: Iterable[Destination], nobody_else: Destination) -> dict[str, int]:
        """What waits for destinations that are set no more goes, once, to those that take it and have not heard of it,
        or to nobody else's; returns how many messages waited, by the label of what was left."""
        services = list(services)
        moved: dict[str, int] = {}
        query = (
            sa.select(_DELIVERIES.c.id.label("delivery"), _DESTINATIONS.c.label, _MESSAGES)
            .join(_MESSAGES, _MESSAGES.c.id == _DELIVERIES.c.message_id)
            .join(_DESTINATIONS, _DESTINATIONS.c.id == _DELIVERIES.c.destination)
            .where(_DELIVERIES.c.sent_at.is_(None))
            .where(_DELIVERIES.c.destination.not_in([each.id for each in (*services, nobody_else)]))
            .order_by(_DELIVERIES.c.id)
        )
        with self._engine.begin() as connection:
            for row in connection.execute(query).all():
                of_message = _DELIVERIES.c.message_id == row.id
                heard = set(connection.scalars(sa.select(_DELIVERIES.c.destination).where(of_message)))
                takers = [service for service in services if service.takes(_message_of(row))] or [nobody_else]
                for taker in (taker for taker in takers if taker.id not in heard):
                    new = sa.insert(_DELIVERIES).values(message_id=row.id, destination=taker.id)
                    place = connection.execute(new).inserted_primary_key[0]
                    connection.execute(sa.insert(_MOVED).values(delivery=place, meant_for=row.label))
                connection.execute(sa.delete(_MOVED).where(_MOVED.c.delivery == row.delivery))
                connection.execute(sa.delete(_DELIVERIES).where(_DELIVERIES.c.id == row.delivery))
                moved[row.label] = moved.get(row.label, 0) + 1
        return moved

    def is_due(self, destination: Destination, now: float) -> bool:
        """Whether something waits for a destination that is not being left alone after a failure.

        A failure in the future, as after a clock was set back, is no reason to wait.
        """
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(_DESTINATIONS).where(_DESTINATIONS.c.id == destination.id)).one()
        pause = min(_FIRST_RETRY * 2 ** (row.failures - 1), _LONGEST_RETRY) if row.failures else 0
        is_left_alone = row.failures and 0 <= now - row.failed_at < pause
        return not is_left_alone and self.next_for(destination) is not None

    def next_for(self, destination: Destination) -> Delivery | None:
        """The oldest message that a destination has not taken."""
        query = (
            sa.select(_DELIVERIES.c.id.label("delivery"), _DELIVERIES.c.begun_at, _MOVED.c.meant_for, _MESSAGES)
            .join(_MESSAGES, _MESSAGES.c.id == _DELIVERIES.c.message_id)
            .outerjoin(_MOVED, _MOVED.c.delivery == _DELIVERIES.c.id)
            .where(_DELIVERIES.c.destination == destination.id, _DELIVERIES.c.sent_at.is_(None))
            .order_by(_DELIVERIES.c.id)
            .limit(1)
        )
        with self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        return Delivery(row.delivery, _message_of(row), row.begun_at is not None, row.meant_for)

    def begin(self, delivery: Delivery, now: float) -> None:
        self._mark(delivery, begun_at=now)

    def sent(self, delivery: Delivery, destination: Destination, now: float) -> None:
        with self._engine.begin() as connection:
            connection.execute(sa.update(_DELIVERIES).where(_DELIVERIES.c.id == delivery.id).values(sent_at=now))
            self._update(connection, destination.id, failures=0, failed_at=None, error="")

    def refused(self, delivery: Delivery, destination: Destination, error: str, now: float) -> None:
        """The message stays the first that waits; the pause before the next try doubles up to an hour."""
        with self._engine.begin() as connection:
            connection.execute(sa.update(_DELIVERIES).where(_DELIVERIES.c.id == delivery.id).values(begun_at=None))
            failures = _DESTINATIONS.c.failures + 1
            self._update(connection, destination.id, failures=failures, failed_at=now, error=error)

    def waiting(self) -> list[Waiting]:
        query = (
            sa.select(
                _DESTINATIONS.c.label,
                sa.func.count().label("messages"),
                sa.func.min(_MESSAGES.c.made_at).label("since"),
                _DESTINATIONS.c.failures,
                _DESTINATIONS.c.error,
            )
            .join(_DELIVERIES, _DELIVERIES.c.destination == _DESTINATIONS.c.id)
            .join(_MESSAGES, _MESSAGES.c.id == _DELIVERIES.c.message_id)
            .where(_DELIVERIES.c.sent_at.is_(None))
            .group_by(*(_DESTINATIONS.c[name] for name in ("id", "label", "failures", "error")))
            .order_by(sa.text("since"))
        )
        with self._engine.connect() as connection:
            return [Waiting(*row) for row in connection.execute(query)]

    def _mark(self, delivery: Delivery, **values: float | None) -> None:
        with self._engine.begin() as connection:
            connection.execute(sa.update(_DELIVERIES).where(_DELIVERIES.c.id == delivery.id).values(values))

    def _update(self, connection: sa.Connection, destination: str, **values: object) -> None:
        connection.execute(sa.update(_DESTINATIONS).where(_DESTINATIONS.c.id == destination).values(values))

    def _incidents(self, query: sa.Select) -> list[Incident]:
        with self._engine.connect() as connection:
            rows = connection.execute(query).mappings().all()
        lists = ("owners", "steps")
        return [Incident(**{**row, **{name: tuple(json.loads(row[name])) for name in lists}}) for row in rows]

    def _forget(self, connection: sa.Connection, before: float) -> None:
        connection.execute(sa.delete(_INCIDENTS).where(_INCIDENTS.c.closed_at < before))
        waiting = sa.select(_DELIVERIES.c.message_id).where(_DELIVERIES.c.sent_at.is_(None))
        open_ones = sa.select(_INCIDENTS.c.message_id).where(_INCIDENTS.c.message_id.is_not(None))
        old = sa.select(_MESSAGES.c.id).where(
            _MESSAGES.c.made_at < before, _MESSAGES.c.id.not_in(waiting), _MESSAGES.c.id.not_in(open_ones)
        )
        old_deliveries = sa.select(_DELIVERIES.c.id).where(_DELIVERIES.c.message_id.in_(old))
        connection.execute(sa.delete(_MOVED).where(_MOVED.c.delivery.in_(old_deliveries)))
        connection.execute(sa.delete(_DELIVERIES).where(_DELIVERIES.c.message_id.in_(old)))
        connection.execute(sa.delete(_MESSAGES).where(_MESSAGES.c.id.in_(old)))


def _message_of(row: sa.Row) -> Message:
    return Message(row.id, row.title, row.body, row.state, row.severity, tuple(json.loads(row.owners)))


def _row_of(incident: Incident) -> dict[str, object]:
    row = {field.name: getattr(incident, field.name) for field in fields(incident)}
    return {**row, "owners": json.dumps(incident.owners), "steps": json.dumps(incident.steps)}
