"""The outside world for those who have none: a vacation-rental marketplace that fills, and keeps filling, a folder of
source tables.

Beside the tables it writes the truth that a real marketplace hides (see `truth`). Numbers come from public facts and
stated assumptions (see `calibration`), never from what a model should reach.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
from threadpoolctl import threadpool_limits

from wanderbricks_assets.simulator import calibration as c
from wanderbricks_assets.simulator import files, small_tables
from wanderbricks_assets.simulator.event_tables import EVENTS, TRUTH_BY_DATE, TRUTH_BY_MONTH, TRUTH_OF_EVENTS
from wanderbricks_assets.simulator.geography import geography
from wanderbricks_assets.simulator.market import Day, Market, step
from wanderbricks_assets.simulator.sample import simulate_sample
from wanderbricks_assets.simulator.season import EPOCH, Calendar, day_number
from wanderbricks_assets.simulator.world import Columns

__all__ = ["Summary", "simulate"]

PROFILES = ("marketplace", "confounded", "sample")
SAMPLE_START = date(2022, 12, 8)  # FACT: the first booking of the real sample


@dataclass
class Summary:
    """What a call did: the time up to which the folder is filled, and the rows of events written, by table."""

    out: Path
    until: datetime
    rows: dict[str, int] = field(default_factory=dict)


def simulate(
    out: Path,
    until: datetime,
    *,
    start: datetime | None = None,
    scale: float = 1.0,
    seed: int = 0,
    profile: str = "marketplace",
    progress: Callable[[date], None] | None = None,
) -> Summary:
    """Fills `out` with everything that happened before `until`, or goes on with a folder from where it stopped.

    until, start: naive UTC, cut to the hour and the day; start defaults to three years before. scale 1 is about 2,000
    properties and 150 bookings a day. Going on takes scale, seed, profile and start from the folder; given ones must
    agree with it. progress is called with each day done.

    Raises ValueError when the folder was made with other arguments, or holds tables the simulator did not write.
    """
    until = until.replace(minute=0, second=0, microsecond=0)
    state = files.read_state(out)
    if profile not in PROFILES:
        raise ValueError(f"profile must be one of {', '.join(PROFILES)}, not {profile!r}")
    if state:
        _same(out, state, {"scale": scale, "seed": seed, "profile": profile}, start)
        if until <= datetime.fromisoformat(state["until"]):
            return Summary(out, datetime.fromisoformat(state["until"]))
    else:
        begin = start.date() if start else SAMPLE_START if profile == "sample" else _three_years_before(until.date())
        state = {"profile": profile, "seed": seed, "scale": scale, "start": begin.isoformat()}
        _claim(out, state)
        state["until"] = datetime.combine(begin, datetime.min.time()).isoformat()
        if until <= datetime.fromisoformat(state["until"]):
            raise ValueError(f"until ({until}) must be later than start ({begin})")
    # One thread: sums come out the same on a machine of any size, and small matrices are multiplied faster.
    with threadpool_limits(1):
        if state["profile"] == "sample":
            summary = Summary(out, until, simulate_sample(out, until, state))
        else:
            summary = _run(out, until, state, progress)
    files.write_state(out, state | {"until": until.isoformat()})
    return summary


def _three_years_before(day: date) -> date:
    return date(day.year - 3, day.month, min(day.day, 28) if day.month == 2 else day.day)


def _same(out: Path, state: dict, given: dict, start: datetime | None) -> None:
    defaults = {"scale": 1.0, "seed": 0, "profile": "marketplace"}
    differ = [f"{k} is {state[k]!r}, not {v!r}" for k, v in given.items() if v != state[k] and v != defaults[k]]
    if start and start.date().isoformat() != state["start"]:
        differ.append(f"start is {state['start']}, not {start.date()}")
    if differ:
        raise ValueError(
            f"{out} was begun with other arguments: {'; '.join(differ)}. Go on with those, or use a new folder"
        )


def _claim(out: Path, state: dict) -> None:
    """Marks a folder as the simulator's before the first table, so that a killed first call can be told from foreign
    tables.
    """
    mark = out / files.STATE / "begun.json"
    tables = [name for name in EVENTS if (out / name).exists()] + [p.stem for p in out.glob("*.parquet")]
    if tables and not mark.exists():
        raise ValueError(
            f"{out} holds {', '.join(sorted(tables))}, which the simulator did not write; use a new folder"
        )
    files.replace(mark, lambda temporary: temporary.write_text(json.dumps(state, indent=1)))


def _run(out: Path, until: datetime, state: dict, progress: Callable[[date], None] | None) -> Summary:
    done = datetime.fromisoformat(state["until"])
    first, last = files.to_day(done.date()), files.to_day(until.date())
    files.remove_beyond(out, first, done.hour)
    if state.get("market"):
        m = files.load_market(out, state["market"])
    else:
        m = Market.founded(state["seed"], state["scale"], first, confounded=state["profile"] == "confounded")
    # Leads reach a year ahead, and the value of customers another year beyond.
    calendar = Calendar(geography(), first - 40, last - first + 40 + 2 * (c.LONGEST_LEAD + 30) + 10)
    summary = Summary(out, until)
    months: dict[Path, list[pa.Table]] = {}
    with files.Writer() as writer:
        for day in range(first, last + 1):
            end = 24 if day < last else until.hour
            if end < 24:
                # The state is that of the day's start: the rest of the day is simulated again from it.
                state["market"] = files.save_market(out, m)
                if end == 0:
                    break
            begin = done.hour if day == first else 0
            _write_day(out, writer, months, step(m, calendar), begin, end, summary)
            if progress:
                progress(EPOCH + timedelta(days=day))
        for path, parts in months.items():
            writer.submit(path, _joined, parts)
        for name, make in _small_tables(m, until).items():
            writer.submit(out / f"{name}.parquet", make)
    return summary


def _write_day(out: Path, writer: files.Writer, months: dict, d: Day, begin: int, end: int, summary: Summary) -> None:
    for name, make in (EVENTS | TRUTH_OF_EVENTS).items():
        rows = files.hours(d.tables[name] if name in EVENTS else Columns(d.truth[name]), d.day, begin, end)
        if len(rows):
            writer.submit(files.event_path(out, name, d.day, begin), make, rows)
        if name in EVENTS:
            summary.rows[name] = summary.rows.get(name, 0) + len(rows)
    for name, make_day in TRUTH_BY_DATE.items():
        if name in d.truth:
            writer.submit(files.date_path(out, name, d.day), make_day, d.truth[name], d.day)
    for name, make_day in TRUTH_BY_MONTH.items():
        if name in d.truth:
            path = files.month_path(out, name, d.day)
            if path not in months:
                for finished in [p for p in months if p.parent == path.parent]:
                    writer.submit(finished, _joined, months.pop(finished))
                months[path] = files.earlier_rows(path, d.day)
            months[path].append(make_day(d.truth[name], d.day))


def _joined(parts: list[pa.Table]) -> pa.Table:
    return pa.concat_tables(parts).combine_chunks()


def _small_tables(m: Market, until: datetime) -> dict[str, Callable[[], pa.Table]]:
    """The tables that are written whole, as of `until`."""
    seconds = day_number(until.date()) * c.SECONDS + until.hour * 3600
    today = day_number(until.date())

    def before(rows: Columns, column: str = "time") -> Columns:
        return rows.take(rows[column] < seconds) if len(rows) else rows

    users, prices, tickets = before(m.users, "created"), before(m.prices), before(m.tickets)
    return {
        "users": lambda: small_tables.users(users),
        "hosts": lambda: small_tables.hosts(m.hosts),
        "properties": lambda: small_tables.properties(m.properties, seconds),
        "property_updates": lambda: small_tables.property_updates(prices),
        "property_amenities": lambda: small_tables.property_amenities(m.properties),
        "property_images": lambda: small_tables.property_images(m.properties),
        "employees": lambda: small_tables.employees(m.hosts, today),
        "customer_support_logs": lambda: small_tables.customer_support_logs(tickets),
        "destinations": small_tables.destinations,
        "countries": small_tables.countries,
        "amenities": small_tables.amenities,
    }
