"""The marketplace's own tables, read from a folder of files. They are the outside world: nothing here writes them."""

import os
import re
import sys
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from wanderbricks_assets.contracts.contract import Column, Contract
from wanderbricks_assets.contracts.source import SOURCE
from wanderbricks_assets.lazy import Table, ibis, np, pa
from wanderbricks_assets.resources.engine import NotAFile, read_csv, read_parquet
from wanderbricks_assets.resources.lake import input_window
from wanderbricks_assets.window import Window

if TYPE_CHECKING:
    import ibis.expr.datatypes as dt


# A file that unpacks to less is harmless; tables that pack better than this are not seen.
_SMALL, _MOST_UNPACKED = 256 * 2**20, 100
_DAY_FOLDER = re.compile(r"date=\d{4}-\d{2}-\d{2}")


class SourceError(Exception):
    """A source table that cannot be read, with the file, what was found in it and what was expected."""


class FilesSource(dg.ConfigurableResource):
    """A folder with `<table>.parquet`, `<table>.csv`, or `<table>/date=YYYY-MM-DD/*.parquet`."""

    folder: str

    def read(self, name: str, window: Window | None = None) -> Table:
        """The rows of a table, or of a window of it, in the columns and types of its contract.

        An optional table that is not there is empty. Raises SourceError, naming the file, when a required table is
        missing, a column is missing or a type does not fit.
        """
        contract = SOURCE[name]
        files = self.files(name, window)
        if files:
            rows = _rows(contract, files)
        elif contract.required and not self.has(name):
            raise SourceError(
                f"{self.folder}: no {name}.parquet, {name}.csv or {name}/date=*/*.parquet; {name} is required "
                "(`wanderbricks simulate` makes a whole marketplace)"
            )
        else:
            rows = contract.conform(ibis.memtable(contract.empty()))
        if window and contract.time_column:
            rows = rows.filter(window.contains(rows[contract.time_column]))
        return rows

    def columns(self, name: str, window: Window | None = None) -> dict[str, str]:
        """The columns of a table as they are delivered, with their Ibis types; empty when nothing is."""
        first = self.files(name, window)[:1]
        if not first:
            return {}
        _refuse_pattern(first[0])
        return {column: str(type_) for column, type_ in _scan(first).schema().items()}

    def undated(self, name: str, window: Window | None = None) -> Table:
        """The rows of an event table that carry no time, and so lie in no window, with `day`: that of their folder.

        They are those of the folders of a window; without one those that lie in no day's folder, with a null day.
        """
        contract = SOURCE[name]
        in_folders = self._file(name) is None
        files = [] if in_folders == (window is None) else self.files(name, window)
        if not files:
            return contract.conform(ibis.memtable(contract.empty())).mutate(day=ibis.null("date"))
        rows = _rows(contract, files, "day") if in_folders else _rows(contract, files).mutate(day=ibis.null("date"))
        return rows.filter(rows[contract.time_column].isnull())

    def require(self) -> None:
        """Raise SourceError when required tables are missing, naming them all, or do not fit their contracts."""
        required = [name for name, contract in SOURCE.items() if contract.required]
        missing = [name for name in required if not self.has(name)]
        if missing:
            raise SourceError(
                f"{self.folder} has no {', '.join(missing)} (as TABLE.parquet, TABLE.csv or TABLE/date=*/*.parquet); "
                "`wanderbricks simulate` makes a whole marketplace"
            )
        for name in required:  # no home has been entered yet, so none has an engine
            _rows(SOURCE[name], self.files(name)[:1], here=True)  # whoever reads the others looks at them

    def has(self, name: str) -> bool:
        """Whether a table is delivered at all."""
        return self._file(name) is not None or any((Path(self.folder) / name).glob("date=*/*.parquet"))

    def files(self, name: str, window: Window | None = None) -> list[Path]:
        """The files that hold a table; of a table in daily folders, only those of the window's days."""
        if file := self._file(name):
            return [file]
        folder = os.path.join(self.folder, name)  # pathlib takes ten times as long for thousands of folders
        days = sorted(day for day in _listed(folder) if day.startswith("date="))
        wanted = (os.path.join(folder, day) for day in days if window is None or _touches(day, window))
        return [Path(day, file) for day in wanted for file in sorted(_listed(day)) if file.endswith(".parquet")]

    def newest(self, name: str) -> datetime | None:
        """The time of the newest event, for which of a table in daily folders only the last are read."""
        contract, files = SOURCE[name], self.files(name)
        if not files:
            return _newest(contract, self.read(name))
        if self._file(name) is None:  # folders of no day would come last
            files = [file for file in files if _DAY_FOLDER.fullmatch(file.parent.name)]
        folders = (list(group) for _, group in groupby(reversed(files), lambda file: file.parent))
        newest = (_newest(contract, _rows(contract, group)) for group in folders)
        return next((moment for moment in newest if moment is not None), None)

    def _file(self, name: str) -> Path | None:
        """The one file that holds a table, where it is not cut into days."""
        files = (Path(self.folder) / f"{name}{suffix}" for suffix in (".parquet", ".csv"))
        return next((file for file in files if file.exists()), None)


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _newest(contract: Contract, rows: Table) -> datetime | None:
    return rows[contract.time_column].max().to_pyarrow().as_py()


class SourceIOManager(dg.ConfigurableIOManager):
    """Loads source tables as inputs of gold assets; refuses to write."""

    source: dg.ResourceDependency[FilesSource]

    def load_input(self, context: dg.InputContext) -> Table:
        return self.source.read(context.asset_key.path[-1], input_window(context))

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        raise NotImplementedError(
            f"{context.asset_key.to_user_string()} belongs to the marketplace and is never written"
        )


def _touches(folder_name: str, window: Window) -> bool:
    day = folder_name.removeprefix("date=")
    return day <= window.last_day.isoformat() and (window.opens or day >= window.first_day.isoformat())


def _rows(contract: Contract, files: Sequence[Path], day: str | None = None, here: bool = False) -> Table:
    """The rows of files, each read by its own columns and types: engines read all by those of the first, and fail in
    their own words, or fill up with nulls (Spark), where others differ. `day` names a column for the folders' days."""
    alike: dict[str, list[Path]] = {}
    for file in files:
        alike.setdefault(_layout(file), []).append(file)
    first, *others = (_conformed(contract, some, day, here) for some in alike.values())
    return first.union(*others) if others else first


def _conformed(contract: Contract, files: Sequence[Path], day: str | None, here: bool) -> Table:
    rows = _scan(files, hive_partitioning=day is not None, here=here)
    more = {} if day is None else {day: rows["date"].cast("date")}
    try:
        return conform(contract, files[0], rows, **more)
    except SourceError:
        if len(files) > 1:  # name the one whose text is at fault
            for file in files:
                conform(contract, file, _scan([file], here=here))
        raise


def _scan(files: Sequence[Path], hive_partitioning: bool = False, here: bool = False) -> Table:
    try:
        return read_csv(files[0], here) if _is_csv(files[0]) else read_parquet(files, hive_partitioning, here)
    except NotAFile as error:
        raise SourceError(f"{files[0]} cannot be read: {error}") from error


def _is_csv(file: Path) -> bool:
    return file.suffix == ".csv"


def _layout(file: Path) -> str:
    """The columns and types that a Parquet file says it has. Raises SourceError when it is none, or not to be read."""
    if _is_csv(file):
        return ""
    _refuse_pattern(file)
    about = os.stat(file)
    return _layout_in_footer(file, about.st_size, about.st_mtime_ns)


def _refuse_pattern(file: Path) -> None:
    """Engines take such a name for a pattern, and read what else it fits a second time."""
    if odd := set("*?[") & {*file.name, *file.parent.name}:
        raise SourceError(f"{file}: a name with '{odd.pop()}' is read as a pattern; give the file another")


@lru_cache(maxsize=100_000)
def _layout_in_footer(file: Path, packed: int, changed_at: int) -> str:
    """What unpacks to much more than it has would fill the memory, and is refused. (One long text that a dictionary
    repeats is not seen: its footer tells neither.)"""
    import pyarrow.parquet as pq

    try:
        about = pq.read_metadata(file)
        layout = sys.intern(str(about.schema.to_arrow_schema().remove_metadata()))  # thousands of files share one
    except (OSError, pa.ArrowException) as error:
        raise SourceError(f"{file} cannot be read: {str(error).splitlines()[0]}") from error
    values = sum(about.row_group(place).total_byte_size for place in range(about.num_row_groups))
    unpacked = max(values, about.num_rows * about.num_columns)  # a value that repeats is stored once
    if unpacked > max(_SMALL, _MOST_UNPACKED * packed):
        raise SourceError(
            f"{file}: {packed:,} bytes that unpack to {unpacked:,}, more than {_MOST_UNPACKED} times as many, are not "
            "believed; write it anew, or leave it out"
        )
    return layout


def conform(contract: Contract, where: Path | str, rows: Table, **more: "ibis.Value") -> Table:
    """The rows in the columns and types of the contract, and `more` columns. `where` they came from is in errors."""
    for column in contract.columns:
        if column.name not in rows.columns:
            raise SourceError(
                f"{where}: column '{column.name}' is missing (found: {', '.join(rows.columns)}); "
                "see docs/data-dictionary.md"
            )
    for name, wanted in contract.schema.items():
        _check_type(where, rows, name, wanted)
    fitted = {
        column.name: _within_reach(rows[column.name], column, contract.schema[column.name])
        for column in contract.columns
    }
    return contract.conform(rows.mutate(**fitted), **more)


def _within_reach(value: "ibis.Value", column: Column, wanted: "dt.DataType") -> "ibis.Value":
    """A value that a column of the contract can hold, or null.

    NaN is null: many writers put it where a value is missing, and Parquet's statistics leave it out, so that DuckDB
    says of a column with it that nothing is above the maximum. A number beyond the type is held to its end where the
    contract has a maximum, which it then breaks, and is null in other columns, those of ids: a cast would fail, and the
    whole table with it. An id that is no whole number is null, too: it would be rounded to that of another.
    """
    is_id = column.maximum is None
    if value.type().is_string() and wanted.is_numeric():  # text of numbers, as `_check_type` has seen
        text, value = value, value.cast("float64" if wanted.is_floating() else wanted)
        if is_id and wanted.is_integer():
            number = text.cast("float64")
            value = (number == number.floor()).ifelse(value, ibis.null())
    found = value.type()
    if found.is_floating():
        value = value.isnan().ifelse(ibis.null(), value)
    if found == wanted or not found.is_numeric() or not wanted.is_numeric():
        return value
    if found.is_floating() or (found.is_decimal() and wanted.is_integer()):
        value = value.cast("float64")  # shorter floats round the ends to what is beyond them, decimals cannot say them
    most = _most(wanted)
    fits = value.between(-most, most)
    if is_id and wanted.is_integer() and value.type().is_floating():
        fits &= value == value.floor()
    return fits.ifelse(value, ibis.null()) if is_id else value.clip(-most, most)


def _most(kind: "dt.DataType") -> float | int:
    """The greatest number of a type, or one a little smaller that a float can say."""
    if kind.is_integer():
        return int(np.nextafter(float(kind.bounds.upper), 0)) if kind.nbytes == 8 else kind.bounds.upper
    return 10 ** (kind.precision - kind.scale) - 1 if kind.is_decimal() else float(np.finfo(kind.to_numpy()).max)


def _check_type(where: Path | str, rows: Table, name: str, wanted: "dt.DataType") -> None:
    found = rows.schema()[name]
    if found.is_string() and not wanted.is_string():
        # Text may hold numbers and dates, as it does in CSV files: only the values can tell.
        unfit = rows.filter(rows[name].notnull() & rows[name].try_cast(wanted).isnull())
        values = unfit.select(name).limit(1).to_pyarrow()[name].to_pylist()
        fits, what = not values, f"holds {str(values)[:100]}"
    else:
        fits, what = _is_like(found, wanted), f"is {found}"
    if not fits:
        raise SourceError(f"{where}: column '{name}' {what}, not {wanted}; see docs/data-dictionary.md")


def _is_like(found: "dt.DataType", wanted: "dt.DataType") -> bool:
    """Whether casting changes no meaning: another width of number, a day for a moment."""
    if wanted.is_struct() and found.is_struct():
        return bool({*wanted.names} & {*found.names})
    if wanted.is_string() or found.is_null() or type(found) is type(wanted):
        return True
    if wanted.is_date() or wanted.is_timestamp():
        return found.is_date() or found.is_timestamp()
    return found.is_numeric() and (wanted.is_numeric() or wanted.is_boolean())
