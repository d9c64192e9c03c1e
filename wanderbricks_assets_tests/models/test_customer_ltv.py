from datetime import datetime, timedelta

import ibis
import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal, assert_series_equal

from wanderbricks_assets.contracts.predictions import CUSTOMER_VALUE, MADE_COLUMNS, RISKS, SEGMENTS
from wanderbricks_assets.contracts.rules import CUSTOMER_ACTIONS
from wanderbricks_assets.models.customer_actions import read_actions
from wanderbricks_assets.models.customer_evaluation import decile_mape, deciles, gini, slices
from wanderbricks_assets.models.customer_features import LOOK_BACK, YEAR, purchases
from wanderbricks_assets.models.customer_ltv import LABEL, CustomerLtv
from wanderbricks_assets.models.model import CannotLearn
from wanderbricks_assets.rules.reading import rules_file
from wanderbricks_assets_tests.models.returning_customers import (
    CUTOFF,
    FIRST,
    returning_customers,
    tables,
    with_noise_after,
)


@pytest.fixture(scope="module")
def frames():
    return returning_customers()


@pytest.fixture(scope="module")
def training(frames):
    return CustomerLtv.training_set(tables(frames), CUTOFF)


@pytest.fixture(scope="module")
def model(training):
    return CustomerLtv(seed=0).fit(training)


@pytest.fixture(scope="module")
def inputs(frames):
    return CustomerLtv.inputs(tables(frames), CUTOFF)


@pytest.fixture(scope="module")
def evaluation(frames):
    return CustomerLtv.evaluate(tables(frames), CUTOFF, seed=0)


def test_nothing_after_the_cutoff_changes_what_is_learned(frames, training, model, inputs, evaluation):
    noisy = tables(with_noise_after(frames, CUTOFF))
    again = CustomerLtv.training_set(noisy, CUTOFF)
    assert_frame_equal(again, training, check_exact=True)
    inputs_again = CustomerLtv.inputs(noisy, CUTOFF)
    assert_frame_equal(inputs_again, inputs, check_exact=True)
    predicted = CustomerLtv(seed=0).fit(again).predict(inputs_again)
    assert_frame_equal(predicted, model.predict(inputs), check_exact=True)
    evaluation_again = CustomerLtv.evaluate(noisy, CUTOFF, seed=0)
    assert evaluation_again.metric == evaluation.metric
    assert evaluation_again.metrics == evaluation.metrics
    assert_frame_equal(evaluation_again.rows, evaluation.rows, check_exact=True)
    assert_series_equal(evaluation_again.losses, evaluation.losses, check_exact=True)


def test_the_features_of_a_customer_know_nothing_of_the_year_that_is_predicted(frames, training):
    noisy = tables(with_noise_after(frames, CUTOFF - YEAR))
    assert_frame_equal(
        CustomerLtv.inputs(noisy, CUTOFF - YEAR), training.drop(columns=[LABEL, "origin"]), check_exact=True
    )


def test_the_label_is_the_value_of_bookings_of_the_year_that_were_not_cancelled_by_its_end(frames, training):
    history = frames["fact_booking_history"]
    known = history[history["known_at"] < CUTOFF].sort_values("known_at").drop_duplicates("booking_id", keep="last")
    kept = known[(known["created_at"] >= CUTOFF - YEAR) & (known["status"] != "cancelled")]
    expected = training["user_id"].map(kept.groupby("user_id")["total_amount"].sum()).fillna(0)
    assert np.allclose(training[LABEL], expected)


def test_customers_are_those_with_a_booking_before_the_moment(frames, inputs):
    history = frames["fact_booking_history"]
    assert inputs["user_id"].tolist() == sorted(history.loc[history["created_at"] < CUTOFF, "user_id"].unique())


def test_the_test_year_comes_after_the_training_year(frames, evaluation):
    origin = evaluation.rows["origin"].iloc[0]
    assert CUTOFF - YEAR - timedelta(weeks=4) < origin <= CUTOFF - YEAR
    assert (origin - datetime(2000, 1, 3)).days % 28 == 0
    training = CustomerLtv.training_set(tables(with_noise_after(frames, origin)), origin)
    assert_frame_equal(training, CustomerLtv.training_set(tables(frames), origin), check_exact=True)


def test_deciles_are_predicted_well_although_half_of_the_customers_never_return(evaluation):
    assert evaluation.metrics["churned_share"] > 0.4
    assert evaluation.metric.value < evaluation.baseline
    assert evaluation.metrics["gini_normalized"] > 0.3
    assert evaluation.metrics["churn_auc"] > 0.65
    assert evaluation.calibration.holds, evaluation.calibration.statement
    assert set(evaluation.rows) >= {"user_id", "actual", "predicted"}


def test_the_ranking_is_better_than_that_of_bg_nbd_and_of_last_years_spend(evaluation):
    metrics = evaluation.metrics
    assert metrics["gini_normalized"] > metrics["gini_normalized_bg_nbd"] > metrics["gini_normalized_baseline"]
    assert np.isfinite(metrics["decile_mape_bg_nbd"])


def test_a_customer_who_still_looks_is_worth_more_than_one_who_only_booked(frames, model, inputs):
    without = frames | {"page_views": frames["page_views"].iloc[:0]}
    bookings_only = CustomerLtv.inputs(tables(without), CUTOFF)
    assert bookings_only["user_id"].equals(inputs["user_id"])
    value, value_without = model.expected(inputs)[1], model.expected(bookings_only)[1]
    recent = frames["page_views"][frames["page_views"]["timestamp"].between(CUTOFF - timedelta(days=28), CUTOFF)]
    looked = inputs["user_id"].isin(recent["user_id"]) & (inputs["log_quarters_silent"] > np.log1p(1))
    assert looked.sum() > 30
    assert value[looked].sum() > 1.5 * value_without[looked].sum()


def test_without_page_views_bookings_are_the_signs_of_life(frames):
    without = tables(frames | {"page_views": frames["page_views"].iloc[:0]})
    inputs = CustomerLtv.inputs(without, CUTOFF)
    silent = inputs["log_silent_days"].clip(upper=np.log1p(LOOK_BACK.days))
    assert np.allclose(inputs["log_days_away"], silent)
    model = CustomerLtv(seed=0).fit(CustomerLtv.training_set(without, CUTOFF))
    assert (model.expected(inputs)[1] > 0).all()


def test_views_delivered_twice_change_nothing(frames, inputs):
    twice = pd.concat([frames["page_views"]] * 2, ignore_index=True)
    assert_frame_equal(CustomerLtv.inputs(tables(frames | {"page_views": twice}), CUTOFF), inputs, check_exact=True)


def test_values_are_learned_in_units_of_the_mean_booking_of_the_year_before(frames, training, inputs):
    doubled = frames["fact_booking_history"].assign(total_amount=lambda rows: rows["total_amount"] * 2)
    features = frames["user_features"].assign(
        **{name: frames["user_features"][name] * 2 for name in ("total_spend", "avg_booking_value")}
    )
    dear = tables(frames | {"fact_booking_history": doubled, "user_features": features})
    again = CustomerLtv(seed=0).fit(CustomerLtv.training_set(dear, CUTOFF))
    value = CustomerLtv(seed=0).fit(training).expected(inputs)[1]
    assert np.allclose(again.expected(CustomerLtv.inputs(dear, CUTOFF))[1], 2 * value, rtol=1e-3)


def test_purchases_are_the_repeats_their_span_and_their_mean_value(frames):
    history = frames["fact_booking_history"]
    known = history[history["known_at"] < CUTOFF].sort_values("known_at").drop_duplicates("booking_id", keep="last")
    kept = known[known["status"] != "cancelled"].groupby("user_id")
    users = kept.size().index.to_series(index=range(len(kept)))
    found = purchases(tables(frames), CUTOFF, users)
    assert (found["repeats"] == (kept.size() - 1).to_numpy()).all()
    assert np.allclose(found["recency"], (kept["created_at"].max() - kept["created_at"].min()) / YEAR)
    assert np.allclose(found["mean_value"], kept["total_amount"].mean())


def test_slices_show_first_where_the_total_is_most_off(evaluation):
    found = slices(evaluation.rows)
    assert set(found["slice"]) == {"country", "segment"}
    assert found["metric"].is_monotonic_decreasing
    assert found.groupby("slice")["rows"].sum().tolist() == [len(evaluation.rows)] * 2
    france = evaluation.rows[evaluation.rows["country"] == "France"]
    error = abs(france["predicted"].sum() / france["actual"].sum() - 1)
    assert found.set_index("value").loc["France", "metric"] == pytest.approx(error)


def test_the_same_data_and_seed_give_the_same_model(training, model, inputs):
    shuffled = training.sample(frac=1, random_state=3)
    again = CustomerLtv(seed=0).fit(shuffled).predict(inputs)
    assert_frame_equal(again, model.predict(inputs), check_exact=True)


def test_a_saved_model_predicts_to_the_last_bit_the_same(model, inputs, tmp_path):
    model.save(tmp_path)
    again = CustomerLtv.load(tmp_path)
    assert_frame_equal(again.predict(inputs), model.predict(inputs), check_exact=True)
    assert again.params == model.params


def test_predictions_are_rows_of_the_contract(model, inputs):
    predicted = model.predict(inputs)
    columns = [name for name in CUSTOMER_VALUE.schema.names if name not in MADE_COLUMNS]
    assert list(predicted.columns) == columns
    schema = ibis.schema({name: CUSTOMER_VALUE.schema[name] for name in columns})
    assert len(ibis.memtable(predicted, schema=schema).to_pyarrow()) == len(inputs)
    lower, upper = np.array(predicted["confidence_interval"].tolist()).T
    value = predicted["predicted_ltv_12m"]
    assert ((lower <= value) & (value <= upper)).all()
    assert (value > 0).all()
    assert set(predicted["ltv_segment"]) == set(SEGMENTS)
    assert set(predicted["churn_risk"]) <= set(RISKS)
    assert predicted["recommended_actions"].map(len).min() > 0


def test_segments_are_the_top_fifth_the_next_three_tenths_and_the_rest_of_those_trained_on(training, model):
    share = model.predict(training)["ltv_segment"].value_counts(normalize=True)
    assert share["High Value"] == pytest.approx(0.2, abs=0.01)
    assert share["Medium Value"] == pytest.approx(0.3, abs=0.01)


def test_churn_risk_follows_the_probability_of_no_booking(model, inputs):
    churn = 1 - model.expected(inputs)[0]
    risk = model.predict(inputs)["churn_risk"].to_numpy()
    assert (risk[churn < 0.5] == "Low").all()
    assert (risk[(churn >= 0.5) & (churn < 0.8)] == "Medium").all()
    assert (risk[churn >= 0.8] == "High").all()


def test_a_customer_silent_for_longer_than_any_in_training_is_worth_still_less(model, inputs):
    one = inputs.iloc[[0]]
    silent = [
        one.assign(log_quarters_silent=np.log1p(4 * years), log_silent_days=np.log1p(365 * years))
        for years in (2, 3, 4)
    ]
    values = [model.expected(each)[1][0] for each in silent]
    assert values[0] > values[1] > values[2]


def test_without_returning_customers_the_reason_is_that_nobody_booked_twice(frames):
    once = frames["fact_booking_history"].drop_duplicates("user_id")
    given = tables(frames | {"fact_booking_history": once})
    bookings = (once["created_at"] < CUTOFF).sum()
    with pytest.raises(CannotLearn, match=f"no customer booked twice: {bookings:,} bookings by {bookings:,} users"):
        CustomerLtv.training_set(given, CUTOFF)
    with pytest.raises(CannotLearn, match="no customer booked twice"):
        CustomerLtv.evaluate(given, CUTOFF)


def test_too_short_a_history_is_said_with_what_is_there_and_what_is_needed(frames):
    early = FIRST + timedelta(days=700)
    assert len(CustomerLtv.training_set(tables(frames), early)) > 0
    with pytest.raises(
        CannotLearn, match=r"bookings begin on 2021-06-\d\d, 6\d\d days before the cutoff, and 9\d\d are"
    ):
        CustomerLtv.evaluate(tables(frames), early)


def test_few_returning_customers_are_not_enough(frames):
    history = frames["fact_booking_history"]
    late = (history["created_at"] >= CUTOFF - YEAR) & (history["user_id"] > 100)
    with pytest.raises(
        CannotLearn, match=r"customers booked again between 2023-06-04 and 2024-06-03, and 100 are needed"
    ):
        CustomerLtv.training_set(tables(frames | {"fact_booking_history": history[~late]}), CUTOFF)


def test_the_decile_error_is_the_mean_over_tenths_of_mean_predicted_against_mean_realized():
    predicted = np.repeat(np.arange(1, 11) * 100.0, 2)
    actual = predicted + np.tile([-10.0, 30.0], 10)
    assert deciles(actual, predicted)["actual"].tolist() == (np.arange(1, 11) * 100.0 + 10).tolist()
    assert decile_mape(actual, predicted) == pytest.approx(np.mean([10 / (100 * k + 10) for k in range(1, 11)]))
    twice = decile_mape(np.repeat(actual, 2), np.repeat(predicted, 2))
    assert decile_mape(actual, predicted, np.full(20, 2.0)) == pytest.approx(twice)


def test_a_tenth_that_spent_nothing_has_no_percentage_error():
    actual, expected = np.array([0.0] + [1.0] * 9), np.array([0.0] + [2.0] * 9)
    assert decile_mape(actual, np.arange(10) + 1.0) == np.inf
    assert decile_mape(actual, expected) == 1.0  # nothing was expected of the first, and nothing came


def test_the_gini_of_a_perfect_order_is_the_greatest_and_of_a_constant_near_zero():
    actual = np.array([0.0, 0.0, 0.0, 4.0])
    assert gini(actual, actual) == pytest.approx(1 - 5 / 8)
    assert gini(actual, -actual) == pytest.approx(1 / 4 - 5 / 8)


def test_the_table_of_actions_has_one_for_every_case():
    assert set(read_actions()) == {(segment, risk) for segment in SEGMENTS for risk in RISKS}
    assert read_actions()["High Value", "Low"] == ["Offer loyalty discount", "Send personalized recommendations"]


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("High Value,Low,Offer", "Hgh Value,Low,Offer", "row 2: segment 'Hgh Value' is none of High Value, Medium"),
        ("High Value,High,Call", "High Value,high,Call", "row 6: churn_risk 'high' is none of Low, Medium, High"),
        (",Offer loyalty discount", ", ", "row 2: action is empty; fill it in or delete the row"),
        ("segment,churn_risk,action", "segment,risk,action", "the first row must be segment,churn_risk,action"),
        ("Medium Value,High,Offer win-back voucher\n", "", "no action for Medium Value customers of churn risk High"),
    ],
)
def test_a_mistake_in_the_table_of_actions_is_named_with_its_row_and_what_to_do(before, after, message, tmp_path):
    text = rules_file(CUSTOMER_ACTIONS, tmp_path).read_text()
    assert before in text
    file = tmp_path / "customer_actions.csv"
    file.write_text(text.replace(before, after, 1))
    with pytest.raises(ValueError, match=message) as raised:
        read_actions(tmp_path)
    assert str(file) in str(raised.value)
