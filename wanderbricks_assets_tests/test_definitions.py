"""Definitions are loaded again by every server and every run that is launched, so what takes seconds waits."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize("profile", ["local", "databricks"])
def test_libraries_that_take_long_to_load_are_not_loaded_with_the_definitions(profile: str):
    # What is only named is a proxy; one that was touched has its parts loaded.
    heavy = ["numpy.linalg", "pandas.core", "ibis.expr", "pyarrow.lib", "sqlalchemy.orm", "scipy", "sklearn", "mlflow"]
    heavy += ["prophet", "xgboost", "lightgbm", "matplotlib", "duckdb", "deltalake", "fastapi", "streamlit", "apprise"]
    assert loaded(f"print([x for x in {heavy} if x in sys.modules])", profile) == "[]"


@pytest.mark.parametrize("profile", ["local", "databricks"])
def test_definitions_load_where_the_packages_of_databricks_are_not_installed(profile: str):
    assert loaded("print(len(wanderbricks_assets.definitions.defs.assets) > 0)", profile) == "True"


def loaded(then: str, profile: str) -> str:
    """What a statement prints once the definitions are loaded, in a process without the packages of Databricks."""
    without = "import sys; sys.modules.update(databricks=None, dagster_databricks=None)"
    command = [sys.executable, "-c", f"{without}; import wanderbricks_assets.definitions; {then}"]
    environment = os.environ | {"WANDERBRICKS_PROFILE": profile}
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.strip()
