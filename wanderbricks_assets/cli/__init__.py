"""The `wanderbricks` command: simulate a marketplace, run everything, see how good the models are, open the UI."""

import json
import math
import os
import time
from contextlib import ExitStack
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from wanderbricks_assets.cli import prices
from wanderbricks_assets.cli.console import COULD_NOT_RUN, GATE_FAILED, console, sentences
from wanderbricks_assets.cli.installation import Home, enter_made, settings_of
from wanderbricks_assets.cli.materializing import materialize, scores
from wanderbricks_assets.home import only_process, writing_to
from wanderbricks_assets.settings import Settings, default_hourly_start, default_start
from wanderbricks_assets.window import midnight

# Linear algebra in one thread, here and in the servers started from here: results are the same on a machine of any
# size, and small matrices are multiplied in a third of the time. NumPy reads this when it is loaded.
os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")

app = typer.Typer(
    help="Machine learning for a vacation-rental marketplace, as Dagster assets.\n\n"
    "Start with `wanderbricks up`: it simulates a marketplace, materializes every asset and opens the Dagster UI. "
    "Every option can also be set as WANDERBRICKS_<COMMAND>_<OPTION>, as WANDERBRICKS_SIMULATE_SCALE; for all commands "
    "alike WANDERBRICKS_HOME, _SOURCE and _START say what an installation is, and WANDERBRICKS_SEED seeds training.",
    context_settings={"auto_envvar_prefix": "WANDERBRICKS"},
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
app.add_typer(prices.app, name="prices")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of a table for people.")]
_LOOKS_AT_THE_CLOCK = 5  # seconds
# Typer's usage errors, of which this is one kind, would end with 2, which here means that a gate failed.
typer.BadParameter.__base__.exit_code = COULD_NOT_RUN  # type: ignore[attr-defined]  # of UsageError, which Typer keeps


@app.command()
def simulate(
    out: Annotated[Path | None, typer.Option(help="Folder to fill or continue. [default: <home>/source]")] = None,
    until: Annotated[datetime | None, typer.Option(help="Last hour to simulate, UTC. [default: now]")] = None,
    start: Annotated[datetime | None, typer.Option(help="First day. [default: three years before --until]")] = None,
    scale: Annotated[float, typer.Option(min=0.001, help="1 is 2,000 properties and 150 bookings a day.")] = 1.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same marketplace.")] = 0,
    profile: Annotated[
        str,
        typer.Option(
            help="'marketplace', 'confounded' (its prices only follow demand), or 'sample' for the sparse sample of "
            "Databricks."
        ),
    ] = "marketplace",
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on hour by hour, as time goes by, until Ctrl-C.")
    ] = False,
    home: Home = None,
) -> None:
    """Fill a folder with the tables of a simulated marketplace, or go on from where it stands."""
    from wanderbricks_assets.simulator import simulate as run_simulator

    folder = out or settings_of(home).source_folder
    if follow and until:
        raise typer.BadParameter("--follow goes on for ever; leave out --until")
    began = time.monotonic()

    def show(day: date) -> None:
        if day.day == 1:
            console.print(f"simulated up to {day:%B %Y}   {time.monotonic() - began:4.0f} s")

    with sentences(), writing_to(folder):
        summary = run_simulator(
            folder, until or _now(), start=start, scale=scale, seed=seed, profile=profile, progress=show
        )
    for name, rows in summary.rows.items():
        console.print(f"{rows:>12,} {name}")
    console.print(
        f"{folder} holds the marketplace up to {summary.until:%Y-%m-%d %H:%M} UTC ({time.monotonic() - began:.0f} s)"
    )
    while follow:
        time.sleep(_LOOKS_AT_THE_CLOCK)
        if _now() > summary.until:
            with sentences(), writing_to(folder):
                summary = run_simulator(folder, _now())
            console.print(f"{summary.until:%Y-%m-%d %H:%M} UTC: {sum(summary.rows.values()):,} events")


@app.command()
def run(
    source: Annotated[Path | None, typer.Option(help="Folder of source tables. [default: <home>/source]")] = None,
    as_of: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Run as if this day began now. [default: now]")
    ] = None,
    start: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First day of history. [default: 3 years ago]")
    ] = None,
    home: Home = None,
) -> None:
    """Materialize everything needed up to a day, without the UI. Run again, it catches up on what is new.

    Exit code 0: all ran and every gate is passed; 2: all ran, some gate failed; 1: something could not run.
    """
    moment = as_of or _now()
    with sentences():
        settings = settings_of(home, source=source, start=start.date() if start else None)
        _check_that_it_runs_here(settings)
        if moment > _now():
            raise ValueError(f"--as-of {moment:%Y-%m-%d} has not come yet")
        settings.start = settings.start or default_start(moment.date())
        settings.hourly_start = settings.hourly_start or default_hourly_start(settings.start, moment.date())
        if moment.date() <= settings.start:
            raise ValueError(f"--as-of {moment:%Y-%m-%d} is not after the first day of history, {settings.start}")
    raise typer.Exit(materialize(settings, moment))


@app.command()
def scoreboard(home: Home = None, as_json: AsJson = False) -> None:
    """How good each model is: its metric against target, naive baseline and, where truth is known, the floor."""
    enter_made(home)
    from wanderbricks_assets.scoreboard import Row

    rows = scores()
    if as_json:
        typer.echo(json.dumps([row.as_json() for row in rows], indent=2))
        return
    table = Table(*Row.HEADINGS, title="Scoreboard")
    for row in rows:
        table.add_row(*row.cells(), style=None if row.passed else "red")
    console.print(table)
    for row in rows:
        if row.reason:
            console.print(f"[red]{row.model}[/red]: {row.reason}")


@app.command()
def recheck(
    first: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First day.")],
    last: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day.")],
    asset: Annotated[str | None, typer.Option(help="Only the checks of this table. [default: all]")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Evaluate the checks of past days again, without computing any table, and keep the results by partition.

    Exit code 0: all hold; 2: some failed; 1: something could not be checked.
    """
    enter_made(home)
    import dagster as dg

    from wanderbricks_assets.automation.orphans import PROCESS, sign_of_life
    from wanderbricks_assets.definitions import defs
    from wanderbricks_assets.monitoring.evaluations import Places
    from wanderbricks_assets.monitoring.recheck import recheck as evaluate_again
    from wanderbricks_assets.monitoring.recheck import recheck_run

    if last >= midnight(_now().date()):
        raise typer.BadParameter(f"--to {last:%Y-%m-%d} has not ended yet")
    running = settings_of(home).home / "running"
    with sentences(), dg.DagsterInstance.get() as instance, sign_of_life(running) as process:
        place = {name: defs.resources[name] for name in ("lake", "source", "registry")}
        places = Places(**place, instance=instance)
        with recheck_run(instance, first.date(), last.date(), {PROCESS: process}) as run_id:
            rows = list(evaluate_again(places, first.date(), last.date(), run_id, asset))
    if as_json:
        typer.echo(json.dumps([vars(row) for row in rows], indent=2))
    else:
        table = Table(
            "", "table", "partition", "check", "found", title=f"Checks of {first:%Y-%m-%d} to {last:%Y-%m-%d}"
        )
        for row in rows:
            table.add_row(row.mark, row.asset, row.partition or "", row.check, escape(row.said), style=row.colour)
        console.print(table)
        console.print(f"{sum(row.passed for row in rows)} of {len(rows)} checks hold")
    if not all(row.could_run for row in rows):
        raise typer.Exit(COULD_NOT_RUN)
    raise typer.Exit(0 if all(row.passed for row in rows) else GATE_FAILED)


@app.command()
def tidy(home: Home = None) -> None:
    """Delete files of the lake that were replaced a week ago or longer, as the daemon does every Sunday."""
    enter_made(home)
    from wanderbricks_assets.automation.tidying import tidy_lake, tidy_logs
    from wanderbricks_assets.resources.lake import CannotWrite
    from wanderbricks_assets.resources.tables import lake_of

    settings = settings_of(home)
    with sentences(CannotWrite):
        deleted = tidy_lake(lake_of(settings))
        for name in tidy_logs(settings.home / "logs"):
            console.print(f"{name} was set aside: it had grown large")
    for name, count in deleted.items():
        if count:
            console.print(f"{count:>8,} files of {name}")
    console.print(f"{sum(deleted.values()):,} files deleted")


@app.command()
def backtest(
    model: Annotated[str, typer.Argument(help="Name of the model, as `revenue_forecaster`.")],
    origins: Annotated[int, typer.Option(min=1, help="How many past origins to fit and evaluate at.")] = 6,
    first: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First origin.")] = None,
    every: Annotated[str, typer.Option(help="Distance of origins from --first on: 'month' or 'week'.")] = "month",
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Fit and evaluate a model at past origins beside simpler methods. Registers nothing."""
    enter_made(home)
    from wanderbricks_assets.backtesting import backtest_home
    from wanderbricks_assets.definitions import defs
    from wanderbricks_assets.models.model import CannotLearn

    place = {name: defs.resources[name] for name in ("lake", "source")}
    with sentences(NotImplementedError, CannotLearn):
        result = backtest_home(model, **place, count=origins, first=first.date() if first else None, every=every)
    if as_json:
        typer.echo(json.dumps(result.as_json(), indent=2))
        return
    table = Table(
        "method", "horizon", "metric", "value", "90% interval", title=f"{model}: {len(result.origins)} origins"
    )
    for row in result.rows.to_dict("records"):
        interval = f"{row['lower']:.4g} to {row['upper']:.4g}" if math.isfinite(row["lower"]) else ""
        table.add_row(row["method"], str(row["horizon"]), row["metric"], f"{row['value']:.4g}", interval)
    console.print(table)


@app.command()
def up(
    home: Home = None,
    source: Annotated[Path | None, typer.Option(help="Folder of source tables; simulated when not given.")] = None,
    scale: Annotated[float, typer.Option(min=0.001, help="Size of the simulated marketplace.")] = 1.0,
    host: Annotated[str, typer.Option(help="Address that the servers listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="Port of the Dagster UI.", envvar=["WANDERBRICKS_UP_PORT", "DAGSTER_PORT"])
    ] = 3000,
    mlflow_port: Annotated[
        int, typer.Option(help="Port of the MLflow UI.", envvar=["WANDERBRICKS_UP_MLFLOW_PORT", "MLFLOW_PORT"])
    ] = 5000,
    dashboard_port: Annotated[
        int, typer.Option(help="Port of the dashboard.", envvar=["WANDERBRICKS_UP_DASHBOARD_PORT", "DASHBOARD_PORT"])
    ] = 8501,
    serve_port: Annotated[int, typer.Option(help="Port of the predictions.")] = 8000,
) -> None:
    """Simulate a marketplace (unless --source names a real one), materialize everything, serve the UIs until Ctrl-C."""
    from wanderbricks_assets.servers import Ports, taken_port
    from wanderbricks_assets.servers import serve as serve_all

    with ExitStack() as held:
        with sentences():
            settings = settings_of(home, source=source)
            _check_that_it_runs_here(settings)
            if settings.engine == "spark" and "SPARK_REMOTE" not in os.environ:
                raise ValueError(
                    "a local Spark lets in one process, and `up` starts several: name a Spark Connect server by "
                    "SPARK_REMOTE (docs/scale.md), or use `wanderbricks run`"
                )
            with writing_to(settings.home):
                lock = held.enter_context(only_process(settings, "up"))
            ports = Ports(port, mlflow_port, dashboard_port, serve_port)
            if taken := taken_port(host, ports):
                raise ValueError(f"port {taken} is taken: stop what listens there, or give another (`up --help`)")
        if "ui_url" not in settings.model_fields_set:
            settings.ui_url = f"http://{host}:{port}"
        if settings.source_folder == settings.home / "source":
            with sentences(), writing_to(settings.home):
                settings.save()
            simulate(settings.source_folder, until=_now(), start=midnight(settings.first_day), scale=scale)
        code = materialize(settings, _now(), servers_are_down=True)
        scoreboard(settings.home)
        if code == COULD_NOT_RUN:
            raise typer.Exit(code)
        raise typer.Exit(serve_all(settings, host, ports, lock, console.print))


@app.command()
def serve(
    home: Home = None,
    host: Annotated[str, typer.Option(help="Address to listen on; beyond loopback a token is needed.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, help="Processes that answer, each with its own models.")] = 1,
) -> None:
    """Answer predictions of the promoted versions over HTTP, as Databricks model serving does; see /docs.

    Set WANDERBRICKS_SERVE_TOKEN to the token that requests must carry.
    """
    enter_made(home)
    from wanderbricks_assets.serving.app import run as run_service

    with sentences():
        run_service(host, port, workers)


@app.command()
def dashboard(
    home: Home = None,
    host: Annotated[str, typer.Option(help="Address to listen on; whoever reaches it sees everything.")] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(help="Port to listen on.", envvar=["WANDERBRICKS_DASHBOARD_PORT", "DASHBOARD_PORT"]),
    ] = 8501,
) -> None:
    """Revenue, demand, prices, customers, marketing and models, for people who would rather look than read."""
    enter_made(home)
    from wanderbricks_assets.dashboard.__main__ import serve

    serve(host, port)


@app.command()
def rules(
    edit: Annotated[bool, typer.Option(help="Copy the rules that are not there yet to <home>/rules.")] = False,
    home: Home = None,
) -> None:
    """Check the rules that marketing edits, and say which files hold."""
    with sentences():
        folder = settings_of(home).rules_folder
    from wanderbricks_assets.activation.audience import audience_rules
    from wanderbricks_assets.contracts.rules import RULES
    from wanderbricks_assets.models.customer_actions import read_actions
    from wanderbricks_assets.rules.reading import copy_for_editing, rules_file

    with sentences():
        if edit:
            copy_for_editing(folder)
        for contract in RULES.values():
            console.print(f"{contract.name}: {rules_file(contract, folder)}")
        read_actions(folder)
        audience_rules(folder)
    console.print("All rules can be read.")


@app.command()
def doctor() -> None:
    """What is missing on this machine, and how to get it."""
    from wanderbricks_assets.doctor import examine

    findings = examine()
    table = Table("", "what", "found", "what to do")
    for finding in findings:
        state, remedy = ("ok", "") if finding.ok else (finding.weight, finding.remedy)
        table.add_row(state, finding.what, escape(finding.found), escape(remedy))
    console.print(table)
    raise typer.Exit(COULD_NOT_RUN if any(not finding.ok and finding.weight == "needed" for finding in findings) else 0)


def _check_that_it_runs_here(settings: Settings) -> None:
    if settings.profile != "local":
        raise ValueError(
            f"WANDERBRICKS_PROFILE is {settings.profile}: Dagster's commands run its assets (docs/databricks.md); "
            "`run` and `up` are of one machine"
        )


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None, minute=0, second=0, microsecond=0)
