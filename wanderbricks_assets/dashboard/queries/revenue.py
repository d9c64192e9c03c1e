"""Revenue by check-in date: what came, what is booked, what is expected, and what moved in a week."""

from __future__ import annotations

from datetime import date, timedelta

from wanderbricks_assets.dashboard.queries.newest import newest_day
from wanderbricks_assets.lazy import Table, pd

HORIZONS = (30, 60, 90)  # days
LAST_YEAR = timedelta(days=364)  # the same weekdays
WEEK = timedelta(days=7)
PARTS = ("on_the_books", "trend", "season", "holiday", "pick_up")  # of yhat, to which they add up
FORECAST = ["ds", "yhat", "yhat_lower", "yhat_upper", *PARTS, "model_version"]


def known_until(revenue_forecast: Table, fact_booking_daily: Table) -> date | None:
    """The first day that is not over: after the newest forecast's data, or without one after the newest check-ins."""
    last = newest_day(revenue_forecast) or fact_booking_daily.check_in_date.max().to_pyarrow().as_py()
    return last + timedelta(days=1) if last else None


def forecast_of(revenue_forecast: Table, today: date) -> pd.DataFrame:
    """[<= 90 days] the forecast made at the beginning of a day: FORECAST, by ds. Empty when none was made then."""
    made = revenue_forecast.filter(revenue_forecast.prediction_date == today - timedelta(days=1))
    return made.select(FORECAST).order_by("ds").to_pandas().astype({"ds": "datetime64[ns]"})


def revenue_by_day(fact_booking_daily: Table, first: date, end: date) -> pd.DataFrame:
    """[days] ds, revenue of the stays that began on each day from first until end (exclusive), zeros put back.

    Days before the first check-in that the table knows are left out: that nothing is known is not that nothing came.
    """
    rows = fact_booking_daily.filter(fact_booking_daily.check_in_date < end)
    known_from = rows.check_in_date.min().to_pyarrow().as_py()
    if known_from is None:
        return pd.DataFrame({"ds": pd.DatetimeIndex([]), "revenue": pd.Series(dtype=float)})
    sums = rows.filter(rows.check_in_date >= first).group_by(ds=rows.check_in_date)
    found = sums.agg(revenue=rows.total_booking_value.sum()).to_pandas().astype({"ds": "datetime64[ns]"})
    days = pd.date_range(max(first, known_from), end, inclusive="left", name="ds")
    return found.set_index("ds").reindex(days).fillna(0.0).reset_index()


def books_by_day(fact_booking_detail: Table, today: date, days: int) -> pd.DataFrame:
    """[days] ds, on_the_books: the value of the stays to come that are booked and not cancelled, as it stands."""
    rows = fact_booking_detail
    to_come = rows.filter(~rows.is_cancelled & rows.check_in_date.between(today, today + timedelta(days=days - 1)))
    sums = to_come.group_by(ds=to_come.check_in_date).agg(on_the_books=to_come.total_amount.sum()).to_pandas()
    index = pd.date_range(today, periods=days, name="ds")
    return sums.astype({"ds": "datetime64[ns]"}).set_index("ds").reindex(index).fillna(0.0).reset_index()


def totals(forecast: pd.DataFrame, actual: pd.DataFrame, today: date) -> pd.DataFrame:
    """[HORIZONS] of the next days together: expected, on_the_books, and last_year, the same weekdays 364 days before
    (NaN where that year is not known whole)."""
    revenue = actual.set_index("ds")["revenue"]
    rows = []
    for days in HORIZONS:
        part = forecast[forecast["ds"] < pd.Timestamp(today) + pd.Timedelta(days, "D")]
        year_ago = revenue.reindex(part["ds"] - LAST_YEAR)
        rows.append(
            {
                "days": days,
                "expected": part["yhat"].sum(),
                "on_the_books": part["on_the_books"].sum(),
                "last_year": year_ago.sum() if year_ago.notna().all() else float("nan"),
            }
        )
    return pd.DataFrame(rows)


def moved(now: pd.DataFrame, before: pd.DataFrame, days: int) -> pd.DataFrame:
    """[PARTS] part, before, now, change: sums over those of the next days that both forecasts cover."""
    until = now["ds"].min() + pd.Timedelta(days, "D")
    both = now.merge(before, on="ds", suffixes=("_now", "_before"))
    both = both[both["ds"] < until]
    rows = [{"part": part, "before": both[f"{part}_before"].sum(), "now": both[f"{part}_now"].sum()} for part in PARTS]
    found = pd.DataFrame(rows)
    return found.assign(change=found["now"] - found["before"])


def since(before: pd.DataFrame, actual: pd.DataFrame) -> tuple[float, float, int]:
    """What an earlier forecast expected of the days that are over, what came, and how many days that are."""
    over = before.merge(actual, on="ds")
    return float(over["yhat"].sum()), float(over["revenue"].sum()), len(over)
