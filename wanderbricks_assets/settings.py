"""What a person can set, in one place: by WANDERBRICKS_* variables, or once per home in `<home>/settings.json`."""

import importlib.metadata
import json
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

YEARS_OF_HISTORY = 3
DAYS_OF_HOURS = 300
DEFAULT_HOME = Path(".wanderbricks")
# Neither secrets nor folders of this machine.
_OF_A_TASK = {"seed", "profile", "mlflow_tracking_uri", "databricks_schema", "databricks_source", "databricks_volume"}


class Settings(BaseSettings):
    """Settings of one home. A home keeps its source, start and engine, so that every later command and the UI agree."""

    model_config = SettingsConfigDict(env_prefix="WANDERBRICKS_", extra="forbid", validate_default=True)

    home: Path = Field(DEFAULT_HOME, description="folder of this installation's lake, MLflow and Dagster storage")
    source: Path | None = Field(None, description="folder of source tables; <home>/source when not given")
    start: date | None = Field(None, description="first day of history; by default three years before the first run")
    hourly_start: date | None = Field(
        None,
        description=f"first day of hourly features; by default {DAYS_OF_HOURS} days before the first run",
    )
    engine: Literal["duckdb", "spark"] = Field(
        "duckdb",
        description="what computes tables, and where they are: DuckDB, in Delta tables of <home>/lake; Spark, in its "
        "catalog (a local session, or the Spark Connect server that SPARK_REMOTE names)",
    )
    spark_schema: str = Field(
        "wanderbricks", description="schema of the lake's tables in Spark's catalog, or catalog.schema"
    )
    seed: int = Field(0, description="seed of every random choice in training")

    mlflow_tracking_uri: str | None = Field(None, description="MLflow server; <home>/mlflow.db when not given")
    serve_token: SecretStr | None = Field(
        None, min_length=8, description="what `wanderbricks serve` asks of every request; needed beyond loopback"
    )

    alert_urls: SecretStr | None = Field(
        None,
        description="who is told of failures: Apprise URLs between spaces or newlines, each as [tag,tag=]url. A tag is "
        "an owner (team:revenue, an e-mail address) or a severity (error, warn); a URL without tags gets everything",
    )
    alerts_database: str | None = Field(
        None,
        description="SQLAlchemy URL of the outbox of alerts; by default Dagster's Postgres, else <home>/alerts.db",
    )
    ui_url: str = Field("http://127.0.0.1:3000", description="address of the Dagster UI, for links in alerts")

    profile: Literal["local", "databricks"] = Field(
        "local", description="where assets are computed: in this process, or as jobs of a Databricks workspace"
    )
    databricks_schema: str = Field(
        "main.wanderbricks",
        pattern=r"^\w+\.\w+$",
        description="catalog.schema of Unity Catalog that holds the tables and the models",
    )
    databricks_source: str = Field(
        "samples.wanderbricks", pattern=r"^\w+\.\w+$", description="catalog.schema that holds the source tables"
    )
    databricks_volume: str | None = Field(
        None, description="volume for the wheel, messages of jobs and exports; /Volumes/<catalog>/<schema>/files"
    )
    databricks_wheel: str | None = Field(
        None, description="this package's wheel, as jobs install it; <volume>/wheels/<name of the wheel>.whl"
    )
    databricks_compute: Literal["serverless", "cluster"] = Field("serverless", description="what jobs run on")
    databricks_cluster: dict[str, Any] = Field(
        {
            "spark_version": "16.4.x-cpu-ml-scala2.12",  # has the models' libraries
            "node_type_id": "i3.xlarge",
            "num_workers": 1,  # enough for the sample
            "data_security_mode": "SINGLE_USER",  # without it a job cluster sees no Unity Catalog
        },
        description='JSON of the job cluster (`new_cluster` of the Jobs API), or {"existing_cluster_id": ...}',
    )
    in_task: bool = Field(False, description="set in jobs themselves: tables are those of the Spark around them")
    databricks_poll_seconds: float = Field(5, gt=0, description="how often a job is asked how it is, in seconds")

    @field_validator("home", "source")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return path.expanduser().resolve() if path else None

    @model_validator(mode="after")
    def _engine_of_databricks(self) -> Self:
        if self.profile == "databricks":
            self.engine, self.spark_schema = "spark", self.databricks_schema
        return self

    @field_validator("ui_url")
    @classmethod
    def _without_slash(cls, address: str) -> str:
        return address.rstrip("/")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        home = Path(init_settings().get("home") or env_settings().get("home") or DEFAULT_HOME)
        return init_settings, env_settings, _SavedSettings(settings_cls, home / "settings.json")

    @property
    def source_folder(self) -> Path:
        return self.source or self.home / "source"

    @property
    def lake_folder(self) -> Path:
        return self.home / "lake"

    @property
    def spark_folder(self) -> Path:
        """Catalog and tables of a local Spark."""
        return self.home / "spark"

    @property
    def online_view(self) -> Path:
        return self.home / "online" / "view.db"

    @property
    def dagster_home(self) -> Path:
        return self.home / "dagster"

    @property
    def alerts_page(self) -> Path:
        return self.home / "alerts.html"

    @property
    def rules_folder(self) -> Path:
        return self.home / "rules"

    @property
    def exports_folder(self) -> Path:
        return self.home / "exports"

    @property
    def tracking_uri(self) -> str:
        if self.profile == "databricks" and not self.mlflow_tracking_uri:
            return "databricks"
        return self.mlflow_tracking_uri or f"sqlite:///{self.home / 'mlflow.db'}"

    @property
    def volume(self) -> str:
        return self.databricks_volume or f"/Volumes/{self.databricks_schema.replace('.', '/')}/files"

    @property
    def wheel(self) -> str:
        return self.databricks_wheel or f"{self.volume}/wheels/wanderbricks_assets-{version()}-py3-none-any.whl"

    def for_task(self) -> dict[str, str]:
        """The environment of a task elsewhere that is to do what this process would do. It holds no secrets."""
        if self.mlflow_tracking_uri and urlsplit(self.mlflow_tracking_uri).password:
            raise ValueError("WANDERBRICKS_MLFLOW_TRACKING_URI holds a password, which would be written into every job")
        return {
            f"WANDERBRICKS_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
            for name, value in self.model_dump(mode="json", include=_OF_A_TASK).items()
            if value is not None
        } | {
            "WANDERBRICKS_IN_TASK": "true",
            "WANDERBRICKS_HOME": f"{self.volume}/home",
            "WANDERBRICKS_START": self.first_day.isoformat(),
            "WANDERBRICKS_HOURLY_START": self.first_hourly_day.isoformat(),
        }

    @property
    def is_made(self) -> bool:
        """Whether a first run has made this home."""
        return (self.home / "settings.json").exists()

    @property
    def first_day(self) -> date:
        return self.start or default_start(_today())

    @property
    def first_hourly_day(self) -> date:
        """Ten months of hours: no model looks at older ones, and each costs an event in the log."""
        return self.hourly_start or default_hourly_start(self.first_day, _today())

    def save(self) -> None:
        """Keep what defines this home, so that `wanderbricks up` and the UI see what `wanderbricks run` saw.

        Raises ValueError when the home was made with another source, start or engine: its tables would mix two
        histories, or lie elsewhere.
        """
        wanted = {"source": str(self.source_folder), "start": self.first_day.isoformat()}
        wanted |= {"hourly_start": self.first_hourly_day.isoformat(), "engine": self.engine}
        file = self.home / "settings.json"
        if file.exists():
            for name, saved in ({"engine": "duckdb"} | _saved(file)).items():  # homes are older than the choice
                if name in wanted and saved != wanted[name]:
                    raise ValueError(
                        f"{self.home} was made with {name} {saved}, not {wanted[name]}; give another --home"
                    )
            return
        self.home.mkdir(parents=True, exist_ok=True)
        temporary = self.home / "settings.json.new"
        temporary.write_text(json.dumps(wanted, indent=2) + "\n")
        temporary.replace(file)


class _SavedSettings(PydanticBaseSettingsSource):
    def __init__(self, settings_cls: type[BaseSettings], file: Path):
        super().__init__(settings_cls)
        self._file = file

    def get_field_value(self, field, field_name):
        raise NotImplementedError("the file is read whole, by __call__")

    def __call__(self) -> dict[str, str]:
        return _saved(self._file) if self._file.exists() else {}


def _saved(file: Path) -> dict[str, str]:
    """What a home keeps. Raises ValueError, naming the file, when it is no JSON object."""
    try:
        saved = json.loads(file.read_text())
    except ValueError as error:
        raise ValueError(f"{file} is no JSON: {error}") from error
    if not isinstance(saved, dict):
        raise ValueError(f"{file} must hold a JSON object, and holds {type(saved).__name__}")
    return saved


def version() -> str:
    return importlib.metadata.version("wanderbricks-assets")


def default_start(today: date) -> date:
    """Three years before."""
    return today - timedelta(days=round(YEARS_OF_HISTORY * 365.25))


def default_hourly_start(start: date, today: date) -> date:
    return max(start, today - timedelta(days=DAYS_OF_HOURS))


def _today() -> date:
    """The clock decides about data only here, and only until the home has been made."""
    return datetime.now(UTC).date()


@cache
def settings() -> Settings:
    """The settings of this process, read once."""
    return read_settings()


def read_settings(**given: Any) -> Settings:
    """The settings of the environment and the home, with some given. Raises ValueError with a sentence per fault."""
    try:
        return Settings(**given)
    except ValidationError as error:
        faults = [(".".join(map(str, fault["loc"])), fault["input"], fault["msg"]) for fault in error.errors()]
        sentences = [
            f"{f'--{name}' if name in given else f'WANDERBRICKS_{name.upper()}'} is {str(found)!r}: {what}"
            for name, found, what in faults
        ]
        raise ValueError("; ".join(sentences)) from error
