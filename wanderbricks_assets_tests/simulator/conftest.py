"""One small marketplace, filled in one call, that most tests of the simulator look at."""

import fcntl
import os
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from wanderbricks_assets.simulator import simulate
from wanderbricks_assets.simulator.event_tables import EVENTS

START = datetime(2024, 1, 1)
UNTIL = datetime(2024, 12, 1, 9)
SCALE = 0.1


def read(out: Path, table: str) -> pa.Table:
    """A table of the folder; event tables get the column `date` of their folders."""
    if table in EVENTS:
        hive = ds.partitioning(pa.schema([("date", pa.string())]), flavor="hive")
        return ds.dataset(out / table, partitioning=hive).to_table()
    return pq.read_table(out / f"{table}.parquet")


@pytest.fixture(scope="session")
def market(tmp_path_factory) -> Path:
    """Filled once, also when tests run in several processes: who comes second finds the folder already that far."""
    base = tmp_path_factory.getbasetemp()
    out = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "simulated_market"
    out.mkdir(exist_ok=True)
    with (out.parent / "simulated_market.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        simulate(out, UNTIL, start=START, scale=SCALE, seed=3)
    return out
