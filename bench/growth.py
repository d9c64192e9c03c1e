"""What one more day, hour and week cost with 1, 3 and 10 years of history behind them: `python -m bench.growth`.

One marketplace is simulated for ten years; shorter histories are its last years, so what is new is the same in all. A
history has the events of its years and the users that they tell of. The same versions serve in all, trained on three
years. Counted are the seconds of a process that brings a home up to a moment, as `wanderbricks run` does. A week is
its last day and the training that follows it.
"""

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path

from bench.measuring import cpu_used, in_process, markdown, say, verdict
from wanderbricks_assets.contracts.source import SOURCE
from wanderbricks_assets.home import enter, make_databases
from wanderbricks_assets.resources.engine import duckdb_engine
from wanderbricks_assets.settings import read_settings
from wanderbricks_assets.simulator import panel, simulate
from wanderbricks_assets.window import midnight

SCALE = 0.05
YEARS = (1, 3, 10)
TRAINED_ON = 3
HOURLY_DAYS = 14
# A Saturday: no training is due on the next day, and the week ends on the day after.
FILLED = midnight(date(2026, 11, 7))
DAY, WEEK = FILLED + timedelta(days=1), FILLED + timedelta(days=2)
HOUR = DAY + timedelta(hours=1)
MOMENTS = {"one more day": (FILLED, DAY), "one more hour": (DAY, HOUR), "one more week": (HOUR, WEEK)}
MOST_GROWTH, MOST_SHOWN = 1.2, 5
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
    headings = ("CPU s (time)", *histories, f"{most} to {one}", "bound", f"{most} to {some}")
    rows = []
    for what in MOMENTS:
        of = {years: costs[what, years] for years in YEARS}
        to_one, to_some = (of[most].cpu / of[least].cpu for least in (one, some))
        ratios = (f"{to_one:.2f}", verdict(to_one, MOST_GROWTH), f"{to_some:.2f}")
        rows.append((what, *(f"{cost.cpu:.1f} ({cost.wall:.0f})" for cost in of.values()), *ratios))
    of_day = {years: costs["one more day", years].steps for years in YEARS}
    growth = {step: seconds - of_day[one].get(step, 0.0) for step, seconds in of_day[most].items()}
    for step in sorted(growth, key=growth.__getitem__, reverse=True)[:MOST_SHOWN]:
        seconds = [of_day[years].get(step, 0.0) for years in YEARS]
        to_one, to_some = (f"{seconds[-1] / least:.2f}" if least else "" for least in seconds[:2])
        rows.append((f"of the day: {step}", *(f"{each:.2f}" for each in seconds), to_one, "", to_some))
    return markdown(headings, rows)


def measure(folder: Path) -> Mapping[tuple[str, int], Cost]:
    """The cost of each of MOMENTS with each of YEARS behind it, of homes made in the folder."""
    whole = folder / "whole"
    say("growth: ten years are simulated")
    in_process("bench.growth", "--simulate", whole)

    def filled(years: int, versions: Future[Path] | None = None) -> Path:
        """Bring a home up to FILLED; its versions are those of another home, or it trains them. Returns where."""
        say(f"growth: {years} years up to {FILLED:%Y-%m-%d}")
        home, source, first = place = _place(folder, years)
        grow(whole, source, first, first, FILLED)
        if versions is None:
            _brought_up(place, FILLED, "--promote-all")
        else:
            home.mkdir()
            if not versions.done():  # meanwhile what needs no version
                _brought_up(place, FILLED, "--take-as-trained")
            shutil.copy(versions.result(), home / "mlflow.db")
            _brought_up(place, FILLED, "--take-as-trained")
        return Path(shutil.copy(home / "mlflow.db", home / "versions.db"))

    def measured(what: str, years: int) -> Cost:
        say(f"growth: {years} years, {what}")
        place, (since, until) = _place(folder, years), MOMENTS[what]
        grow(whole, place[1], place[2], since, until)
        return _brought_up(place, until)

    costs: dict[tuple[str, int], Cost] = {}
    with ThreadPoolExecutor(len(YEARS)) as pool:
        versions = pool.submit(filled, TRAINED_ON)
        longest = pool.submit(filled, max(YEARS), versions)
        versions.result()  # before the shortest begins: there are two cores
        pool.submit(filled, min(YEARS), versions).result()
        longest.result()
        for what in MOMENTS:
            found = pool.map(partial(measured, what), YEARS)  # at once: what disturbs one disturbs all
            costs |= {(what, years): cost for years, cost in zip(YEARS, found, strict=True)}
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
                here.parent.mkdir(exist_ok=True)
                here.symlink_to(there)
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


def _brought_up(place: tuple[Path, Path, datetime], until: datetime, *options: str) -> Cost:
    """Bring a home up in a process of its own; its partitions begin where its history does."""
    home, source, first = place
    settings = {"HOME": home, "SOURCE": source, "START": first.date()}
    settings["HOURLY_START"] = FILLED.date() - timedelta(days=HOURLY_DAYS)
    environment = {f"WANDERBRICKS_{name}": str(value) for name, value in settings.items()}
    begun = time.monotonic()
    said = in_process("bench.growth", "--bring-up", until.isoformat(), *options, environment=environment)
    return Cost(said["cpu"], time.monotonic() - begun, said["steps"])


def simulate_all(folder: Path) -> None:
    """Simulate the longest history, without the truth that is simulated beside it: that is half the time."""
    panel.truth_of_day = lambda *_: {}
    simulate(folder, WEEK, start=first_day(max(YEARS)), scale=SCALE)


def bring_up(moment: datetime) -> Mapping[str, float]:
    """Materialize all that is missing at the moment; returns the CPU seconds of each step."""
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
        outcome = catch_up(defs, instance, moment, note)
        tell(instance, defs.get_repository_def(), read_settings(), lambda alert: None)
    if outcome.broken:
        raise RuntimeError(f"could not run: {outcome.broken}")
    resources = {name: defs.resources[name] for name in ("registry", "lake", "source")}
    scoreboard_rows(**resources, floors=False, moment=moment)
    return steps


def promote_all() -> None:
    """Let the newest version of each model serve, whatever its gates say: a marketplace so small passes few."""
    from wanderbricks_assets.definitions import defs
    from wanderbricks_assets.targets import TARGETS

    registry = defs.resources["registry"]
    for target in TARGETS.values():
        registry.promote(target, registry.candidate(target).version)


def take_as_trained() -> None:
    """Tell Dagster that the models of the newest week were trained, as the registry holds them."""
    import dagster as dg

    from wanderbricks_assets.models.all import MODELS
    from wanderbricks_assets.partitions import WEEKLY, ended

    with dg.DagsterInstance.get() as instance:
        for model in MODELS:
            instance.report_runless_asset_event(dg.AssetMaterialization(model, partition=ended(WEEKLY, FILLED)[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulate", type=Path, metavar="FOLDER", help="only this")
    parser.add_argument("--bring-up", type=datetime.fromisoformat, metavar="MOMENT", help="only this, costs as JSON")
    parser.add_argument("--take-as-trained", action="store_true", help="before")
    parser.add_argument("--promote-all", action="store_true", help="after")
    given = parser.parse_args()
    if given.simulate:
        simulate_all(given.simulate)
        print(json.dumps({}))  # noqa: T201 (the result)
    elif given.bring_up:
        settings = read_settings()
        settings.home.mkdir(exist_ok=True)
        enter(settings)
        make_databases(settings)
        if given.take_as_trained:
            take_as_trained()
        steps = bring_up(given.bring_up)
        if given.promote_all:
            promote_all()
        print(json.dumps({"cpu": cpu_used(), "steps": steps}))  # noqa: T201
    else:
        print(table())  # noqa: T201


if __name__ == "__main__":
    main()
