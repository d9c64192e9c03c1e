"""What happened to each listing in each week, beside its price: where price responses are read from.

A booking answers the price of the moment at which it is made, so demand is counted by the week in which it was made.
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import lru_cache

from wanderbricks_assets.gold.as_known import bookings_as_known, bookings_made, cancelled, versions
from wanderbricks_assets.gold.exact import exact_sum
from wanderbricks_assets.lazy import Table, ibis, np, pd
from wanderbricks_assets.models.model import CannotLearn
from wanderbricks_assets.window import add_days, midnight

DAYS = 30  # nights ahead that are priced
LATER = 120  # nights ahead that most bookings are for
WEEKS_AHEAD = 5  # covers them
RECENT_WEEKS = 4
FEW_BOOKINGS = 4.0  # weight of what is usual in the place against what a listing itself had, in bookings
FEWEST_WEEKS = 52  # a season must be seen to be told from a price
FEWEST_CHANGES = 100  # of price; with fewer the interval of the elasticity is wider than any effect anyone believes in
FEWEST_BOOKINGS = 500

LISTING = ["destination", "property_type", "bedrooms", "max_guests"]
AS_LISTED = ["competitor_price", "rating", "photos_count"]
CONTROLS = (
    "week_of_year",
    "age_weeks",
    "destination_demand",
    "occupancy_ahead",
    "occupancy_later",
    "competitor_price",
    "rating",
    "photos_count",
    # A price is chosen at one moment, by what the host saw then: that, not what came later, is what confounds it.
    "weeks_since_set",
    "destination_demand_when_set",
    "occupancy_when_set",
    "recent_bookings_when_set",
    "bedrooms",
    "max_guests",
)
NIGHTS = tuple(f"nights_ahead_{week}" for week in range(WEEKS_AHEAD))
CAME = ["bookings", *NIGHTS, "price", "listed_days"]  # in a week


# Evaluating, training and describing the inputs of one version ask for the same panel. Nobody may change it.
@lru_cache(maxsize=1)
def weekly_panel(property_features: Table, fact_booking_history: Table, end: date) -> pd.DataFrame:
    """One row per listing and week, sorted; weeks are counted back from `end`, and the last one begins at `end`.

    What came in the week is null in the week to come: `log_price` (mean listed price), `bookings` (made in it) and
    NIGHTS (nights of those bookings, by weeks from booking to night). Every other column was known when its week began,
    but that a price set within the week counts for `*_set`: so only the week to come is what a forecaster knew.
    """
    return panel_at(listed_weeks(property_features, fact_booking_history, end), end)


@lru_cache(maxsize=1)
def listed_weeks(property_features: Table, fact_booking_history: Table, end: date) -> pd.DataFrame:
    """What `panel_at` is made of, for `end` and every earlier moment that is whole weeks before it. Not to be changed.

    A row is a listing and week that follows one in which it was listed: what was known when the week began, and CAME.
    """
    listed = _listed(property_features, end).order_by("property_id", "weeks_ago").to_pandas()
    made = _bookings_per_week(fact_booking_history, end).to_pandas()
    ahead = _nights_ahead(fact_booking_history, end).to_pandas()
    key = ["property_id", "weeks_ago"]
    rows = listed.merge(made, on=key, how="left").fillna(dict.fromkeys(["bookings", *NIGHTS], 0))
    # What a week left behind is what was known as the next one began.
    known = rows.drop(columns=CAME).assign(weeks_ago=rows.weeks_ago - 1)
    rows = known.merge(rows[key + CAME], on=key, how="left").merge(ahead, on=key, how="left")
    rows["week"] = pd.Timestamp(end) - pd.to_timedelta(7 * rows.weeks_ago, unit="D")
    rows = rows.fillna({"occupancy_ahead": 0.0, "occupancy_later": 0.0})
    return rows.drop(columns="weeks_ago").sort_values(["property_id", "week"], ignore_index=True)


def panel_at(weeks: pd.DataFrame, end: date) -> pd.DataFrame:
    """The weekly panel as it was known when the week of `end` began."""
    now = weeks.week == pd.Timestamp(end)
    rows = weeks[(weeks.week < pd.Timestamp(end)) & (weeks.listed_days == 7) | now].reset_index(drop=True)
    rows.loc[rows.week == pd.Timestamp(end), CAME] = np.nan
    rows["weeks_ago"] = (pd.Timestamp(end) - rows.week).dt.days // 7
    rows["log_price"] = np.log(rows.price)
    return _add_controls(rows)


def _listed(features: Table, end: date) -> Table:
    days = features.filter((features.available_at <= midnight(end)) & (features.base_price > 0))
    weeks = days.group_by("property_id", weeks_ago=_weeks_ago(days.feature_date, end)).agg(
        listed_days=days.count(),
        price=exact_sum(days.base_price) / days.count(),
        feature_date=days.feature_date.max(),
    )
    last = days.select("property_id", "feature_date", *LISTING, *AS_LISTED, current_price="base_price")
    return weeks.join(last, ["property_id", "feature_date"]).drop("feature_date")


def _bookings_per_week(history: Table, end: date) -> Table:
    made = bookings_made(history, midnight(end))
    day = made.created_at.date()
    arrives, leaves = (made.check_in_date - day).cast("int64"), (made.check_out_date - day).cast("int64")
    ahead = {
        name: ibis.greatest(ibis.least(leaves, 7 * week + 7) - ibis.greatest(arrives, 7 * week), 0)
        for week, name in enumerate(NIGHTS)
    }
    made = made.mutate(weeks_ago=_weeks_ago(day, end), **ahead)
    return made.group_by("property_id", "weeks_ago").agg(
        bookings=made.count(), **{name: made[name].sum() for name in NIGHTS}
    )


def _nights_ahead(history: Table, end: date) -> Table:
    """Shares of the next DAYS, and of the days from then to LATER, that were sold as each week began.

    By the bookings known and not cancelled then.
    """
    states = versions(history.filter(history.known_at < midnight(end)))
    states = states.filter(~cancelled(states))

    def days_to(day: ibis.Value) -> ibis.Value:
        return (ibis.date(end) - day).cast("int64")

    # The weeks whose first moment lies after known_at, not after known_until, and before the last night.
    oldest = ibis.least((days_to(states.known_at.date()) - 1) // 7, (days_to(states.check_in_date) + LATER - 1) // 7)
    newest = ibis.greatest(
        ((days_to(states.known_until.date()) + 6) // 7).fill_null(0), (days_to(states.check_out_date) + 7) // 7, 0
    )
    states = states.mutate(oldest=oldest, newest=newest).filter(ibis._.newest <= ibis._.oldest)
    weeks = states.mutate(weeks_ago=ibis.range(states.newest, states.oldest + 1).unnest())
    arrives = 7 * weeks.weeks_ago - days_to(weeks.check_in_date)
    leaves = 7 * weeks.weeks_ago - days_to(weeks.check_out_date)

    def sold(since: int, until: int) -> ibis.Value:
        nights = ibis.least(leaves, until) - ibis.greatest(arrives, since)
        return ibis.greatest(nights, 0).sum() / (until - since)

    return weeks.group_by("property_id", "weeks_ago").agg(
        occupancy_ahead=sold(0, DAYS), occupancy_later=sold(DAYS, LATER)
    )


def _weeks_ago(day: ibis.Value, end: date) -> ibis.Value:
    """1 for the seven days before `end`."""
    return ((ibis.date(end) - day).cast("int64") - 1) // 7 + 1


def _add_controls(rows: pd.DataFrame) -> pd.DataFrame:
    listing = rows.groupby("property_id")
    rows["week_of_year"] = rows.week.dt.dayofyear // 7
    rows["age_weeks"] = listing.cumcount()
    per_week = rows.groupby(["destination", "week"]).bookings.agg(["sum", "count"])
    place = per_week.groupby("destination")
    last = place.shift(1).groupby("destination")
    spans = {"destination_demand": RECENT_WEEKS, "year_demand": 52}
    sums = {name: last.rolling(weeks, min_periods=1).sum().droplevel(0) for name, weeks in spans.items()}
    demand = pd.DataFrame({name: sums[name]["sum"] / sums[name]["count"] for name in spans})
    rows = rows.merge(demand, left_on=["destination", "week"], right_index=True, how="left")
    before = listing.bookings.shift(1)
    total = before.fillna(0.0).groupby(rows.property_id).cumsum()

    def sum_of_last(weeks: int) -> pd.Series:
        return total - total.groupby(rows.property_id).shift(weeks).fillna(0.0)

    recent_bookings = sum_of_last(2 * RECENT_WEEKS)
    # Against the place's own last year: demand that grows everywhere makes no listing more popular.
    usual = rows.age_weeks.clip(upper=52) * rows.year_demand.clip(lower=0.01).fillna(1.0)
    rows["popularity"] = (sum_of_last(52) + FEW_BOOKINGS) / (usual + FEW_BOOKINGS)
    rows["price_a_week_ago"] = listing.current_price.shift(1).fillna(rows.current_price)
    # The last price of the week is the next week's current price; in the week to come it is the one that stands.
    after = listing.current_price.shift(-1).fillna(rows.current_price)
    was_set = (after != rows.current_price) | (rows.age_weeks == 0)
    when_set = {
        "destination_demand_when_set": rows.destination_demand,
        "occupancy_when_set": rows.occupancy_ahead,
        "recent_bookings_when_set": recent_bookings,
    }
    for name, values in when_set.items():
        rows[name] = values.where(was_set).groupby(rows.property_id).ffill()
    rows["weeks_since_set"] = rows.age_weeks - rows.age_weeks.where(was_set).groupby(rows.property_id).ffill()
    return rows


def nights_of(panel: pd.DataFrame, fact_booking_history: Table, moment: date) -> pd.DataFrame:
    """One row per listing of the week to come, which begins at `moment`, and night of the 30 days from then on."""
    week, before = panel[panel.weeks_ago == 0], panel[panel.weeks_ago > 0]
    seen = before.groupby(["destination", "property_type"]).price.agg(lowest_seen="min", highest_seen="max")
    week = week.merge(seen, left_on=["destination", "property_type"], right_index=True, how="left")
    for name in ("lowest_seen", "highest_seen"):
        week[name] = week[name].fillna(week.current_price)
    dates = pd.DataFrame({"target_date": pd.date_range(moment, periods=DAYS)})
    rows = week.merge(dates, how="cross")
    sold = _nights_sold(fact_booking_history, moment)
    rooms = sold.groupby("property_id").rooms.first()
    rows = rows.merge(sold[["property_id", "target_date", "sold"]], on=["property_id", "target_date"], how="left")
    rows["rooms"] = rows.property_id.map(rooms).fillna(1).astype(int)
    rows["free_nights"] = (rows.rooms - rows.sold.fillna(0)).astype(int)
    return rows.sort_values(["property_id", "target_date"], ignore_index=True)


def _nights_sold(fact_booking_history: Table, moment: date) -> pd.DataFrame:
    """property_id, target_date, sold: of the nights from `moment` on, as known then; rooms: most ever sold at once."""
    known = bookings_as_known(fact_booking_history, midnight(moment))
    known = known.filter(~cancelled(known) & (known.nights_booked > 0))
    nights = known.mutate(night=ibis.range(0, known.nights_booked).unnest())
    nights = nights.mutate(target_date=add_days(nights.check_in_date, nights.night))
    sold = nights.group_by("property_id", "target_date").agg(sold=nights.count())
    sold = sold.filter(sold.target_date < ibis.date(moment + timedelta(days=DAYS)))
    rooms = sold.group_by("property_id").agg(rooms=sold.sold.max())
    ahead = sold.filter(sold.target_date >= ibis.date(moment))
    return (
        rooms.left_join(ahead, "property_id")
        .drop("property_id_right")
        .order_by("property_id", "target_date")
        .to_pandas()
    )


def bookings_of_nights(fact_booking_history: Table, moment: date) -> pd.DataFrame:
    """property_id, target_date, bookings: made from `moment` on for the night, later cancelled or not."""
    made = bookings_made(fact_booking_history, midnight(moment + timedelta(days=DAYS)))
    made = made.filter((made.created_at >= midnight(moment)) & (made.nights_booked > 0))
    nights = made.mutate(night=ibis.range(0, made.nights_booked).unnest())
    nights = nights.mutate(target_date=add_days(nights.check_in_date, nights.night))
    nights = nights.filter(nights.target_date < ibis.date(moment + timedelta(days=DAYS)))
    rows = nights.group_by("property_id", "target_date").agg(bookings=nights.count())
    return rows.order_by("property_id", "target_date").to_pandas()


def check(panel: pd.DataFrame) -> None:
    """Raises CannotLearn unless prices changed often enough, over time enough, for their effect to be read."""
    weeks = panel.week.nunique()
    if weeks < FEWEST_WEEKS:
        raise CannotLearn(
            f"{weeks} weeks of listed prices; at least {FEWEST_WEEKS} are needed to tell season from price"
        )
    changes = int((panel.groupby("property_id").current_price.diff().fillna(0.0) != 0).sum())
    if changes == 0:
        raise CannotLearn(
            f"no listed price ever changed (property_updates is empty or missing): {panel.property_id.nunique()} "
            "listings at one price each tell nothing of how bookings answer a price, and what guests paid follows "
            "demand, so the elasticity cannot be read"
        )
    if changes < FEWEST_CHANGES:
        raise CannotLearn(f"listed prices changed {changes} times; at least {FEWEST_CHANGES} changes are needed")
    if panel.bookings.sum() < FEWEST_BOOKINGS:
        raise CannotLearn(
            f"{panel.bookings.sum():.0f} bookings; at least {FEWEST_BOOKINGS} are needed to read an elasticity"
        )
