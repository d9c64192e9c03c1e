"""Which partitions late data touches: those already materialized of which the rows would now be others.

What hangs on a late row is followed as the transforms read it. Features follow up to now, of predictions only the
newest day: older ones are a record of what was said, as trained versions are of what was known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

import dagster as dg
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from wanderbricks_assets.automation.asking import overlaps
from wanderbricks_assets.automation.jobs import ENGAGEMENT, GOLD_AND_FEATURES, PREDICTIONS
from wanderbricks_assets.automation.plans import Planned, Planner
from wanderbricks_assets.contracts.source import SOURCE
from wanderbricks_assets.features.engagement_features import LOOK_BACK_HOURS
from wanderbricks_assets.gold.bookings import fact_booking_history, paid
from wanderbricks_assets.lazy import ibis, pd
from wanderbricks_assets.models.all import MODELS
from wanderbricks_assets.partitions import DAILY, HOURLY, ended, window_of
from wanderbricks_assets.predictions.assets import TARGET_OF
from wanderbricks_assets.window import Window

# A run takes seconds to begin, a day in its middle a fraction of one: of more ranges the nearest are joined.
MOST_RUNS = 10
_YEARS_AHEAD = 3  # as far as the mapping of fact_booking_history looks back for the booking of an update
_VISITS = ("page_views", "clickstream", "bookings")
# Written whole by the source, without days or read without them: the dimensions that read them follow.
_WITHOUT_DAYS = {name for name, contract in SOURCE.items() if not contract.time_column} | {"property_updates"}
_STAGES = (
    ("fact_booking_history", "fact_property_engagement", "fact_review", "quarantine", "engagement_features"),
    ("fact_booking_detail", "fact_booking_daily", "property_features", "user_features"),
)


@dataclass
class LateData:
    """The changes between two observations of the source, and what had been materialized before the later one."""

    planner: Planner
    changed: Mapping[str, set[datetime | None]]
    at: float  # unix time of the later observation
    now: datetime  # naive UTC
    touched: dict[str, set[str]] = field(default_factory=dict)
    _known: dict[str, set[str]] = field(default_factory=dict)

    def stages(self) -> list[list[Planned]]:
        """Runs, in stages: those of a stage need those of the stages before."""
        dimensions = self._dimensions()
        self._follow()
        stages = [self._runs(assets) for assets in _STAGES]
        if dimensions:
            stages[0].insert(0, Planned(GOLD_AND_FEATURES.name, tuple(dimensions), None, None))
        touched = {asset for asset, keys in self.touched.items() if keys}
        stages.append(self._predictions(touched))
        return [stage for stage in stages if stage]

    def _follow(self) -> None:
        for table in (name for name in self.changed if SOURCE[name].time_column):
            days = self._days(table)
            if table != "property_updates":
                self._touch("quarantine", days)
            if table in _VISITS:
                self._touch("fact_property_engagement", days)
                self._touch("engagement_features", self._hours_after(table))
            if table == "reviews":
                self._touch("fact_review", days)
            if table in ("reviews", "property_updates"):
                self._touch("property_features", self._since(self._materialized_of(days, "property_features")))
        self._follow_bookings()
        self._follow_payments()

    def _follow_bookings(self) -> None:
        days = self._days("bookings") | self._days("booking_updates")
        if late := self._materialized_of(self._days("bookings"), "fact_booking_history"):
            days |= self._days_of_what_names(late)
        days = self._materialized_of(days, "fact_booking_history")
        if not days:
            return
        differing = pd.concat([self._differing_states(first, last) for first, last in _ranges(days, self._all_days)])
        if differing.empty:
            return
        self._touch("fact_booking_history", {_day(moment) for moment in differing.known_at})
        self._touch("fact_booking_detail", {_day(moment) for moment in differing.created_at})
        since = {_day(moment) for moment in differing.known_at}
        for features in ("property_features", "user_features"):
            self._touch(features, self._since(since))
        known = differing.groupby("booking_id").known_at.min().rename("since").reset_index()
        states = pd.concat([differing[["booking_id", "check_in_date"]], self._states_of(known.booking_id)])
        self._touch_stays(states.merge(known, on="booking_id"))

    def _follow_payments(self) -> None:
        if not self._materialized_of(self._days("payments"), "fact_booking_detail"):
            return
        payments = self.planner.source.read("payments")
        late = payments.filter(_in_hours(payments.payment_date, self.changed["payments"]))
        since = late.group_by("booking_id").agg(since=late.payment_date.min())
        detail = self.planner.lake.read("fact_booking_detail").semi_join(since, "booking_id")
        now = paid(payments.semi_join(since, "booking_id"), detail)
        both = detail.left_join(now, "booking_id").drop("booking_id_right").join(since, "booking_id")
        columns = ("payment_amount", "payment_method")
        differs = ibis.or_(
            *(~both[name].identical_to(both[f"{name}_right"].cast(both[name].type())) for name in columns)
        )
        touched = both.filter(differs).select("booking_id", "created_at", "check_in_date", "since").to_pandas()
        self._touch("fact_booking_detail", {_day(moment) for moment in touched.created_at})
        self._touch_stays(touched)

    def _touch_stays(self, states: pd.DataFrame) -> None:
        """A stay counts as it was known when its first day ended: what came `since` then does not touch it."""
        check_in = pd.to_datetime(states.check_in_date)
        known_then = states.since < check_in + timedelta(days=1)
        self._touch("fact_booking_daily", {_day(moment) for moment in check_in[known_then]})

    def _differing_states(self, first: str, last: str) -> pd.DataFrame:
        """The states of bookings, begun in these days, that source and lake do not have alike."""
        window, planner = window_of(DAILY, dg.PartitionKeyRange(first, last)), self.planner
        bookings = planner.source.read("bookings", window.back(days=365 * _YEARS_AHEAD))
        fresh = fact_booking_history(bookings, planner.source.read("booking_updates", window), window)
        stored = planner.lake.read("fact_booking_history", window)
        fresh = fresh.select(stored.columns).cast(dict(stored.schema().items()))
        both = pd.concat([fresh.to_pandas(), stored.to_pandas()], ignore_index=True)
        return both[~both.duplicated(keep=False)]

    def _states_of(self, bookings: pd.Series) -> pd.DataFrame:
        states = self.planner.lake.read("fact_booking_history").select("booking_id", "check_in_date")
        return states.filter(states.booking_id.isin(bookings.tolist())).to_pandas()

    def _days_of_what_names(self, days: Iterable[str]) -> set[str]:
        """The days on which something came that belongs to bookings of changed hours: it is judged with them."""
        read = self.planner.source.read
        window = _window(days)
        made = read("bookings", window)
        made = made.filter(_in_hours(made.created_at, self.changed["bookings"]))
        moved = {_day(moment) for moment in made.updated_at.to_pandas().dropna()}
        found = set()
        for table in ("booking_updates", "payments", "reviews"):
            rows = read(table, Window(window.start, self._end)).semi_join(made, "booking_id")
            found |= (named := {_day(moment) for moment in rows[SOURCE[table].time_column].to_pandas()})
            self._touch("quarantine", named)
            if table == "booking_updates":
                updated = named
        return updated | moved

    def _dimensions(self) -> list[str]:
        """The assets without days that read what the source keeps without days, and those that read them."""
        graph = self.planner.repository.asset_graph
        found: set[str] = set()
        dimensions = self.planner.assets_without_days()
        changed = set(self.changed) & _WITHOUT_DAYS
        while True:
            more = {
                name
                for name in dimensions
                if {key.to_user_string() for key in graph.get(dg.AssetKey(name)).parent_keys} & (changed | found)
            }
            if more <= found:
                return sorted(found)
            found |= more

    def _predictions(self, touched: set[str]) -> list[Planned]:
        """The newest day that was predicted, by the models that read what late data touched."""
        made = {asset: max(self.planner.materialized(asset), default="") for asset in TARGET_OF}
        newest = max(made.values())
        assets = tuple(
            asset
            for asset, target in TARGET_OF.items()
            if made[asset] == newest and touched & set(MODELS[target.model].reads)
        )
        return [Planned(PREDICTIONS.name, assets, newest, newest)] if newest and assets else []

    def _runs(self, assets: Iterable[str]) -> list[Planned]:
        """Assets that are touched in the same ranges share a run."""
        runs: dict[tuple[str, str, str], list[str]] = {}
        for asset in assets:
            is_hourly = asset == "engagement_features"
            job, every = (ENGAGEMENT, self._all_hours) if is_hourly else (GOLD_AND_FEATURES, self._all_days)
            for first, last in _ranges(self.touched.get(asset, set()), every):
                runs.setdefault((job.name, first, last), []).append(asset)
        return [Planned(job, tuple(assets), first, last) for (job, first, last), assets in runs.items()]

    def _touch(self, asset: str, keys: Iterable[str]) -> None:
        self.touched.setdefault(asset, set()).update(self._materialized_of(keys, asset))

    def _materialized_of(self, keys: Iterable[str], asset: str) -> set[str]:
        """Those that were materialized, or were about to be, before the source was observed."""
        return set(keys) & self._before(asset)

    def _before(self, asset: str) -> set[str]:
        if asset not in self._known:
            self._known[asset] = self._materialized_before(dg.AssetKey(asset))
        return self._known[asset]

    def _materialized_before(self, key: dg.AssetKey) -> set[str]:
        """By a run that had begun before the source was observed, and so may not have read what came."""
        instance = self.planner.instance
        later: set[str] = set()
        cursor, has_more = None, True
        while has_more:
            since = dg.AssetRecordsFilter(key, after_timestamp=self.at)
            page = instance.fetch_materializations(since, limit=1000, cursor=cursor)
            later |= {record.partition_key for record in page.records if self._has_begun_since(record.run_id)}
            cursor, has_more = page.cursor, page.has_more
        every = self._all_hours if key.to_user_string() == "engagement_features" else self._all_days
        under_way = [
            run
            for run in instance.get_runs(dg.RunsFilter(statuses=NOT_FINISHED_STATUSES))
            if run.asset_selection is None or key in run.asset_selection
        ]
        about_to_be = {name for name in every if any(overlaps(run, name, name) for run in under_way)}
        return (instance.get_materialized_partitions(key) - later) | about_to_be

    def _has_begun_since(self, run_id: str) -> bool:
        record = self.planner.instance.get_run_record_by_id(run_id)
        return record is not None and record.start_time is not None and record.start_time >= self.at

    @cached_property
    def _all_hours(self) -> list[str]:
        return ended(HOURLY, self.now)

    @cached_property
    def _all_days(self) -> list[str]:
        return ended(DAILY, self.now)

    @property
    def _end(self) -> datetime:
        return self.now + timedelta(days=1)

    def _days(self, table: str) -> set[str]:
        return {_day(hour) for hour in self.changed.get(table, ()) if hour}

    def _hours_after(self, table: str) -> set[str]:
        """An hour's events are counted in it and for seven days after it, and their leaving is a row too."""
        return {
            (hour + timedelta(hours=number)).strftime(HOURLY.fmt)
            for hour in self.changed[table]
            if hour
            for number in range(LOOK_BACK_HOURS + 1)
        }

    def _since(self, days: Iterable[str]) -> set[str]:
        first = min(days, default=None)
        return {day for day in self._all_days if first is not None and day >= first}


def _day(moment: datetime) -> str:
    """The daily partition that holds a moment: the first of all holds what came before it."""
    return max(moment.date().isoformat(), DAILY.get_first_partition_key())


def _window(days: Iterable[str]) -> Window:
    return window_of(DAILY, dg.PartitionKeyRange(min(days), max(days)))


def _in_hours(time: ibis.Value, hours: Iterable[datetime | None]) -> ibis.ir.BooleanValue:
    return time.truncate("h").isin([hour for hour in hours if hour])


def _ranges(keys: Iterable[str], every: list[str]) -> list[tuple[str, str]]:
    """The keys as ranges of neighbours: as few as they are, and at most MOST_RUNS."""
    wanted = set(keys)
    places = [place for place, key in enumerate(every) if key in wanted]
    ranges: list[list[int]] = []
    for place in places:
        if ranges and place == ranges[-1][1] + 1:
            ranges[-1][1] = place
        else:
            ranges.append([place, place])
    while len(ranges) > MOST_RUNS:
        gap = min(range(len(ranges) - 1), key=lambda number: ranges[number + 1][0] - ranges[number][1])
        ranges[gap][1] = ranges.pop(gap + 1)[1]
    return [(every[first], every[last]) for first, last in ranges]
