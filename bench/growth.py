"""What one more day, hour and week cost with 1, 3 and 10 years of history behind them: `python -m bench.growth`.

One marketplace is simulated for ten years; shorter histories are its last years, so what is new is the same in all. A
history has the events of its years and the users that they tell of. The same versions serve in all, trained on three
years. Counted are the seconds of a process that brings a home up to a moment, as `wanderbricks run` does.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from wanderbricks_assets.contracts.source import SOURCE
from wanderbricks_assets.resources.engine import duckdb_engine
from wanderbricks_assets.settings import Settings
from wanderbricks_assets.window import midnight

SCALE = 0.05
YEARS = (1, 3, 10)
TRAINED_ON = 3
HOURLY_DAYS = 30
# A Wednesday: the week that ended on Monday is trained, and no training is due on the next day.
FILLED = midnight(date(2026, 11, 4))
DAY = FILLED + timedelta(days=1)
HOUR, WEEK = DAY + timedelta(hours=1), DAY + timedelta(days=7)
MOMENTS = {"one more day": (FILLED, DAY), "one more hour": (DAY, HOUR), "one more week": (HOUR, WEEK)}
MOST_SHOWN = 5
# Of tables without days: users whom an event names or who registered since, prices that held then or later.
AS_KNOWN = {
    "users": """
        SELECT * FROM '{file}' WHERE created_at < '{until}' AND (created_at >= '{first}' OR user_id IN (
            SELECT user_id FROM '{folder}/bookings/*/*.parquet'
            UNION SELECT user_id FROM '{folder}/page_views/*/*.parquet'))
    """,
    "property_updates": """
        SELECT * FROM '{file}' WHERE updated_at < '{until}' QUALIFY updated_at >= '{first}'
            OR updated_at = max(updated_at) FILTER (updated_at < '{first}') OVER (PARTITION BY property_id)
    """,
}


@dataclass(frozen=True)
class Cost:
    """Of a process: seconds of CPU and on the clock, and the former by step."""

    cpu: float
    wall: float
    steps: Mapping[str, float]


def table() -> str:
    """What is new, in rows, against the history, in columns; then the steps of the day that grow most."""
    with tempfile.TemporaryDirectory(prefix="wanderbricks-growth-") as folder:
        costs = measure(Path(folder))
    one, some, most = YEARS
    histories = (f"{years} year{'s' * (years > 1)}" for years in YEARS)
    rows = [("CPU s (time)", *histories, f"{most} to {one}", f"{most} to {some}")]
    for what in MOMENTS:
        of = {years: costs[what, years] for years in YEARS}
        ratios = (f"{of[most].cpu / of[least].cpu:.2f}" for least in (one, some))
        rows.append((what, *(f"{cost.cpu:.1f} ({cost.wall:.0f})" for cost in of.values()), *ratios))
    of_day = {years: costs["one more day", years].steps for years in YEARS}
    growth = {step: seconds - of_day[one].get(step, 0.0) for step, seconds in of_day[most].items()}
    for step in sorted(growth, key=growth.__getitem__, reverse=True)[:MOST_SHOWN]:
        seconds = [of_day[years].get(step, 0.0) for years in YEARS]
        ratios = (f"{seconds[-1] / least:.2f}" if least else "" for least in seconds[:2])
        rows.append((f"of the day: {step}", *(f"{each:.2f}" for each in seconds), *ratios))
    return markdown(rows)


def markdown(rows: Sequence[Sequence[str]]) -> str:
    marks = ("---", *["---:"] * (len(rows[0]) - 1))
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (rows[0], marks, *rows[1:]))


def measure(folder: Path) -> Mapping[tuple[str, int], Cost]:
    """The cost of each of MOMENTS with each of YEARS behind it, of homes made in the folder."""
    whole = folder / "whole"
    simulated = ("--start", first_day(max(YEARS)).date(), "--until", WEEK.isoformat(" "), "--scale", SCALE)
    command = [sys.executable, "-m", "wanderbricks_assets.cli", "simulate", "--out", whole, *simulated]
    subprocess.run([str(word) for word in command], check=True, stdout=sys.stderr)
    costs: dict[tuple[str, int], Cost] = {}

    def filled(years: int, trained: Future[Path] | None = None) -> Path:
        """Bring a home up to FILLED, and train; or take the versions of the home where that is done."""
        home, source, first = place = _place(folder, years)
        grow(whole, source, first, first, FILLED)
        if trained:
            _in_a_process(take_as_trained, place)
        _in_a_process(bring_up, place, FILLED)
        if trained:  # what is left are predictions, and what people act on
            shutil.copy(trained.result(), home / "mlflow.db")
            _in_a_process(bring_up, place, FILLED)
        else:
            _in_a_process(promote_all, place)
        return Path(shutil.copy(home / "mlflow.db", home / "promoted.db"))

    def measured(years: int) -> None:
        for what, (since, until) in MOMENTS.items():
            grow(whole, _place(folder, years)[1], first_day(years), since, until)
            costs[what, years] = _in_a_process(bring_up, _place(folder, years), until)

    def after(trained: Future[Path], years: int) -> None:
        filled(years, trained)
        measured(years)

    with ThreadPoolExecutor(2) as pool:  # as many as there are cores: CPU is counted
        trained = pool.submit(filled, TRAINED_ON)
        others = [pool.submit(after, trained, years) for years in (max(YEARS), min(YEARS))]
        trained.result()
        pool.submit(measured, TRAINED_ON).result()
        for done in others:
            done.result()
    return costs


def first_day(years: int) -> datetime:
    return FILLED.replace(year=FILLED.year - years)


def grow(whole: Path, folder: Path, first: datetime, since: datetime, until: datetime) -> None:
    """Add the events of [since, until) to a source that begins at `first`, and bring tables without days up to then."""
    folder.mkdir(exist_ok=True)
    days = [since.date() + timedelta(days=number) for number in range((until - since).days + 2)]
    for name, contract in SOURCE.items():
        for day in (day for day in days if midnight(day) < until and (whole / name / f"date={day}").exists()):
            there, here = whole / name / f"date={day}", folder / name / f"date={day}"
            if since <= midnight(day) and midnight(day + timedelta(days=1)) <= until:
                shutil.copytree(there, here, copy_function=os.link)
            else:
                here.mkdir(parents=True, exist_ok=True)
                time_column = contract.time_column
                _write(
                    f"SELECT * EXCLUDE (date) FROM '{there}/*.parquet' "
                    f"WHERE {time_column} >= '{since}' AND {time_column} < '{until}'",
                    here / f"part-{since.hour:02d}.parquet",
                )
    for file in whole.glob("*.parquet"):
        known = AS_KNOWN.get(file.stem, "SELECT * FROM '{file}'")
        _write(known.format(file=file, folder=folder, first=first, until=until), folder / file.name)


def _write(query: str, file: Path) -> None:
    duckdb_engine().con.cursor().execute(f"COPY ({query}) TO '{file}' (FORMAT parquet)")


def _place(folder: Path, years: int) -> tuple[Path, Path, datetime]:
    return folder / f"home{years}", folder / f"source{years}", first_day(years)


def _in_a_process(what: Callable, place: tuple[Path, Path, datetime], until: datetime | None = None) -> Cost:
    """Run a function of this module in a home, in a process of its own, as partitions begin where the home does."""
    home, source, first = place
    hourly_start = FILLED.date() - timedelta(days=HOURLY_DAYS)
    settings = {"HOME": home, "SOURCE": source, "START": first.date(), "HOURLY_START": hourly_start}
    environment = os.environ | {f"WANDERBRICKS_{name}": str(value) for name, value in settings.items()}
    command = [sys.executable, "-m", "bench.growth", what.__name__, *([until.isoformat()] if until else [])]
    begun = time.monotonic()
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
    said = json.loads(done.stdout)
    return Cost(said["cpu"], time.monotonic() - begun, said["steps"])


def bring_up(moment: str) -> Mapping[str, float]:
    """Materialize all that is missing at the moment; returns the CPU seconds of each step."""
    settings = _entered()
    import dagster as dg

    from wanderbricks_assets.automation.alerts.sensor import tell
    from wanderbricks_assets.automation.catch_up import Progress, catch_up
    from wanderbricks_assets.definitions import defs
    from wanderbricks_assets.scoreboard import scoreboard_rows

    steps: dict[str, float] = {}
    last = [time.process_time()]

    def note(step: Progress) -> None:
        now = time.process_time()
        steps[step.step] = steps.get(step.step, 0.0) + now - last[0]
        last[0] = now

    with dg.DagsterInstance.get() as instance:
        outcome = catch_up(defs, instance, datetime.fromisoformat(moment), note)
        tell(instance, defs.get_repository_def(), settings, lambda alert: None)
    if outcome.broken:
        raise RuntimeError(f"could not run: {outcome.broken}")
    resources = {name: defs.resources[name] for name in ("registry", "lake", "source")}
    scoreboard_rows(**resources, floors=False, moment=datetime.fromisoformat(moment))
    return steps


def promote_all() -> None:
    """Let the newest version of each model serve, whatever its gates say: a marketplace so small passes few."""
    _entered()
    from wanderbricks_assets.definitions import defs
    from wanderbricks_assets.targets import TARGETS

    registry = defs.resources["registry"]
    for target in TARGETS.values():
        registry.promote(target, registry.candidate(target).version)


def take_as_trained() -> None:
    """Tell Dagster that the models of the newest week were trained, as the registry holds them."""
    _entered()
    import dagster as dg

    from wanderbricks_assets.models.all import MODELS
    from wanderbricks_assets.partitions import WEEKLY, ended

    with dg.DagsterInstance.get() as instance:
        for model in MODELS:
            instance.report_runless_asset_event(dg.AssetMaterialization(model, partition=ended(WEEKLY, FILLED)[-1]))


def _entered() -> Settings:
    from wanderbricks_assets.home import enter, make_databases
    from wanderbricks_assets.settings import read_settings

    settings = read_settings()
    settings.home.mkdir(exist_ok=True)
    enter(settings)
    make_databases(settings)
    return settings


def main() -> None:
    if len(sys.argv) == 1:
        print(table())  # noqa: T201 (the result)
        return
    what, *arguments = sys.argv[1:]
    done = {each.__name__: each for each in (bring_up, promote_all, take_as_trained)}[what](*arguments)
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(one.ru_utime + one.ru_stime for one in used)
    print(json.dumps({"cpu": cpu, "steps": done or {}}))  # noqa: T201


if __name__ == "__main__":
    main()
