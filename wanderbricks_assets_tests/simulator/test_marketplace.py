"""The tables look like the real sample where facts about it are public, and like a sound marketplace elsewhere."""

from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wanderbricks_assets.contracts.source import SOURCE
from wanderbricks_assets.simulator import simulate
from wanderbricks_assets.simulator.calibration import SAMPLE
from wanderbricks_assets.simulator.event_tables import EVENTS
from wanderbricks_assets.simulator.geography import geography
from wanderbricks_assets.simulator.market import Market, _set_prices
from wanderbricks_assets.simulator.sample import everything
from wanderbricks_assets.simulator.season import Calendar
from wanderbricks_assets_tests.simulator.conftest import UNTIL, read


@pytest.fixture(scope="module")
def bookings(market) -> pd.DataFrame:
    return read(market, "bookings").to_pandas(date_as_object=False)


@pytest.fixture(scope="module")
def updates(market) -> pd.DataFrame:
    return read(market, "booking_updates").to_pandas(date_as_object=False)


@pytest.fixture(scope="module")
def final(bookings, updates) -> pd.DataFrame:
    """The latest state of each booking."""
    latest = updates.sort_values(["updated_at", "booking_update_id"]).drop_duplicates("booking_id", keep="last")
    latest = latest.set_index("booking_id")
    rows = bookings.set_index("booking_id")
    rows.update(latest[["check_in", "check_out", "status", "total_amount", "updated_at"]])
    return rows


@pytest.mark.parametrize("table", list(SOURCE))
def test_every_file_has_exactly_the_declared_schema(market, table):
    files = sorted((market / table).rglob("*.parquet")) if table in EVENTS else [market / f"{table}.parquet"]
    for file in files[:20]:
        assert pq.ParquetFile(file).schema_arrow.remove_metadata().equals(SOURCE[table].arrow_schema)


@pytest.mark.parametrize("table", list(SOURCE))
def test_every_value_is_allowed_and_in_range(market, table):
    rows = read(market, table)
    for column in SOURCE[table].columns:
        values = (
            rows.column(column.name).to_pandas(date_as_object=False)
            if not column.type.startswith(("array", "struct"))
            else None
        )
        if values is None:
            continue
        if not column.nullable:
            assert values.notna().all(), column.name
        if column.allowed:
            assert set(values.dropna()) <= set(column.allowed), column.name
        if column.minimum is not None:
            assert values.dropna().astype(float).min() >= column.minimum, column.name
        if column.maximum is not None:
            assert values.dropna().astype(float).max() <= column.maximum, column.name


@pytest.mark.parametrize("table", list(EVENTS))
def test_events_lie_in_the_folder_of_their_day_and_before_until(market, table):
    time = SOURCE[table].time_column
    rows = read(market, table).select([time, "date"]).to_pandas(date_as_object=False)
    assert (rows[time].dt.strftime("%Y-%m-%d") == rows["date"]).all()
    assert rows[time].max() < UNTIL
    assert rows[time].max() > UNTIL - pd.Timedelta(days=1)


@pytest.mark.parametrize(("table", "column"), [("users", "created_at"), ("property_updates", "updated_at")])
def test_whole_tables_know_nothing_after_until(market, table, column):
    assert read(market, table).column(column).to_pandas(date_as_object=False).max() < UNTIL


def test_tickets_after_until_are_absent_though_their_time_is_text(market):
    assert max(read(market, "customer_support_logs").column("created_at").to_pylist()) < f"{UNTIL:%Y-%m-%d %H:%M:%S}"


def test_no_night_is_sold_twice(final):
    stays = final[final["status"] != "cancelled"]
    nights = stays.loc[stays.index.repeat((stays["check_out"] - stays["check_in"]).dt.days.to_numpy())]
    night = nights["check_in"] + pd.to_timedelta(nights.groupby(level=0).cumcount(), unit="D")
    assert len(nights) > 1_000
    assert not pd.DataFrame({"property": nights["property_id"], "night": night}).duplicated().any()


def test_nights_of_cancelled_stays_are_sold_again(final):
    cancelled = final[final["status"] == "cancelled"].reset_index()
    kept = final[final["status"] != "cancelled"].reset_index()
    both = cancelled.merge(kept, on="property_id", suffixes=("_cancelled", ""))
    again = (both["check_in"] < both["check_out_cancelled"]) & (both["check_in_cancelled"] < both["check_out"])
    again &= both["created_at"] > both["created_at_cancelled"]
    assert again.sum() > 20
    assert (both["created_at"] >= both["updated_at_cancelled"])[again].all()


def test_the_price_of_a_stay_is_the_listed_price_when_it_was_booked(market, bookings):
    prices = read(market, "property_updates").to_pandas(date_as_object=False).sort_values("updated_at")
    rows = bookings.sort_values("created_at")
    rows = pd.merge_asof(rows, prices, left_on="created_at", right_on="updated_at", by="property_id")
    nights = (rows["check_out"] - rows["check_in"]).dt.days
    ratio = rows["total_amount"] / (nights * rows["base_price"])
    assert np.allclose(ratio, np.where(nights >= 7, 0.93, 1.0), atol=1e-3)


def test_properties_show_the_price_at_until(market):
    prices = read(market, "property_updates").to_pandas(date_as_object=False).sort_values("updated_at")
    today = prices.drop_duplicates("property_id", keep="last").set_index("property_id")["base_price"]
    listed = read(market, "properties").to_pandas(date_as_object=False).set_index("property_id")["base_price"]
    assert today.sort_index().equals(listed.sort_index())


def test_hosts_change_prices_a_few_times_a_year(market):
    prices = read(market, "property_updates").to_pandas(date_as_object=False)
    changes = len(prices) - prices["property_id"].nunique()
    assert 3 < changes / prices["property_id"].nunique() / (11 / 12) < 5


def test_every_reference_but_the_flaws_leads_somewhere(market, bookings):
    ids = {name: set(read(market, name).column(f"{name[:-1]}_id").to_pylist()) for name in ("users", "hosts")}
    properties = set(read(market, "properties").column("property_id").to_pylist())
    assert set(bookings["user_id"]) <= ids["users"]
    assert set(bookings["property_id"]) <= properties
    views = read(market, "page_views").to_pandas(date_as_object=False)
    assert set(views["user_id"]) <= ids["users"]
    assert set(views["property_id"]) <= properties
    assert set(read(market, "properties").column("host_id").to_pylist()) <= ids["hosts"]


def test_nobody_acts_before_registering(market, bookings):
    registered = read(market, "users").to_pandas(date_as_object=False).set_index("user_id")["created_at"]
    views = read(market, "page_views").to_pandas(date_as_object=False)
    for rows, time in ((views, "timestamp"), (bookings, "created_at")):
        assert (rows[time] >= rows["user_id"].map(registered)).all()


def test_who_books_has_looked_before_in_the_same_episode(market, bookings):
    views = read(market, "page_views").to_pandas(date_as_object=False).drop_duplicates("view_id")
    last_weeks = bookings[bookings["created_at"] > "2024-01-05"]
    both = last_weeks.merge(views, on=["user_id", "property_id"])
    gap = both["created_at"] - both["timestamp"]
    seen = both[(gap >= pd.Timedelta(0)) & (gap < pd.Timedelta(days=4))]
    assert set(last_weeks["booking_id"]) == set(seen["booking_id"])


def test_cancelled_bookings_keep_their_amount(final):
    assert (final.loc[final["status"] == "cancelled", "total_amount"] > 0).all()


def test_shares_of_final_states_are_those_of_the_real_sample(final):
    ended = final[pd.to_datetime(final["check_out"]) < UNTIL - pd.Timedelta(days=7)]
    share = ended["status"].value_counts(normalize=True)
    # FACT: 51.0% completed, 39.3% cancelled, 8.0% confirmed, 1.7% pending; bookings yet to come are left out here.
    assert share["cancelled"] == pytest.approx(0.393, abs=0.05)
    assert share["completed"] == pytest.approx(0.51, abs=0.08)
    assert share["pending"] == pytest.approx(0.017, abs=0.01)


def test_payments_are_those_of_the_real_sample(market, bookings):
    payments = read(market, "payments").to_pandas(date_as_object=False)
    share = payments["status"].value_counts(normalize=True)
    assert share["completed"] == pytest.approx(0.915, abs=0.03)
    assert share["refunded"] == pytest.approx(0.074, abs=0.025)
    assert share["failed"] == pytest.approx(0.010, abs=0.006)
    methods = payments["payment_method"].value_counts(normalize=True)
    assert methods.to_numpy() == pytest.approx([0.2] * 5, abs=0.03)
    old = bookings[bookings["check_out"] < UNTIL - pd.Timedelta(days=7)]
    assert old["booking_id"].isin(payments["booking_id"]).mean() == pytest.approx(0.64, abs=0.05)


def test_a_refund_mirrors_the_payment(market):
    payments = read(market, "payments").to_pandas(date_as_object=False).drop_duplicates("payment_id")
    paid = payments[payments["status"] == "completed"].set_index("booking_id")["amount"]
    back = payments[payments["status"] == "refunded"].set_index("booking_id")["amount"]
    assert (back == -paid.reindex(back.index)).all()


def test_stays_prices_and_types_are_those_of_the_real_sample(market, bookings):
    nights = (bookings["check_out"] - bookings["check_in"]).dt.days
    assert nights.mean() == pytest.approx(4.15, abs=0.25)
    assert bookings["guests_count"].between(1, 11).all()
    assert bookings["total_amount"].mean() == pytest.approx(554, rel=0.2)
    reviews = read(market, "reviews").to_pandas(date_as_object=False)
    assert reviews["rating"].mean() == pytest.approx(3.0, abs=0.15)
    assert np.allclose(reviews["rating"].dropna() * 10, np.round(reviews["rating"].dropna() * 10))


def test_scale_gives_the_size_that_was_asked_for(market, bookings):
    # In the first of three years, which are to average 150 bookings a day at scale 1 while growing 35% a year.
    assert len(bookings) / 335 / 0.1 == pytest.approx(112, rel=0.2)
    assert read(market, "properties").num_rows == pytest.approx(160, abs=25)
    views = read(market, "page_views").num_rows
    assert views / len(bookings) == pytest.approx(30, rel=0.2)
    assert read(market, "clickstream").num_rows / views == pytest.approx(0.2, abs=0.02)


def test_summer_is_the_high_season_and_business_grows(bookings):
    by_month = bookings["check_in"].dt.month[bookings["check_in"] < "2024-11-01"].value_counts()
    assert by_month[[7, 8]].mean() > 1.3 * by_month[[5, 10]].mean()
    made = bookings["created_at"].dt.month.value_counts()
    assert made[7] > made[4]


def test_there_are_42_destinations_in_18_countries(market):
    places = read(market, "destinations").to_pandas(date_as_object=False)
    assert len(places) == 42
    assert places["country"].nunique() == 18
    assert set(places["country"]) <= set(read(market, "countries").column("country").to_pylist())


def test_flaws_are_there_at_about_the_rates_of_the_real_sample(market, bookings, updates):
    views, payments = (read(market, name).to_pandas(date_as_object=False) for name in ("page_views", "payments"))
    reviews = read(market, "reviews").to_pandas(date_as_object=False)
    assert views["view_id"].duplicated().mean() == pytest.approx(0.010, abs=0.003)
    assert payments["payment_id"].duplicated().mean() == pytest.approx(0.090, abs=0.02)
    assert updates["booking_update_id"].duplicated().mean() == pytest.approx(0.0956, abs=0.02)
    assert reviews["review_id"].duplicated().mean() == pytest.approx(0.010, abs=0.008)
    distinct = updates.drop_duplicates("booking_update_id")
    ties = distinct.duplicated(["booking_id", "updated_at"]).mean()
    assert ties == pytest.approx(486 / 83_068, rel=0.8)
    assert 0 < (~updates["booking_id"].isin(bookings["booking_id"])).sum() < 20
    deleted = reviews["is_deleted"]
    assert deleted.any()
    assert reviews.loc[deleted, "rating"].isna().all()
    assert reviews.loc[~deleted, "rating"].notna().all()
    logs = read(market, "customer_support_logs")
    assert logs.schema.field("created_at").type == pa.string()
    moods = {m["sentiment"] for messages in logs.column("messages").to_pylist() for m in messages}
    assert {"positive", "Positive", "negative", "Negative"} <= moods


@pytest.mark.parametrize(
    ("table", "key", "content"),
    [("page_views", "view_id", "device_type"), ("payments", "payment_id", "amount")],
)
def test_repeated_rows_come_at_the_same_time_and_some_disagree(market, table, key, content):
    rows = read(market, table).to_pandas(date_as_object=False)
    twice = rows[rows.duplicated(key, keep=False)].groupby(key)
    assert (twice[SOURCE[table].time_column].nunique() == 1).all()
    assert 0 < (twice[content].nunique() > 1).mean() < 0.3


def test_the_sparse_profile_has_the_counts_and_dates_of_the_real_sample():
    users, properties, _, tables = everything(seed=0, scale=0.05)
    assert (len(users), len(properties)) == (round(124_509 * 0.05), round(18_163 * 0.05))
    bookings, views = (pd.DataFrame(dict(tables[name])) for name in ("bookings", "page_views"))
    assert len(bookings) == round(72_247 * 0.05)
    assert len(views) == pytest.approx(500_000 * 0.05, rel=0.01)
    for name in ("booking_updates", "payments", "reviews"):
        assert len(tables[name]) == pytest.approx(SAMPLE[name] * 0.05, rel=0.05)
    assert bookings["user"].nunique() == pytest.approx(54_708 * 0.05, rel=0.03)
    day = pd.to_datetime(bookings["time"], unit="s").dt.strftime("%Y-%m-%d")
    assert (day.min(), day.max()) == ("2022-12-08", "2025-07-30")
    assert pd.to_datetime(views["time"].min(), unit="s") >= pd.Timestamp("2025-09-04")
    assert bookings["booking"].isin(tables["booking_updates"]["booking"]).mean() == pytest.approx(0.66, abs=0.03)


def test_the_sparse_profile_goes_on_like_the_marketplace(tmp_path):
    once, twice = tmp_path / "once", tmp_path / "twice"
    stop = datetime(2022, 12, 20, 15)
    simulate(once, stop, profile="sample", scale=0.01)
    for day, hour in ((11, 0), (15, 7), (20, 15)):
        simulate(twice, datetime(2022, 12, day, hour), profile="sample", scale=0.01)
    columns = SOURCE["bookings"].schema.names
    rows = [read(out, "bookings").select(columns).sort_by("booking_id") for out in (once, twice)]
    assert rows[0].num_rows > 0
    assert rows[0].equals(rows[1])


def test_in_a_confounded_market_price_is_a_function_of_demand_alone():
    day = int(np.datetime64("2024-03-01").astype(int))
    calendar = Calendar(geography(), day - 40, 1_000)
    asked = []
    for seed in (1, 2):  # whoever reprices, and whatever the dice say: the same place and calendar give the same price
        m = Market.founded(0, 0.2, day, confounded=True)
        m.seed = seed
        for _ in range(5):
            m.seed += 2
            _set_prices(m, calendar)
        asked.append(m.properties)
    both = np.all([p["price_changed"] // 86_400 == day for p in asked], axis=0)
    assert both.sum() > 20
    assert (asked[0]["price"][both] == asked[1]["price"][both]).all()
