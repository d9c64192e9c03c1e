"""What every test stands on: a home of its own that begins on a fixed day, so that no test depends on today."""

import os
import tempfile

import pytest

# Before anything of the package is imported: partitions begin at the home's first day.
_HOME = tempfile.mkdtemp(prefix="wanderbricks-tests-")
os.environ.update(
    {
        "WANDERBRICKS_HOME": _HOME,
        "WANDERBRICKS_START": "2024-01-01",
        "WANDERBRICKS_HOURLY_START": "2024-01-01",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }
)
for name in ("WANDERBRICKS_SOURCE", "WANDERBRICKS_PROFILE", "DAGSTER_HOME"):
    os.environ.pop(name, None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    """Where every part is to be there, as `.ci/run` says, a test that misses one fails instead of being skipped."""
    report = yield
    if report.skipped and os.environ.get("NO_SKIPS") and not hasattr(report, "wasxfail"):
        report.outcome, report.longrepr = "failed", f"skipped, which NO_SKIPS forbids: {report.longrepr}"
    return report
