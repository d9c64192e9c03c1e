"""What every test stands on: a home of its own that begins on a fixed day, so that no test depends on today."""

import atexit
import os
import shutil
import tempfile

import pytest

# Before anything of the package is imported: partitions begin at the home's first day.
_HOME = tempfile.mkdtemp(prefix="wanderbricks-tests-")
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)
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
for name in ("WANDERBRICKS_SOURCE", "WANDERBRICKS_PROFILE", "WANDERBRICKS_ENGINE", "DAGSTER_HOME", "SPARK_REMOTE"):
    os.environ.pop(name, None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    """Where every part is to be there, as `.ci/run` says, a test that misses one fails instead of being skipped."""
    report = yield
    if report.skipped and os.environ.get("NO_SKIPS") and not hasattr(report, "wasxfail"):
        report.outcome, report.longrepr = "failed", f"skipped, which NO_SKIPS forbids: {report.longrepr}"
    return report


_TAKES_MINUTES = ("three_weeks", "spark", "databricks", "killed_runs")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes minutes comes first: at the end one process would be left alone with it."""
    last = len(_TAKES_MINUTES)
    items.sort(key=lambda item: next((n for n, word in enumerate(_TAKES_MINUTES) if word in item.nodeid), last))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log):
    """The tests of a file go to one process, and all that need Spark to one: starting it takes the time of fifty."""
    from xdist.scheduler import LoadFileScheduling

    config.option.loadscopereorder = False  # it would put files with many tests before those that take long

    class OneSpark(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "spark" if "spark" in nodeid else super()._split_scope(nodeid)

    return OneSpark(config, log)
