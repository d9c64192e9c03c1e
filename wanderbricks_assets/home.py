"""One installation on this machine: its folders, its Dagster instance and the environment of its processes."""

import os

from wanderbricks_assets.settings import Settings

_DAGSTER_YAML = """\
# Written by `wanderbricks`; see docs/decisions.md for why the event log is stored in batches.
event_log_storage:
  module: wanderbricks_assets.resources.event_log
  class: BatchingSqliteEventLogStorage
  config:
    base_dir: {base_dir}
telemetry:
  enabled: false
nux:
  enabled: false
"""


def enter(settings: Settings) -> dict[str, str]:
    """Point this process and its children at a home that has been made. Returns the environment for children.

    Must be called before anything of Dagster's definitions is imported: partitions begin at the home's first day.
    """
    settings.dagster_home.mkdir(parents=True, exist_ok=True)
    history = settings.dagster_home / "history" / "runs"
    (settings.dagster_home / "dagster.yaml").write_text(_DAGSTER_YAML.format(base_dir=history))
    os.environ.update(
        {
            "WANDERBRICKS_HOME": str(settings.home),
            "DAGSTER_HOME": str(settings.dagster_home),
            "DAGSTER_EVENT_BATCH_SIZE": "1000",
            "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # its UI only shows; each job queue would be a process
        }
    )
    return dict(os.environ)
