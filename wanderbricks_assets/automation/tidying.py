"""What grows without end is cut back once a week: old files of the lake, the logs of servers."""

from pathlib import Path

import dagster as dg

from wanderbricks_assets.contracts.tables import LAKE
from wanderbricks_assets.resources.lake import KEPT_DAYS, Lake
from wanderbricks_assets.settings import settings

LARGEST_LOG = 20_000_000  # bytes
_BEFORE = ".before"


def tidy_lake(lake: Lake) -> dict[str, int]:
    """How many files were deleted, by table."""
    return {name: lake.tidy(name) for name in LAKE}


def tidy_logs(folder: Path) -> list[str]:
    """Set logs beyond the largest size aside, as NAME.before, in the place of what was set aside before; returns their
    names. Their servers go on writing to them: what one writes at that very moment may be lost."""
    large = [file for file in sorted(folder.glob("*.log")) if file.stat().st_size > LARGEST_LOG]
    for file in large:
        file.with_name(file.name + _BEFORE).write_bytes(file.read_bytes())
        with file.open("r+b") as log:
            log.truncate()
    return [file.name for file in large]


@dg.op(description="Deletes what no reader can need any more.")
def delete_old_files(context: dg.OpExecutionContext, lake: Lake) -> None:
    deleted = tidy_lake(lake)
    logs = ", ".join(tidy_logs(settings().home / "logs")) or "none"
    context.add_output_metadata({"files_deleted": sum(deleted.values()), "logs_set_aside": logs, **deleted})


@dg.job(description=f"Deletes what the lake replaced {KEPT_DAYS} days ago or longer, and sets large logs aside.")
def tidy() -> None:
    delete_old_files()


TIDY_SCHEDULE = dg.ScheduleDefinition(
    name="tidy_schedule",
    job=tidy,
    cron_schedule="30 3 * * 0",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description=tidy.description,
)
