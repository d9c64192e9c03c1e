"""What the source held, and when it was looked at: how late data is told from data that a run has already read."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg

from wanderbricks_assets.contracts.source import SOURCE
from wanderbricks_assets.lazy import pd
from wanderbricks_assets.resources.engine import duckdb_engine
from wanderbricks_assets.resources.source import FilesSource

_KEPT = 100
# The first look reads the rows of so many days only. Should an older file change, all of its hours count as changed.
_FIRST_LOOK_DAYS = 30
_COLUMNS = ["table", "file", "changed_ns", "size", "hour", "rows", "digest"]


@dataclass(frozen=True)
class Observation:
    """The source at a moment: per file and hour of event time the number of rows and the sum of their hashes, of files
    long past by day and without hashes.

    at: unix time before the first file was looked at. content: columns table, file, changed_ns, size (of the file),
    hour (null in tables without a time), rows, digest (64 bits, wrapping).
    """

    name: str
    at: float
    content: pd.DataFrame

    def changes_since(self, before: Observation) -> Mapping[str, set[datetime | None]]:
        """Per table the hours (None in tables without a time) of which rows came, went or changed."""
        both = pd.concat([before.content.assign(side=-1), self.content.assign(side=1)], ignore_index=True)
        both = both[~both.duplicated(_COLUMNS, keep=False)]  # what lies in a file that nobody touched
        if both.empty:
            return {}
        both["rows"] *= both.side
        both["digest"] = both.digest.where(both.side > 0, -both.digest)  # modulo 2**64
        sums = both.groupby(["table", "hour"], dropna=False)[["rows", "digest"]].sum()
        changed = sums[(sums.rows != 0) | (sums.digest != 0)].reset_index()
        return {
            table: {None if pd.isna(hour) else hour.to_pydatetime() for hour in hours}
            for table, hours in changed.groupby("table").hour
        }

    def summary(self, table: str) -> dict[str, Any]:
        """Rows and, of tables with a time, the hour of the newest event."""
        rows = self.content[self.content.table == table]
        newest = rows.hour.max()
        return {"rows": int(rows.rows.sum())} | ({} if pd.isna(newest) else {"newest_event_in_hour": str(newest)})


class SourceJournal(dg.ConfigurableResource):
    """Observations of the source, one file each in `folder`, named by number, moment and content.

    Files appear whole or not at all. Whoever reads the source to materialize from it observes it first.
    """

    folder: str

    def names(self) -> list[str]:
        """The observations, oldest first."""
        return sorted(file.stem for file in Path(self.folder).glob("*.parquet"))

    def read(self, name: str) -> Observation:
        return Observation(name, int(name.split("-")[1]) / 1000, pd.read_parquet(self._file(name)))

    def observe(self, source: FilesSource) -> Observation:
        """The source as it stands; the newest observation itself when nothing has changed. Only files that have
        another size or time than at the newest observation are read; one that cannot be read has no rows.
        """
        at = time.time()
        names = self.names()
        newest = self.read(names[-1]) if names else None
        content = _content(source, newest.content if newest else None)
        if newest is not None and content is newest.content:
            return newest
        digest = hashlib.sha256(pd.util.hash_pandas_object(content, index=False).to_numpy().tobytes()).hexdigest()[:12]
        number = int(names[-1].split("-")[0]) + 1 if names else 1
        name = f"{number:08d}-{int(at * 1000)}-{digest}"
        Path(self.folder).mkdir(parents=True, exist_ok=True)
        temporary = Path(self.folder) / f".{name}.{os.getpid()}"
        content.to_parquet(temporary, index=False)
        temporary.replace(self._file(name))
        self.forget(*self.names()[:-_KEPT])
        return Observation(name, at, content)

    def forget(self, *names: str) -> None:
        for name in names:
            self._file(name).unlink(missing_ok=True)

    def _file(self, name: str) -> Path:
        return Path(self.folder) / f"{name}.parquet"


def _content(source: FilesSource, known: pd.DataFrame | None) -> pd.DataFrame:
    found, begin = [], len(str(Path(source.folder) / "x")) - 1
    for table in SOURCE:
        for file in map(str, source.files(table)):
            stat = os.stat(file)
            found.append((table, file[begin:], stat.st_mtime_ns, stat.st_size))
    files = pd.DataFrame(found, columns=_COLUMNS[:4])
    if known is None:
        kept, fresh = None, files
    else:
        listed = known[_COLUMNS[:4]].drop_duplicates()
        if len(files) == len(listed) and len(files.merge(listed)) == len(files):
            return known
        kept = known.merge(files)
        fresh = files.merge(listed, how="left", indicator=True).query("_merge == 'left_only'").drop(columns="_merge")
    long_past = _long_past(fresh) if known is None else pd.Series(False, fresh.index)
    parts = [_digests(source, table, group) for table, group in fresh[~long_past].groupby("table", sort=False)]
    parts += [_counts(source, fresh[long_past])] if long_past.any() else []
    parts = [part for part in (kept, *parts) if part is not None and len(part)]
    content = pd.concat(parts, ignore_index=True) if parts else _typed(files.assign(hour=None, rows=0, digest=0))
    return _typed(content).sort_values(["table", "file", "hour"], ignore_index=True)


def _long_past(files: pd.DataFrame) -> pd.Series:
    """[files] whether a file lies in the folder of a day long before the newest of its table."""
    day = _day_of_folder(files)
    return files.file.str.endswith(".parquet") & (
        day < day.groupby(files.table).transform("max") - pd.Timedelta(_FIRST_LOOK_DAYS, "D")
    )


def _day_of_folder(files: pd.DataFrame) -> pd.Series:
    return pd.to_datetime(files.file.str.extract(r"date=(\d{4}-\d{2}-\d{2})/", expand=False), errors="coerce")


def _counts(source: FilesSource, files: pd.DataFrame) -> pd.DataFrame:
    """The rows of whole files, by the day of their folder, from what the files say of themselves."""
    from duckdb import Error

    paths = [str(Path(source.folder) / file) for file in files.file]
    query = "SELECT file_name AS path, num_rows AS rows FROM parquet_file_metadata($1)"
    try:
        counts = duckdb_engine().con.execute(query, [paths]).df()
    except Error:  # one of them cannot be read; the longer way finds out which
        parts = [_digests(source, table, group) for table, group in files.groupby("table", sort=False)]
        return pd.concat(parts, ignore_index=True)
    return _typed(files.assign(path=paths, hour=_day_of_folder(files), digest=0).merge(counts, on="path"))


def _digests(source: FilesSource, table: str, files: pd.DataFrame) -> pd.DataFrame:
    from duckdb import Error

    contract, paths = SOURCE[table], [str(Path(source.folder) / file) for file in files.file]
    columns = ", ".join(f'"{column.name}"' for column in contract.columns)
    hour = "NULL::TIMESTAMP"
    if contract.time_column:  # an event without a time belongs to the day of its folder
        day = "TRY_CAST(regexp_extract(filename, 'date=([0-9-]{10})', 1) AS TIMESTAMP)"
        hour = f"coalesce(date_trunc('hour', TRY_CAST(\"{contract.time_column}\" AS TIMESTAMP)), {day})"
    is_text = paths[0].endswith(".csv")
    how = "csv($1, filename=true)" if is_text else "parquet($1, filename=true, hive_partitioning=false)"
    query = f"""
        SELECT filename AS path, {hour} AS hour, count(*) AS rows,
            CAST(sum(hash({columns})) % 18446744073709551616 AS UBIGINT) AS digest
        FROM read_{how} GROUP BY ALL
    """
    try:
        rows = duckdb_engine().con.execute(query, [paths]).df()
    except Error:
        if len(files) > 1:
            parts = [_digests(source, table, files.iloc[[number]]) for number in range(len(files))]
            return pd.concat(parts, ignore_index=True)
        # Whoever materializes from a file that cannot be read says so; once it is mended, its hours count as changed.
        return _typed(files.assign(hour=pd.NaT, rows=0, digest=0))
    files = files.assign(path=paths)
    empty = files[~files.path.isin(rows.path)].assign(hour=pd.NaT, rows=0, digest=0)  # they were looked at too
    both = [_typed(part) for part in (files.merge(rows, on="path"), empty) if len(part)]
    return pd.concat(both, ignore_index=True)


def _typed(content: pd.DataFrame) -> pd.DataFrame:
    types = {"hour": "datetime64[us]", "rows": "int64", "digest": "uint64"}
    return content[_COLUMNS].astype(types)
