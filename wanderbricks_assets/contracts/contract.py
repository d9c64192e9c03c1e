"""What a table holds, said once: schemas, Dagster metadata, data checks and the data dictionary all read it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from wanderbricks_assets.lazy import Table, ibis, pa


@dataclass(frozen=True)
class Column:
    """One column: its Ibis type, its meaning, and what a row must satisfy to be believed.

    `minimum` and `maximum` are inclusive; `references` is `table.column`; `grows_daily` marks a count of days that
    grows by itself; `identifies` marks what tells who a person is, and may not be exported. Times are naive and mean
    UTC; money is in the marketplace's one currency (the source names none).
    """

    name: str
    type: str
    description: str = ""
    unit: str | None = None
    nullable: bool = True
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] = ()
    references: str | None = None
    grows_daily: bool = False
    identifies: bool = False


@dataclass(frozen=True)
class Contract:
    """One table: its columns, its key, and the column its partitions are cut by.

    `time_column` is the date or timestamp that says which partition a row belongs to; a table without one is replaced
    whole. `required` marks the source tables without which nothing can run, `append_only` a record that is never
    rewritten.
    """

    name: str
    description: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    time_column: str | None = None
    required: bool = False
    append_only: bool = False

    @cached_property
    def schema(self) -> ibis.Schema:
        return ibis.schema({column.name: column.type for column in self.columns})

    @cached_property
    def arrow_schema(self) -> pa.Schema:
        return self.schema.to_pyarrow()

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

    def conform(self, rows: Table, **more: ibis.Value) -> Table:
        """The rows with exactly this contract's columns, in its order and types, and `more` columns.

        Raises ValueError when a column is missing: a transform that forgets a column must not write nulls in silence.
        """
        missing = [column.name for column in self.columns if column.name not in rows.columns]
        if missing:
            raise ValueError(f"{self.name}: columns {missing} are missing (found: {', '.join(rows.columns)})")
        return rows.select(*self.schema.names, **more).cast(dict(self.schema.items()))

    def empty(self) -> pa.Table:
        return self.arrow_schema.empty_table()


def table(name: str, description: str, *columns: Column, key: str, **rest) -> Contract:
    return Contract(name, description, columns, key=tuple(key.split()), **rest)
