"""What is known about a customer at a moment: how often and how lately they came, what they booked, what they spent."""

from __future__ import annotations

from datetime import datetime, timedelta

from wanderbricks_assets.contracts.features import USER_FEATURES
from wanderbricks_assets.features.point_in_time import as_of
from wanderbricks_assets.gold.as_known import bookings_as_known, bookings_made, cancelled
from wanderbricks_assets.gold.exact import exact_sum
from wanderbricks_assets.lazy import Table, ibis, np, pd
from wanderbricks_assets.models.model import CannotLearn, Tables

READS = ("fact_booking_history", "user_features", "page_views")
YEAR = timedelta(days=365)
QUARTER = YEAR.days / 4
SHORTEST_HISTORY = timedelta(days=180)  # before the customers' features are taken: who is a customer must be known
SHORTEST_EXPOSURE = 60  # days: of a newer customer the rates say little
LOOK_BACK = timedelta(days=182)  # for page views
WEEKS = (4, 13, 26)  # look-backs in which weeks with a page view or a booking are counted

# The linear part reads these, and carries on beyond what was trained on: customers are silent for longer in the year
# that is predicted than any were in the year that was learned from. So silence enters as a power of its length: as an
# exponential it carried on worse (on simulated seeds 11 and 12, and on earlier windows). Page views are those of half
# a year, so that all that can be said of them was seen in training; what that costs and saves is in docs/models.md.
LINEAR = [
    "log_quarters_silent",
    "log_rate",
    "log_avg_value",
    "cancellation_rate",
    "is_business",
    "log_lead",
    "log_weeks_26",
    "log_quarters_away",
]
# Trees read all.
NUMBERS = [
    *LINEAR,
    "log_weeks_4",
    "log_weeks_13",
    "log_days_away",
    "log_silent_days",
    "log_frequency",
    "booking_trend",
    "log_tenure",
    "log_spend_12m",
    "log_total_spend",
]


def customers(tables: Tables, moment: datetime) -> pd.DataFrame:
    """One row per customer with a booking before the moment: user_id, country, NUMBERS, spend_12m and level.

    level: the mean value of a booking in the 12 months before. Features of money are in this unit, so that what was
    learned at one level of prices holds at another. Counts since registration grow with the history that the data
    happens to have, so they enter as rates over the time that the customer was observed.
    """
    features = tables["user_features"]
    features = features.filter(features.available_at <= moment)
    users = features.select("user_id").distinct().mutate(moment=ibis.literal(moment))
    frame = as_of(users, features, USER_FEATURES, "moment").to_pandas()
    frame = frame[frame["total_bookings"] > 0].sort_values("user_id", ignore_index=True)
    history = tables["fact_booking_history"]
    begun = history.filter(history.known_at < moment).created_at.min().execute()
    observed = np.minimum(frame["tenure_days"], (pd.Timestamp(moment) - begun).days).clip(lower=SHORTEST_EXPOSURE)
    spent, level = spend(tables, moment - YEAR, moment, frame["user_id"]), _level(tables, moment)
    active = _activity(tables, moment, frame["user_id"])
    avg_value = frame["avg_booking_value"] / level
    numbers = pd.DataFrame(
        {
            "log_quarters_silent": np.log1p(frame["days_since_last_booking"] / QUARTER),
            "log_rate": np.log(frame["total_bookings"] / observed),
            "log_avg_value": np.log(avg_value.where(avg_value > 0)),
            "cancellation_rate": frame["cancellation_rate"],
            "is_business": frame["is_business"],
            "log_lead": np.log1p(frame["avg_lead_time"].clip(lower=0)),
            "log_quarters_away": np.log1p(active["away"] / QUARTER),
            "log_days_away": np.log1p(active["away"]),
            **{f"log_weeks_{span}": np.log1p(active[f"weeks_{span}"]) for span in WEEKS},
            "log_silent_days": np.log1p(frame["days_since_last_booking"]),
            "log_frequency": np.log1p(frame["booking_frequency"]),
            "booking_trend": frame["booking_trend"],
            "log_tenure": np.log1p(frame["tenure_days"]),
            "log_spend_12m": np.log1p(spent / level),
            "log_total_spend": np.log1p(frame["total_spend"].clip(lower=0) / level),
        }
    )
    country = frame["country"].astype("object").where(frame["country"].notna(), "unknown").astype("str")
    return pd.concat([frame[["user_id"]], country, numbers[NUMBERS].astype("float64")], axis=1).assign(
        spend_12m=spent, level=level
    )


def spend(tables: Tables, start: datetime, end: datetime, user_id: pd.Series) -> np.ndarray:
    """[users] value of the bookings made in [start, end) that were not cancelled, as known at `end`."""
    kept = _kept(tables, end)
    kept = kept.filter(kept.created_at >= start)
    value = kept.group_by("user_id").agg(value=exact_sum(kept.total_amount)).to_pandas().set_index("user_id")["value"]
    return user_id.map(value).fillna(0.0).to_numpy("float64")


def purchases(tables: Tables, moment: datetime, user_id: pd.Series) -> pd.DataFrame:
    """What BG/NBD and Gamma-Gamma know of each customer, in the order of user_id: repeats (bookings after the first),
    recency (from the first to the last, years), age (from the first to the moment, years) and mean_value.

    Bookings are those not cancelled; who has none counts from the first one of all, without a repeat or a mean value.
    """
    made = bookings_as_known(tables["fact_booking_history"], moment)
    is_kept = ~cancelled(made)
    days = made.group_by("user_id").agg(
        count=made.count(where=is_kept),
        first=ibis.coalesce(made.created_at.min(where=is_kept), made.created_at.min()),
        last=ibis.coalesce(made.created_at.max(where=is_kept), made.created_at.min()),
        value=exact_sum(made.total_amount, where=is_kept),
    )
    frame = days.to_pandas().set_index("user_id").loc[user_id].reset_index()
    return pd.DataFrame(
        {
            "repeats": (frame["count"] - 1).clip(lower=0),
            "recency": (frame["last"] - frame["first"]) / YEAR,
            "age": (pd.Timestamp(moment) - frame["first"]) / YEAR,
            "mean_value": frame["value"] / frame["count"].where(frame["count"] > 0),
        }
    )


def check_history(tables: Tables, cutoff: datetime, moment: datetime) -> None:
    """Raise CannotLearn where nobody came back, or where bookings begin too late to know the customers of `moment`."""
    history = tables["fact_booking_history"]
    made = bookings_made(history, cutoff)
    found = made.aggregate(bookings=made.count(), users=made.user_id.nunique(), first=made.created_at.min())
    found = found.to_pandas().iloc[0]
    if found.bookings == found.users:
        raise CannotLearn(
            f"no customer booked twice: {found.bookings:,} bookings by {found.users:,} users before {cutoff:%Y-%m-%d}"
        )
    if found["first"] > moment - SHORTEST_HISTORY:
        raise CannotLearn(
            f"bookings begin on {found['first']:%Y-%m-%d}, {(cutoff - found['first']).days} days before the cutoff, "
            f"and {(cutoff - moment + SHORTEST_HISTORY).days} are needed"
        )


def _activity(tables: Tables, moment: datetime, user_id: pd.Series) -> pd.DataFrame:
    """[users] days since the last page view or booking (away, at most LOOK_BACK), and the weeks, counted back from the
    moment, that have one, of the last of each of WEEKS.

    A view delivered twice changes nothing, so the views need not be judged. Without page views bookings tell.
    """
    views, history = tables["page_views"], tables["fact_booking_history"]
    seen = views.filter((views.timestamp >= moment - LOOK_BACK) & (views.timestamp < moment) & views.user_id.notnull())
    made = bookings_made(history, moment)
    made = made.filter(made.created_at >= moment - LOOK_BACK)
    days = seen.select("user_id", day=seen.timestamp.date()).union(made.select("user_id", day=made.created_at.date()))
    yesterday = (moment - timedelta(days=1)).date()  # 0 days ago, as in days_since_last_booking
    days = days.mutate(ago=(ibis.literal(yesterday) - days.day).cast("int64"))
    weeks = days.group_by("user_id", week=days.ago // 7).agg(away=days.ago.min())
    counts = {f"weeks_{span}": weeks.count(where=weeks.week < span) for span in WEEKS}
    activity = weeks.group_by("user_id").agg(away=weeks.away.min(), **counts).to_pandas().set_index("user_id")
    activity = activity.reindex(user_id.to_numpy()).reset_index(drop=True)
    return activity.fillna({"away": LOOK_BACK.days, **dict.fromkeys(counts, 0)})


def _level(tables: Tables, moment: datetime) -> float:
    """The mean value of a booking made in the 12 months before the moment and not cancelled."""
    kept = _kept(tables, moment)
    kept = kept.filter(kept.created_at >= moment - YEAR)
    total, count = kept.aggregate(total=exact_sum(kept.total_amount), count=kept.count()).to_pandas().iloc[0]
    return float(total / count) if count else 1.0


def _kept(tables: Tables, moment: datetime) -> Table:
    bookings = bookings_as_known(tables["fact_booking_history"], moment)
    return bookings.filter(~cancelled(bookings))
