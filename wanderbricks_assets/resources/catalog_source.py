"""The marketplace's own tables, read from a schema of Spark's catalog, as `samples.wanderbricks` of Databricks."""

from pathlib import Path

from wanderbricks_assets.contracts.source import SOURCE
from wanderbricks_assets.lazy import Table, ibis
from wanderbricks_assets.resources.source import FilesSource, SourceError, conform
from wanderbricks_assets.settings import Settings
from wanderbricks_assets.window import Window


class CatalogSource(FilesSource):
    """Tables of `database` (catalog.schema), in the columns of the contracts; they lie in no files to be watched."""

    folder: str = ""
    database: str

    def read(self, name: str, window: Window | None = None) -> Table:
        contract = SOURCE[name]
        if self.has(name):
            rows = conform(contract, self._name(name), self._stored(name))
        elif contract.required:
            raise SourceError(f"{self.database} has no table {name}, which is required")
        else:
            rows = contract.conform(ibis.memtable(contract.empty()))
        return rows.filter(window.contains(rows[contract.time_column])) if window and contract.time_column else rows

    def has(self, name: str) -> bool:
        from wanderbricks_assets.resources.engine import engine

        return engine().session.catalog.tableExists(self._name(name))

    def files(self, name: str, window: Window | None = None) -> list[Path]:
        return []

    def columns(self, name: str, window: Window | None = None) -> dict[str, str]:
        return {column: str(type_) for column, type_ in self._stored(name).schema().items()} if self.has(name) else {}

    def undated(self, name: str, window: Window | None = None) -> Table:
        """The rows without a time; they belong to no day, so that a window has none."""
        contract = SOURCE[name]
        if window or not self.has(name):
            rows = contract.conform(ibis.memtable(contract.empty()))
        else:
            rows = conform(contract, self._name(name), self._stored(name))
        return rows.filter(rows[contract.time_column].isnull()).mutate(day=ibis.null("date"))

    def _name(self, name: str) -> str:
        return f"{self.database}.{name}"

    def _stored(self, name: str) -> Table:
        from wanderbricks_assets.resources.engine import engine

        return engine().catalog_table(self._name(name))


def source_of(settings: Settings) -> FilesSource:
    """The source of a home: files, or with the profile databricks tables of a catalog."""
    if settings.profile == "databricks":
        return CatalogSource(database=settings.databricks_source)
    return FilesSource(folder=str(settings.source_folder))
