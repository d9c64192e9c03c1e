"""The engines that transforms are tested on: the same test body, once on DuckDB and once on a real Spark."""

import os
import shutil
from collections.abc import Iterator

import ibis
import pytest

from wanderbricks_assets.resources import engine as engines
from wanderbricks_assets.settings import settings

ENGINES = ("duckdb", "spark")
# One core and nothing that pays only with much data: a query of a dozen rows is all planning and compiling.
SMALL = {
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
}


def use(name: str) -> None:
    """Compute on this engine from now on."""
    os.environ["WANDERBRICKS_ENGINE"] = name
    settings.cache_clear()
    engines.engine.cache_clear()
    ibis.options.default_backend = None
    if name == "spark":
        if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
            pytest.skip("Spark needs Java 17 or later")
        os.environ.setdefault("MASTER", "local[1]")
        os.environ.setdefault("SPARK_SUBMIT_OPTS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
        for option, value in SMALL.items():
            engines.engine().session.conf.set(option, value)


@pytest.fixture(params=ENGINES, scope="module")
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    """Whatever is computed is computed on this engine."""
    use(request.param)
    yield request.param
    use("duckdb")


@pytest.fixture(autouse=True)
def back_to_duckdb() -> Iterator[None]:
    """For a file whose tests choose engines themselves."""
    yield
    use("duckdb")


@pytest.fixture(autouse=True, scope="module")
def on_each_engine(engine: str) -> None:
    """For a conftest.py: all tests beside it run on both."""
