"""What turns tables into tables gives the same rows on every engine."""

from wanderbricks_assets_tests.engines import engine, on_each_engine  # noqa: F401
