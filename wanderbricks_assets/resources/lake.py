"""The lake: Delta tables that are read as Ibis expressions and written one window at a time."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import dagster as dg

from wanderbricks_assets.contracts.contract import Contract
from wanderbricks_assets.contracts.tables import LAKE
from wanderbricks_assets.lazy import Table, ibis, pa
from wanderbricks_assets.resources.engine import computed, read_parquet
from wanderbricks_assets.window import Window

if TYPE_CHECKING:
    from deltalake import DeltaTable

MONTH = "month"  # the storage partition: replacing a day rewrites at most its month's files
KEPT_DAYS = 7  # that a file is kept after it was replaced: no run takes so long, and Delta's own default
MOST_ROWS = 3_000_000  # or so, that a window is filled with at a time: about three gigabytes
FILLED_AT_ONCE = timedelta(days=7)
_ATTEMPTS = 20
_Result = TypeVar("_Result")


class CannotWrite(Exception):
    """A table that could not be written; the message says where, why, and that nothing of it was, or how far."""


class Lake(dg.ConfigurableResource):
    """Tables in `folder`, one Delta table each, in the columns and types of their contract.

    A write is one Delta commit: a process killed at any moment leaves the old rows of a window or the new ones, never a
    mixture. Only `fill` cuts a long window into several.
    """

    folder: str

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return self.folder

    def read(self, name: str, window: Window | None = None) -> Table:
        """The rows of a table, or of a window of it, as an expression; a table never written is empty.

        Only the files that can hold rows of the window are opened.
        """
        contract = LAKE[name]
        rows = self._rows(contract, self._files(contract, window))
        return rows.filter(window.contains(rows[contract.time_column])) if window else rows

    def replace(self, name: str, rows: Table, window: Window | None = None) -> int:
        """Replace exactly the rows of a window (the whole table without one) and return how many were written.

        Repeating it changes nothing. When another process wrote to the table meanwhile the write is tried again from
        the start; on the same window the last one wins whole. Raises ValueError when a row lies outside the window
        or the table has no such windows, and CannotWrite when the disk or the folder refuses; then nothing has changed.
        """
        contract = LAKE[name]
        check_kind(contract, whole=window is None)
        arrow = computed(_stored(contract, rows) if window else contract.conform(rows))
        if window and len(arrow):
            times = arrow[contract.time_column]  # the rows are ordered by time
            check_window(contract, times[0].as_py(), times[-1].as_py(), window)
        with self._saying_what_could_not_be_written(name):
            _until_committed(lambda: self._commit(contract, arrow, window))
        return len(arrow)

    def fill(self, name: str, rows_of: Callable[[Window], Table], window: Window) -> int:
        """Replace the rows of a window by what `rows_of` gives for it, and return how many were written.

        A long window is filled piece by piece, each one a commit, as all its rows might not fit into memory: as many
        days as make MOST_ROWS at the rate of its last day, as marketplaces grow, or of the piece before, if that is
        greater. After a kill the first pieces are new and the others as they were; CannotWrite says how far it came.
        """
        if window.end - window.start <= FILLED_AT_ONCE:
            return self.replace(name, rows_of(window), window)
        last_day = Window(window.end - timedelta(days=1), window.end)
        of_last_day = rows_of(last_day).count().to_pyarrow().as_py()
        count, start, rate = 0, window.start, of_last_day
        while start < window.end:
            days = min(max(1, MOST_ROWS // max(1, rate)), (window.end - start).days + 1)
            end = min(start + timedelta(days=days), window.end)
            piece = Window(start, end, opens=window.opens and start == window.start)
            try:
                rows = self.replace(name, rows_of(piece), piece)
            except CannotWrite as error:
                raise CannotWrite(
                    f"{error} (Days before {start:%Y-%m-%d} are written.)" if count else str(error)
                ) from error
            count, start, rate = count + rows, end, max(of_last_day, rows // days)
        return count

    def revise(self, name: str, revision: Callable[[Table], Table]) -> int:
        """Replace a table that has no windows by what `revision` makes of its rows; returns how many were written.

        What another process commits between reading and writing is not lost: the rows are read, and revised, again.
        """
        contract = LAKE[name]
        check_kind(contract, whole=True)

        def attempt() -> int:
            table = self._open(name)
            arrow = computed(contract.conform(revision(self._rows(contract, table.file_uris() if table else []))))
            self._commit_whole(contract, arrow, table)
            return len(arrow)

        with self._saying_what_could_not_be_written(name):
            return _until_committed(attempt)

    def append(self, name: str, rows: Table) -> int:
        """Add rows to a table that is a record and never rewritten, in one commit, and return how many they are.

        Any number of processes may append at once; none waits for another or loses a row.
        """
        from deltalake import write_deltalake

        contract = LAKE[name]
        if not contract.append_only:
            raise ValueError(f"{name} is written by window or whole, not appended to")
        arrow = computed(_stored(contract, rows))
        with self._saying_what_could_not_be_written(name):
            self._create(contract, arrow.schema)
            write_deltalake(self._uri(name), arrow, mode="append", partition_by=[MONTH])
        return len(arrow)

    def tidy(self, name: str) -> int:
        """Delete the files that were replaced, or that a killed writer left, KEPT_DAYS ago or longer, and the log
        entries that Delta keeps no longer (30 days); returns how many files were deleted.

        A reader that began within these days finds all of its files; the rows are those of before.
        """
        table = self._open(name)
        if table is None:
            return 0
        with self._saying_what_could_not_be_written(name):
            deleted = table.vacuum(retention_hours=24 * KEPT_DAYS, full=True)
            if deleted:  # otherwise its commits would be all that is new
                table.vacuum(retention_hours=24 * KEPT_DAYS, full=True, dry_run=False)
                table.update_incremental()
            table.create_checkpoint()
            table.cleanup_metadata()
        return len(deleted)

    def version(self, name: str) -> int | None:
        """The number of the table's newest commit; None while it was never written."""
        table = self._open(name)
        return table.version() if table else None

    def columns(self, name: str) -> dict[str, str]:
        """The columns of a table as they are stored, with their Ibis types; empty when it was never written.

        Without the one that the table is cut by where it is stored.
        """
        table = self._open(name)
        if table is None:
            return {}
        stored = ibis.Schema.from_pyarrow(pa.schema(table.schema().to_arrow()))
        partitions = table.metadata().partition_columns
        return {column: str(type_) for column, type_ in stored.items() if column not in partitions}

    @contextmanager
    def _saying_what_could_not_be_written(self, name: str) -> Iterator[None]:
        from deltalake.exceptions import DeltaError, SchemaMismatchError

        try:
            yield
        except (DeltaError, OSError) as error:
            remedy = (
                "Its stored columns are not those of its contract: reset the table (docs/runbook.md)"
                if isinstance(error, SchemaMismatchError)
                else "Look whether the disk is full and the folder may be written to; then run again"
            )
            raise CannotWrite(
                f"{name} could not be written to {self.folder}, and nothing of it was: {error}. {remedy}"
            ) from error

    def _rows(self, contract: Contract, files: list[str]) -> Table:
        if not files:
            return contract.conform(ibis.memtable(contract.empty()))
        # `month` is in the paths only, and stays there.
        return contract.conform(read_parquet(sorted(files)))

    def _commit(self, contract: Contract, arrow: "pa.Table", window: Window | None) -> None:
        from deltalake import write_deltalake

        uri = self._uri(contract.name)
        if window is None:
            self._commit_whole(contract, arrow, self._open(contract.name))
            return
        self._create(contract, arrow.schema)
        where = f"{_months(window)} AND {predicate(contract, window)}"
        write_deltalake(uri, arrow, mode="overwrite", predicate=where, partition_by=[MONTH])

    def _commit_whole(self, contract: Contract, arrow: "pa.Table", read: "DeltaTable | None") -> None:
        """Overwrite the table as it was read; CommitFailedError when it is another by now."""
        from deltalake import DeltaTable, write_deltalake
        from deltalake.exceptions import CommitFailedError, DeltaError

        if read is None:
            try:
                read = DeltaTable.create(self._uri(contract.name), schema=arrow.schema, mode="error")
            except DeltaError as error:
                if self._open(contract.name) is None:
                    raise
                raise CommitFailedError("another process created the table a moment ago") from error
        # Without the predicate two overwrites of an empty table do not conflict, and the rows of both stay.
        write_deltalake(read, arrow, mode="overwrite", predicate="true", schema_mode="overwrite")

    def _create(self, contract: Contract, schema: "pa.Schema") -> None:
        """Make a table that is cut by time, unless it is there."""
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError

        if self._open(contract.name) is None:
            # Another process may have created it a moment ago; if it cannot be created, the following write says why.
            with suppress(DeltaError):
                DeltaTable.create(self._uri(contract.name), schema=schema, mode="error", partition_by=[MONTH])

    def _files(self, contract: Contract, window: Window | None) -> list[str]:
        table = self._open(contract.name)
        if table is None:
            return []
        return table.file_uris() if window is None else list(self._files_in(table, contract, window))

    def _files_in(self, table: "DeltaTable", contract: Contract, window: Window) -> Iterator[str]:
        """The files whose least and greatest time, as Delta recorded them, touch the window."""
        actions = pa.table(table.get_add_actions(flatten=True))
        least, greatest = f"min.{contract.time_column}", f"max.{contract.time_column}"
        columns = [name for name in ("path", least, greatest) if name in actions.column_names]
        for action in actions.select(columns).to_pylist():
            low, high = action.get(least), action.get(greatest)
            if low is not None and _moment(low) >= window.end:
                continue
            if high is not None and _moment(high) < window.start and not window.opens:
                continue
            yield str(Path(self.folder) / contract.name / action["path"])

    def _open(self, name: str) -> "DeltaTable | None":
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        try:
            return DeltaTable(self._uri(name))
        except TableNotFoundError:
            return None

    def _uri(self, name: str) -> str:
        return str(Path(self.folder) / name)


class LakeIOManager(dg.ConfigurableIOManager):
    """Gives assets `Table` in and out: a range of partitions is one window of the lake.

    An asset may also give how the rows of any window are made, which `Lake.fill` asks for one after the other.
    """

    lake: dg.ResourceDependency[Lake]

    def handle_output(self, context: dg.OutputContext, obj: Table | Callable[[Window], Table]) -> None:
        from wanderbricks_assets.partitions import window_of

        name, window = context.asset_key.path[-1], None
        if context.has_asset_partitions:
            window = window_of(context.asset_partitions_def, context.asset_partition_key_range)
        write = self.lake.fill if callable(obj) else self.lake.replace
        count = write(name, obj, window)
        context.add_output_metadata({_row_count_name(context): count})

    def load_input(self, context: dg.InputContext) -> Table:
        return self.lake.read(context.asset_key.path[-1], input_window(context))


def input_window(context: dg.InputContext) -> Window | None:
    """The time that the upstream partitions of this input cover; None where the upstream has no partitions."""
    from wanderbricks_assets.partitions import window_of

    if not context.has_asset_partitions:
        return None
    return window_of(context.asset_partitions_def, context.asset_partition_key_range)


def _row_count_name(context: dg.OutputContext) -> str:
    """In a range run Dagster repeats the metadata for every partition, so the sum must not be named a partition's."""
    if not context.has_asset_partitions:
        return "dagster/row_count"
    keys = context.asset_partition_key_range
    return "dagster/partition_row_count" if keys.start == keys.end else "rows_of_all_partitions_in_this_run"


def _until_committed(commit: Callable[[], _Result]) -> _Result:
    """Try again, after a while that grows and differs between processes, what another process's commit came before."""
    from deltalake.exceptions import CommitFailedError

    for attempt in range(_ATTEMPTS):
        try:
            return commit()
        except CommitFailedError:
            if attempt == _ATTEMPTS - 1:
                raise
            time.sleep(random.uniform(0, 0.05 * 2 ** min(attempt, 6)))
    raise AssertionError("unreachable")


def check_kind(contract: Contract, whole: bool) -> None:
    """Raise ValueError unless the table is written this way."""
    if contract.append_only:
        raise ValueError(f"{contract.name} is a record: it is appended to and never replaced")
    if whole != (contract.time_column is None):
        raise ValueError(f"{contract.name} is written {'whole' if contract.time_column is None else 'by window'}")


def _stored(contract: Contract, rows: Table) -> Table:
    """The rows as a table that is cut by time stores them: with their month, in order."""
    rows = contract.conform(rows)
    keys = [key for key in contract.key if key != contract.time_column]
    month = rows[contract.time_column].strftime("%Y-%m")
    return rows.mutate(**{MONTH: month}).order_by([contract.time_column, *keys])


def predicate(contract: Contract, window: Window) -> str:
    """The window in SQL."""
    is_date = contract.schema[contract.time_column].is_date()
    start, end = (f"{moment:%Y-%m-%d}" if is_date else moment.isoformat() for moment in (window.start, window.end))
    before = f"{contract.time_column} < '{end}'"
    return before if window.opens else f"{before} AND {contract.time_column} >= '{start}'"


def _months(window: Window) -> str:
    """The months of a window in SQL: only their files are looked at."""
    until = f"{MONTH} <= '{window.last_day:%Y-%m}'"
    return until if window.opens else f"{until} AND {MONTH} >= '{window.start:%Y-%m}'"


def check_window(contract: Contract, first: date | datetime, last: date | datetime, window: Window) -> None:
    """Raise ValueError unless rows from `first` to `last` lie in the window."""
    low, high = _moment(first), _moment(last)
    if high >= window.end or (low < window.start and not window.opens):
        raise ValueError(
            f"{contract.name}: rows from {low} to {high} do not fit the window from {window.start} to {window.end}; "
            "the transform must give only rows of the partitions it was asked for"
        )


def _moment(value: date | datetime | str) -> datetime:
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001 (all times here are naive UTC)
    return value.replace(tzinfo=None)
