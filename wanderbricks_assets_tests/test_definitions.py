"""Definitions are loaded again by every server and every run that is launched, so what takes seconds waits."""

import subprocess
import sys


def test_libraries_that_take_long_to_load_are_not_loaded_with_the_definitions():
    # What is only named is a proxy; one that was touched has its parts loaded.
    heavy = ["numpy.linalg", "pandas.core", "ibis.expr", "pyarrow.lib", "sqlalchemy.orm", "scipy", "sklearn", "mlflow"]
    heavy += ["prophet", "xgboost", "lightgbm", "matplotlib", "duckdb", "deltalake", "fastapi", "streamlit", "apprise"]
    look = f"import sys, wanderbricks_assets.definitions; print([x for x in {heavy} if x in sys.modules])"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
