from wanderbricks_assets_tests.engines import engine  # noqa: F401
