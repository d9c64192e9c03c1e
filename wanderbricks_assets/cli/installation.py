"""Which installation a command is about."""

from pathlib import Path
from typing import Annotated

import typer

from wanderbricks_assets.cli.console import sentences
from wanderbricks_assets.home import enter
from wanderbricks_assets.settings import Settings, read_settings

Home = Annotated[
    Path | None, typer.Option(help="Folder of this installation: lake, MLflow, Dagster. [default: .wanderbricks]")
]


def settings_of(home: Path | None, **given) -> Settings:
    """Its settings, with those options that were given."""
    chosen = {name: value for name, value in {"home": home, **given}.items() if value is not None}
    return read_settings(**chosen)


def enter_made(home: Path | None) -> None:
    """Enter a home that `run` or `up` has made; these commands make none."""
    with sentences():
        settings = settings_of(home)
        if not settings.is_made:
            raise ValueError(f"{settings.home} is no home yet: `wanderbricks run` or `wanderbricks up` makes it")
        settings.save()  # says so when the environment names another start or source than this home was made with
        enter(settings)
