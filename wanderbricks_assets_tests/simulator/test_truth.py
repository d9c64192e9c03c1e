"""The truth agrees with what happens, as far as chance allows."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from wanderbricks_assets.floors import expected_customer_value, lifts_together
from wanderbricks_assets.simulator import truth
from wanderbricks_assets.simulator.panel import RATIOS
from wanderbricks_assets_tests.simulator.conftest import read


@pytest.fixture(scope="module")
def bookings(market) -> pd.DataFrame:
    return read(market, "bookings").to_pandas(date_as_object=False)


def test_every_view_has_a_probability_and_they_are_calibrated(market, bookings):
    views = read(market, "page_views").to_pandas(date_as_object=False).drop_duplicates("view_id")
    views = views.merge(truth.conversion_probability(market), on="view_id", validate="1:1")
    views = views[views["timestamp"] < "2024-11-20"].sort_values("timestamp")
    made = bookings[["user_id", "property_id", "created_at"]].sort_values("created_at")
    label = pd.merge_asof(
        views,
        made,
        left_on="timestamp",
        right_on="created_at",
        by=["user_id", "property_id"],
        direction="forward",
        tolerance=pd.Timedelta(days=7),
    )
    booked = label["created_at"].notna()
    assert label["probability"].between(0, 1).all()
    assert booked.mean() == pytest.approx(label["probability"].mean(), rel=0.1)
    tenths = pd.qcut(label["probability"], 5, labels=False)
    table = pd.DataFrame({"true": label["probability"], "booked": booked}).groupby(tenths).mean()
    assert table["booked"].is_monotonic_increasing
    assert np.allclose(table["booked"], table["true"], rtol=0.35, atol=0.004)


def test_demand_rates_add_up_to_the_bookings_made(market, bookings):
    rates = truth.demand_rate(market)
    assert rates["bookings"].sum() == pytest.approx(len(bookings), rel=0.07)
    by_property = rates.groupby("property_id")["bookings"].sum()
    found = bookings.groupby("property_id").size().reindex(by_property.index, fill_value=0)
    assert np.corrcoef(by_property, found)[0, 1] > 0.85
    window = truth.demand_rate(market, date(2024, 5, 1), date(2024, 5, 31))
    assert window["date"].min() == pd.Timestamp("2024-05-01")
    assert window["date"].max() == pd.Timestamp("2024-05-30")


def test_cancellation_probabilities_are_calibrated(market, bookings):
    updates = read(market, "booking_updates").to_pandas(date_as_object=False)
    cancelled = set(updates.loc[updates["status"] == "cancelled", "booking_id"])
    rows = bookings.merge(truth.cancellation_probability(market), on="booking_id", validate="1:1")
    rows = rows[rows["check_in"] < "2024-11-25"]
    tenths = pd.qcut(rows["probability"], 4, labels=False)
    found = rows["booking_id"].isin(cancelled).groupby(tenths).mean()
    assert np.allclose(found, rows["probability"].groupby(tenths).mean(), atol=0.07)


def test_a_higher_price_lowers_demand(market):
    prices = truth.price_response(market)
    curves = np.stack(prices["multiplier"].to_numpy())
    assert (np.diff(curves, axis=1) < 0).all()
    assert np.allclose(curves[:, RATIOS == 1.0], 1.0)
    assert (prices["elasticity"] < 0).all()
    assert -3 < prices["elasticity"].median() < -0.5


def test_elasticity_is_the_slope_of_the_demand_multiplier(market):
    rows = truth.elasticity(market, on=date(2024, 6, 15))
    day = np.full(len(rows), np.datetime64("2024-06-15"))
    up, down = (truth.demand_multiplier(market, rows["property_id"], day, np.full(len(rows), r)) for r in (1.1, 0.9))
    slope = np.log(up / down) / np.log(1.1 / 0.9)
    assert np.median(np.abs(slope / rows["elasticity"] - 1)) < 0.05


def test_a_ratio_beyond_what_is_known_is_refused(market):
    with pytest.raises(ValueError, match=r"between 0\.5 and 2\.0, found 3\.0"):
        truth.demand_multiplier(market, np.array([1]), np.array([np.datetime64("2024-06-15")]), np.array([3.0]))


def test_a_listing_that_moves_alone_is_answered_as_its_price_response_says(market):
    known = truth.price_response(market)
    usual = known[known["date"] == known["date"].max()]
    few = usual["property_id"].to_numpy()[::40]
    alone, together = truth.multipliers_together(market, few, np.full(len(few), 0.8))
    expected = truth.demand_multiplier(
        market, few, np.full(len(few), np.datetime64("2024-12-01")), np.full(len(few), 0.8)
    )
    known = np.isfinite(alone)
    assert known.mean() > 0.8
    assert np.median(np.abs(alone[known] / expected[known] - 1)) < 0.05
    assert np.median(np.abs(together[known] / alone[known] - 1)) < 0.05


def test_prices_that_fall_together_bring_less_than_each_would_alone_and_kept_ones_change_nothing(market):
    listings = truth.elasticity(market)["property_id"].to_numpy()
    for ratio, sign in ((0.8, 1), (1.25, -1)):
        alone, together = truth.multipliers_together(market, listings, np.full(len(listings), ratio), times=8)
        known = np.isfinite(alone)
        assert sign * (np.median(alone[known]) - np.median(together[known])) > 0.05
        assert sign * (np.median(together[known]) - 1) > 0  # guests who would have stayed away
    alone, together = truth.multipliers_together(market, listings, np.ones(len(listings)), times=8)
    assert (alone[known] == 1).all()
    assert (together[known] == 1).all()


def test_recommendations_taken_together_earn_less_than_each_alone(market):
    listings = truth.elasticity(market)["property_id"]
    nights = pd.DataFrame({"property_id": listings, "origin": pd.Timestamp(2024, 10, 7), "free_nights": 1})
    nights = nights.assign(current_price=100.0, recommended_price=75.0, predicted=0.05)
    alone, together = lifts_together(nights, market)
    assert 0 < alone < 0.3
    assert together < alone - 0.05
    assert lifts_together(nights.assign(recommended_price=100.0), market) == pytest.approx((0.0, 0.0))


def test_expected_revenue_comes_close_to_what_was_realized(market, bookings):
    updates = read(market, "booking_updates").to_pandas(date_as_object=False)
    cancelled = updates[updates["status"] == "cancelled"].groupby("booking_id")["updated_at"].min()
    expected = realized = 0.0
    for origin in (date(2024, 4, 1), date(2024, 6, 1), date(2024, 8, 1)):
        now = pd.Timestamp(origin)
        known = bookings[(bookings["created_at"] < now) & (bookings["check_in"] >= now)]
        gone = known["booking_id"].map(cancelled) < now
        forecast = truth.expected_revenue(market, origin, known[~gone])
        assert len(forecast) == 90
        kept = bookings[~bookings["booking_id"].isin(cancelled.index)]
        inside = kept["check_in"].between(now, now + pd.Timedelta(days=89))
        expected += forecast["expected_revenue"].sum()
        realized += kept.loc[inside, "total_amount"].sum()
    assert expected == pytest.approx(realized, rel=0.12)


def test_customer_value_ranks_customers_and_knows_who_left(market, bookings):
    value = truth.customer_value(market, date(2024, 2, 1))
    assert (value.loc[value["is_churned"], "expected_revenue_12m"] == 0).all()
    assert 0.1 < value["is_churned"].mean() < 0.7
    updates = read(market, "booking_updates").to_pandas(date_as_object=False)
    cancelled = set(updates.loc[updates["status"] == "cancelled", "booking_id"])
    later = bookings[(bookings["created_at"] >= "2024-02-01") & ~bookings["booking_id"].isin(cancelled)]
    spent = value["user_id"].map(later.groupby("user_id")["total_amount"].sum()).fillna(0.0)
    # Ten of the twelve months are over.
    assert value["expected_revenue_12m"].sum() * 10 / 12 == pytest.approx(spent.sum(), rel=0.2)
    top = value["expected_revenue_12m"] > value["expected_revenue_12m"].quantile(0.8)
    assert spent[top].sum() > 0.45 * spent.sum()


def test_between_two_months_the_true_value_of_a_customer_lies_between_theirs(market):
    before, after = (truth.customer_value(market, date(2024, month, 1)).set_index("user_id") for month in (2, 3))
    at_first = expected_customer_value(market, date(2024, 2, 1)).set_index("user_id")["expected_revenue_12m"]
    assert (at_first[before.index] == before["expected_revenue_12m"]).all()
    new = after.index.difference(before.index)
    assert (at_first[new] == after.loc[new, "expected_revenue_12m"]).all()
    middle = expected_customer_value(market, date(2024, 2, 15)).set_index("user_id")["expected_revenue_12m"]
    both = before["expected_revenue_12m"].to_frame("one").join(after["expected_revenue_12m"])
    assert middle[both.index].between(both.min(axis=1) - 1e-6, both.max(axis=1) + 1e-6).all()


def test_a_folder_without_truth_says_so(tmp_path):
    with pytest.raises(ValueError, match="marketplace profile"):
        truth.conversion_probability(tmp_path)


def test_revenue_drawn_from_the_truth_has_the_expected_mean(market, bookings):
    origin = date(2024, 6, 1)
    now = pd.Timestamp(origin)
    known = bookings[(bookings["created_at"] < now) & (bookings["check_in"] >= now)]
    draws = truth.revenue_draws(market, origin, known, samples=400)
    expected = truth.expected_revenue(market, origin, known)["expected_revenue"]
    assert draws.shape == (400, 90)
    assert draws.sum(axis=1).mean() == pytest.approx(expected.sum(), rel=0.02)
    assert (draws.std(axis=0) > 0).all()


def test_check_ins_to_come_are_as_many_as_came_and_none_where_no_night_is_free(market, bookings):
    origin = date(2024, 6, 1)
    now, days = pd.Timestamp(origin), 30
    places = read(market, "properties").to_pandas()[["property_id", "destination_id"]].drop_duplicates("property_id")
    first = (bookings["created_at"] - pd.Timestamp(0)).dt.days + 1
    stays = bookings[["property_id", "check_in", "check_out"]].assign(since=first, until=2**31)
    stays = stays[(bookings["created_at"] < now + pd.Timedelta(days, "D")) & (stays["check_out"] > now)]
    came = bookings["check_in"].between(now, now + pd.Timedelta(days - 1, "D")) & (bookings["created_at"] >= now)
    expected = truth.expected_check_ins(market, origin, days, places, stays)
    assert expected.sum() == pytest.approx(came.sum(), rel=0.2)

    full = pd.DataFrame(
        {"property_id": 1, "check_in": now, "check_out": now + pd.Timedelta(60, "D"), "since": 0, "until": 2**31},
        index=[0],
    )
    shut = truth.expected_check_ins(market, origin, days, places, pd.concat([stays, full], ignore_index=True))
    assert shut[places["property_id"] == 1] == 0
    assert shut.sum() == pytest.approx(expected.sum(), rel=0.1)
