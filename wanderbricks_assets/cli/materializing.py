"""What `wanderbricks run` and `up` do before anything is served: materialize, evaluate, tell."""

import os
import time
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

from rich.markup import escape

from wanderbricks_assets.cli.console import COULD_NOT_RUN, GATE_FAILED, console, said, sentences
from wanderbricks_assets.home import CannotWriteThere, HomeInUse, enter, make_databases, only_process, writing_to
from wanderbricks_assets.settings import Settings

if TYPE_CHECKING:
    from wanderbricks_assets.scoreboard import Row


def materialize(settings: Settings, moment: datetime, servers_are_down: bool = False) -> int:
    """Materialize all that is missing up to the moment, and say what happened; the exit code of the command.

    servers_are_down: no daemon and no UI is running, so whatever seems to run there was killed.
    """
    from wanderbricks_assets.automation.alerts.destinations import alert_destinations
    from wanderbricks_assets.resources.source import FilesSource, SourceError

    with sentences(SourceError):
        alert_destinations(settings)  # a person is told of a wrong address now, not when something fails
        if settings.is_made:
            settings.save()  # says so when this home was made from another source
        FilesSource(folder=str(settings.source_folder)).require()
    # Steps say themselves what they could not write; this is for the home's own files and databases.
    with said(CannotWriteThere, HomeInUse), writing_to(settings.home), only_process(settings, "run"):
        enter(settings)
        make_databases(settings)
        settings.save()
        return _catch_up(settings, moment, servers_are_down)


def _catch_up(settings: Settings, moment: datetime, servers_are_down: bool) -> int:
    # One event for a range of planned partitions, not one for each: halves the time that recording history takes.
    os.environ["DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS"] = "true"
    import dagster as dg
    from dagster._core.storage.tags import MAX_RETRIES_TAG

    from wanderbricks_assets.automation.alerts.sensor import tell
    from wanderbricks_assets.automation.catch_up import Progress, catch_up
    from wanderbricks_assets.automation.orphans import (
        PROCESS,
        close_orphans,
        close_training_runs,
        evaluate_checks,
        sign_of_life,
    )
    from wanderbricks_assets.definitions import defs
    from wanderbricks_assets.models.registry import RegistryAway

    began = time.monotonic()

    def show(step: Progress) -> None:
        mark = {
            "done": "[green]done   [/green]",
            "failed": "[red]failed [/red]",
            "skipped": "[yellow]skipped[/yellow]",
        }[step.state]
        in_all = time.monotonic() - began
        console.print(f"{mark} {step.step:<36} {step.seconds:6.1f} s   {step.left:3} left   {in_all:6.0f} s in all")

    console.print(f"Materializing up to {moment:%Y-%m-%d %H:%M} UTC from {settings.source_folder}")
    running = settings.home / "running"
    with dg.DagsterInstance.get() as instance, sign_of_life(running) as process:
        for orphan in close_orphans(instance, running, launched=servers_are_down):
            console.print(f"Run {orphan} was left open by a process that died; it is marked as failed.")
        # What this process leaves undone the next one does, not the daemon.
        tags = {PROCESS: process, MAX_RETRIES_TAG: "0"}
        outcome = catch_up(defs, instance, moment, show, tags)
        evaluate_checks(defs, instance, tags)
        with suppress(RegistryAway):  # the outcome says it
            close_training_runs(instance, defs.resources["registry"])
        alerts = tell(instance, defs.get_repository_def(), settings, _say_title)
    console.print(
        f"{len(outcome.materialized)} assets in {outcome.runs} runs, {time.monotonic() - began:.0f} s"
        if outcome.runs
        else "Nothing is missing."
    )
    for reason, steps in outcome.broken.items():
        console.print(f"[red]could not run[/red] {', '.join(steps)}: {escape(reason)}")
    if outcome.not_begun:
        console.print(f"[red]not begun[/red] {', '.join(outcome.not_begun)}: what they read is not there")
    console.print(f"Alerts: {alerts} See {settings.alerts_page.as_uri()}")
    if outcome.broken:
        return COULD_NOT_RUN
    failed = [row for row in scores(floors=False, moment=moment) if not row.passed]
    for row in failed:
        console.print(f"[red]gate failed[/red] {row.model}: {escape(row.reason)}")
    return GATE_FAILED if failed else 0


def _say_title(alert: str) -> None:
    console.print(f"[red]alert[/red] {escape(alert.partition(chr(10))[0])}")


def scores(floors: bool = True, moment: datetime | None = None) -> "list[Row]":
    """The scoreboard of the home that was entered."""
    from wanderbricks_assets.definitions import defs
    from wanderbricks_assets.scoreboard import scoreboard_rows

    place = {name: defs.resources[name] for name in ("registry", "lake", "source")}
    return scoreboard_rows(**place, floors=floors, moment=moment)
