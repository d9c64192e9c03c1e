"""The folder: what is written where, and the state to go on from.

Every file appears whole under its final name or not at all, and names follow from the content. State comes last. So a
call that was killed and is made again writes the same files, and a call that goes on removes first what a killed one
left beyond the state.
"""

import json
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wanderbricks_assets.simulator import calibration as c
from wanderbricks_assets.simulator.choice import Nights
from wanderbricks_assets.simulator.event_tables import EVENTS, TRUTH_BY_DATE, TRUTH_BY_MONTH, TRUTH_OF_EVENTS
from wanderbricks_assets.simulator.market import QUEUES, Market, Queue
from wanderbricks_assets.simulator.season import EPOCH
from wanderbricks_assets.simulator.world import Columns

STATE, TRUTH = "_state", "_truth"
TABLES_OF_STATE = ("users", "properties", "hosts", "prices", "tickets", "spending")


def replace(path: Path, write: Callable[[Path], object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    write(temporary)
    os.replace(temporary, path)


def write_table(path: Path, table: pa.Table) -> None:
    replace(path, lambda temporary: pq.write_table(table, temporary, compression="zstd"))


class Writer:
    """Writes tables in a second thread while the market goes on; `close` waits for all and raises what went wrong."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._pending: list[Future] = []

    def submit(self, path: Path, make: Callable[..., pa.Table], *args) -> None:
        self._pending.append(self._pool.submit(lambda: write_table(path, make(*args))))
        if len(self._pending) > 200:  # neither run ahead for ever nor hide an error until the end
            for job in self._pending[:100]:
                job.result()
            del self._pending[:100]

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, kind, *_) -> None:
        self._pool.shutdown(wait=True, cancel_futures=kind is not None)
        if kind is None:
            for job in self._pending:
                job.result()


def day_name(day: int) -> str:
    return (EPOCH + timedelta(days=day)).isoformat()


def hours(rows: Columns, day: int, begin: int, end: int) -> Columns:
    """The rows of a day from hour `begin` up to and without hour `end`."""
    if not len(rows):
        return rows
    hour = (rows["time"] - day * c.SECONDS) // 3600
    return rows if (begin, end) == (0, 24) else rows.take(np.flatnonzero((hour >= begin) & (hour < end)))


def event_path(out: Path, table: str, day: int, hour: int) -> Path:
    folder = out / TRUTH / table if table in TRUTH_OF_EVENTS else out / table
    return folder / f"date={day_name(day)}" / f"part-{hour:02d}.parquet"


def month_path(out: Path, table: str, day: int) -> Path:
    return out / TRUTH / table / f"month={day_name(day)[:7]}.parquet"


def date_path(out: Path, table: str, day: int) -> Path:
    return out / TRUTH / table / f"date={day_name(day)}.parquet"


def remove_beyond(out: Path, day: int, hour: int) -> None:
    """Removes what a killed call left: everything from hour `hour` of day `day` on."""
    name = day_name(day)
    for table in (*EVENTS, *TRUTH_OF_EVENTS):
        folder = out / TRUTH / table if table in TRUTH_OF_EVENTS else out / table
        for part in folder.glob("date=*") if folder.exists() else ():
            if part.name >= f"date={name}":
                for file in part.glob("*part-*"):
                    if part.name > f"date={name}" or file.name[-10:-8] >= f"{hour:02d}" or file.suffix == ".tmp":
                        file.unlink()
                if not any(part.iterdir()):
                    part.rmdir()
    for table in TRUTH_BY_DATE:
        for file in (out / TRUTH / table).glob("date=*.parquet"):
            if file.name > f"date={name}.parquet":
                file.unlink()
    for table in TRUTH_BY_MONTH:
        for file in (out / TRUTH / table).glob("month=*.parquet"):
            if file.name > f"month={name[:7]}.parquet":
                file.unlink()


def earlier_rows(path: Path, day: int) -> list[pa.Table]:
    """What a file of a month holds about the days before `day`."""
    if not path.exists():
        return []
    table = pq.read_table(path)
    return [
        table.filter(
            pc.less(table.column("created_date" if "created_date" in table.column_names else "date"), _date(day))
        )
    ]


def _date(day: int) -> pa.Scalar:
    return pa.scalar(EPOCH + timedelta(days=day), pa.date32())


def save_market(out: Path, m: Market) -> str:
    """Writes the market as of the start of its day; returns the file's name."""
    arrays: dict[str, np.ndarray] = {}
    for name in TABLES_OF_STATE:
        arrays |= {f"{name}.{column}": values for column, values in getattr(m, name).items()}
    for name in QUEUES:
        arrays |= {f"queue.{name}.{column}": values for column, values in m.queues[name].rows().items()}
    arrays["nights.sold"] = np.packbits(m.nights.sold, axis=1)
    numbers = {"seed": m.seed, "scale": m.scale, "first_day": m.first_day, "day": m.day, "next_id": m.next_id}
    numbers |= {"nights_first": m.nights.first, "properties": len(m.properties), "confounded": m.confounded}
    arrays["numbers"] = np.frombuffer(json.dumps(numbers).encode(), dtype=np.uint8)
    name = f"market-{day_name(m.day)}.npz"

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # NumPy's hints take any name for allow_pickle

    replace(out / STATE / name, write)
    return name


def load_market(out: Path, name: str) -> Market:
    with np.load(out / STATE / name, allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    numbers = json.loads(arrays["numbers"].tobytes())

    def table(prefix: str) -> Columns:
        return Columns({key[len(prefix) :]: values for key, values in arrays.items() if key.startswith(prefix)})

    nights = Nights(numbers["nights_first"], 0)
    nights.sold = np.unpackbits(arrays["nights.sold"], axis=1, count=numbers["properties"]).astype(bool)
    queues = {name: Queue() for name in QUEUES}
    for queue_name, queue in queues.items():
        queue.push(table(f"queue.{queue_name}."), 0)
    return Market(
        seed=numbers["seed"],
        scale=numbers["scale"],
        first_day=numbers["first_day"],
        day=numbers["day"],
        nights=nights,
        queues=queues,
        next_id=numbers["next_id"],
        confounded=numbers.get("confounded", False),
        **{name: table(f"{name}.") for name in TABLES_OF_STATE},
    )


def read_state(out: Path) -> dict | None:
    path = out / STATE / "state.json"
    return json.loads(path.read_text()) if path.exists() else None


def write_state(out: Path, state: dict) -> None:
    replace(out / STATE / "state.json", lambda temporary: temporary.write_text(json.dumps(state, indent=1)))
    for old in (out / STATE).glob("market-*.npz"):
        if old.name != state.get("market"):
            old.unlink()


def to_day(value: date) -> int:
    return (value - EPOCH).days
