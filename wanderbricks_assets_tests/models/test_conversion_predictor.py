from datetime import timedelta

import ibis
import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from sklearn.metrics import roc_auc_score

from wanderbricks_assets.contracts.predictions import CONVERSION_SCORES, MADE_COLUMNS
from wanderbricks_assets.models.classifiers import CLASSIFIERS, Calibrated
from wanderbricks_assets.models.conversion_evaluation import (
    SLICES,
    expected_calibration_error,
    measured,
    past_conversion,
    slices,
)
from wanderbricks_assets.models.conversion_features import (
    KEYS,
    LABEL,
    LABEL_SPAN,
    believed_views,
    view_features,
    with_label,
)
from wanderbricks_assets.models.conversion_predictor import TEST_USERS, ConversionPredictor, _better
from wanderbricks_assets.models.frames import fixed_share
from wanderbricks_assets.models.model import SLICE_COLUMNS, CannotLearn
from wanderbricks_assets_tests.models.browsing_world import (
    CUTOFF,
    FIRST,
    LAST,
    browsing_world,
    tables,
    with_noise_after,
)


@pytest.fixture(scope="module")
def world():
    return browsing_world()


@pytest.fixture(scope="module")
def training(world):
    return ConversionPredictor.training_set(tables(world), CUTOFF)


@pytest.fixture(scope="module")
def model(training):
    return ConversionPredictor(seed=0).fit(training)


@pytest.fixture(scope="module")
def inputs(world):
    return ConversionPredictor.inputs(tables(world), CUTOFF)


@pytest.fixture(scope="module")
def evaluation(world):
    return ConversionPredictor.evaluate(tables(world), CUTOFF, seed=0)


def test_nothing_after_the_cutoff_changes_what_is_learned(world, training, model, inputs, evaluation):
    noisy = tables(with_noise_after(world, CUTOFF))
    again = ConversionPredictor.training_set(noisy, CUTOFF)
    assert_frame_equal(again, training, check_exact=True)
    inputs_again = ConversionPredictor.inputs(noisy, CUTOFF)
    assert_frame_equal(inputs_again, inputs, check_exact=True)
    predicted = ConversionPredictor(seed=0).fit(again).predict(inputs_again)
    assert_frame_equal(predicted, model.predict(inputs), check_exact=True)
    evaluation_again = ConversionPredictor.evaluate(noisy, CUTOFF, seed=0)
    assert evaluation_again.metric == evaluation.metric
    assert evaluation_again.metrics == evaluation.metrics
    assert_frame_equal(evaluation_again.rows, evaluation.rows, check_exact=True)


def test_the_features_of_a_view_know_nothing_after_it(world):
    moment = CUTOFF - timedelta(weeks=4)

    def features(frames: dict[str, pd.DataFrame]) -> pd.DataFrame:
        given = tables(frames)
        views = believed_views(given["page_views"], FIRST, CUTOFF)
        rows = view_features(views, given, moment - timedelta(weeks=2), moment + timedelta(weeks=1))
        return rows[rows["viewed_at"] < moment]

    assert_frame_equal(features(with_noise_after(world, moment)), features(world), check_exact=True)


def test_a_view_becomes_a_conversion_by_a_booking_of_the_same_user_and_property_within_seven_days(world):
    given = tables(world)
    views = believed_views(given["page_views"], FIRST, CUTOFF - LABEL_SPAN)
    frame = with_label(views.to_pandas().sort_values("viewed_at"), given["fact_booking_history"], views, CUTOFF)
    made = world["fact_booking_history"]
    for view in frame.sample(200, random_state=0).itertuples():
        same = (made["user_id"] == view.user_id) & (made["property_id"] == view.property_id)
        gap = made.loc[same, "created_at"] - view.viewed_at
        assert view.converted == int(((gap >= timedelta(0)) & (gap <= LABEL_SPAN)).any())


def test_views_whose_label_is_not_known_yet_are_left_out(training):
    assert training["viewed_at"].max() < CUTOFF - LABEL_SPAN


def test_a_view_delivered_twice_counts_once(world, training):
    views = world["page_views"]
    repeated = world | {"page_views": pd.concat([views, views.sample(frac=0.3, random_state=1)])}
    assert_frame_equal(ConversionPredictor.training_set(tables(repeated), CUTOFF), training, check_exact=True)


def looked_at(minutes: list[float], properties: list[int], **columns: object) -> pd.DataFrame:
    """The features of views of one user, 20 days before the cutoff, on a marketplace that others visit, too."""
    at = pd.Timestamp(CUTOFF) - timedelta(days=20)
    views = pd.DataFrame(
        {
            "view_id": np.arange(len(minutes)) + 1,
            "user_id": 7,
            "property_id": properties,
            "device_type": "mobile",
            "referrer": "google",
            "timestamp": [at + timedelta(minutes=minute) for minute in minutes],
        }
    )
    given = tables(browsing_world() | {"page_views": views.assign(**columns)})
    return view_features(believed_views(given["page_views"], FIRST, CUTOFF), given, FIRST + timedelta(weeks=2), CUTOFF)


def test_what_a_user_looked_at_before_does_not_count_the_view_itself():
    # Properties 1 and 3 are in one destination; the last view is more than seven days after the first.
    rows = looked_at([0, 10, 10, 60, 60 * 24 * 7 + 5], [1, 1, 3, 1, 1])
    assert rows["view_id"].tolist() == [1, 2, 3, 4, 5]
    assert rows["views_of_search"].tolist() == [0, 1, 1, 3, 3]
    assert rows["views_of_property"].tolist() == [0, 1, 0, 2, 2]
    assert rows["properties_of_search"].tolist() == [0, 1, 1, 2, 1]
    assert rows["views_last_hour"].tolist() == [0, 1, 1, 3, 0]


def test_a_search_is_for_one_destination():
    rows = looked_at([0, 10, 20], [1, 2, 3])
    assert rows["views_of_search"].tolist() == [0, 0, 1]


def test_what_brought_a_visitor_is_what_brought_the_first_view_of_the_search():
    rows = looked_at([0, 600, 900, 1200], [1, 1, 3, 2], referrer=["facebook", "direct", "direct", "email"])
    assert rows["referrer"].tolist() == ["facebook", "facebook", "facebook", "email"]


def test_the_other_properties_of_the_search_are_rivals_and_the_own_is_not():
    rows = looked_at([0, 10, 20, 30], [1, 3, 5, 3])
    rate = rows["property_conversion"]
    wanted = [0, rate[0], rate[0] + rate[1], rate[0] + rate[2]]
    assert np.allclose(rows["rivals"], wanted, atol=1e-5)
    price = rows["base_price"]
    assert rows["price_to_viewed"][3] == pytest.approx(price[1] / ((price[0] + price[2]) / 2))
    assert np.isnan(rows["price_to_viewed"][0])


def test_rates_count_the_days_before_the_view_only(world):
    given = tables(world)
    start = CUTOFF - timedelta(weeks=6)
    views = believed_views(given["page_views"], start - timedelta(days=7), CUTOFF)
    rows = view_features(views, given, start, CUTOFF)
    made = world["fact_booking_history"]
    seen = world["page_views"].assign(day=world["page_views"]["timestamp"].dt.normalize())
    seen = seen.drop_duplicates(["user_id", "property_id", "day"])
    for row in rows.sample(20, random_state=0).itertuples():
        day = row.viewed_at.normalize()
        visits, booked = seen[seen["day"] < day], made[made["created_at"] < day]
        everybody = len(booked) / len(visits)
        for key, rate in (("property_id", row.property_conversion), ("user_id", row.user_conversion)):
            hits, tries = (booked[key] == getattr(row, key)).sum(), (visits[key] == getattr(row, key)).sum()
            assert rate == pytest.approx((hits + 30 * everybody) / (tries + 30))


def test_what_is_known_of_a_view_does_not_depend_on_which_other_users_are_looked_at(world):
    given = tables(world)
    start = CUTOFF - timedelta(weeks=6)
    views = believed_views(given["page_views"], start - timedelta(days=7), CUTOFF)
    all_rows = view_features(views, given, start, CUTOFF)
    few = believed_views(given["page_views"], start - timedelta(days=7), CUTOFF, high=0.2)
    some = view_features(few, given, start, CUTOFF)
    assert_frame_equal(some, all_rows[all_rows["view_id"].isin(some["view_id"])].reset_index(drop=True))


def test_users_are_the_same_in_every_engine_and_spread_evenly():
    users = pd.Series(np.arange(1, 10_001))
    share = fixed_share(users)
    in_engine = ibis.memtable(pd.DataFrame({"user_id": users})).mutate(share=fixed_share(ibis._.user_id)).to_pandas()
    assert np.allclose(share, in_engine.sort_values("user_id")["share"])
    assert np.allclose(np.histogram(share, bins=10, range=(0, 1))[0], 1000, atol=20)


def test_the_evaluated_users_and_weeks_are_not_those_of_training(evaluation):
    rows = evaluation.rows
    assert (fixed_share(rows["user_id"]) >= 1 - TEST_USERS).all()
    assert rows["viewed_at"].min().weekday() == 0
    assert rows["viewed_at"].max() < CUTOFF - LABEL_SPAN
    assert set(rows) >= {*KEYS, "actual", "predicted"}


def test_the_model_finds_what_drives_bookings(evaluation):
    assert evaluation.metric.lower > evaluation.baseline > 0.5
    assert evaluation.metric.lower < evaluation.metric.value < evaluation.metric.upper


def test_the_same_data_and_seed_give_the_same_model(training, model, inputs):
    shuffled = training.sample(frac=1, random_state=3)
    again = ConversionPredictor(seed=0).fit(shuffled).predict(inputs)
    assert_frame_equal(again, model.predict(inputs), check_exact=True)


@pytest.mark.parametrize("kind", list(CLASSIFIERS))
def test_a_saved_model_predicts_to_the_last_bit_the_same(kind, training, model, inputs, tmp_path):
    """Of either kind, whichever was chosen."""
    x, y = model.matrix(training), training[LABEL].to_numpy()
    one = ConversionPredictor(seed=0)
    vars(one).update(vars(model))
    one.chosen = model.candidates[kind]
    one.members = [Calibrated.on(CLASSIFIERS[kind].fit(x, y, seed), x, y) for seed in (1, 2)]
    one.save(tmp_path)
    assert not list(tmp_path.rglob("*.pkl"))
    again = ConversionPredictor.load(tmp_path)
    assert_frame_equal(again.predict(inputs), one.predict(inputs), check_exact=True)
    assert again.params == one.params


def test_predictions_are_rows_of_the_contract(model, inputs):
    predicted = model.predict(inputs)
    columns = [name for name in CONVERSION_SCORES.schema.names if name not in MADE_COLUMNS]
    assert list(predicted.columns) == columns
    schema = ibis.schema({name: CONVERSION_SCORES.schema[name] for name in columns})
    ibis.memtable(predicted, schema=schema).to_pyarrow()
    assert not predicted.duplicated(["user_id", "property_id"]).any()
    assert predicted["conversion_probability"].between(0, 1).all()
    lower, upper = np.array(predicted["confidence_interval"].tolist()).T
    assert ((lower < predicted["conversion_probability"]) & (predicted["conversion_probability"] < upper)).all()
    assert (predicted["top_factors"].map(len) == 3).all()


def test_boosting_is_chosen_only_where_it_is_clearly_better():
    users = np.repeat(np.arange(200), 5)
    noise = np.random.default_rng(0).normal(0, 0.1, 200).repeat(5)
    simple = np.full(1000, 0.3)

    def chosen(gain: float) -> str:
        return _better({"logistic_regression": simple, "xgboost": simple - gain + noise - noise.mean()}, users)

    error = 0.1 / np.sqrt(200)
    assert chosen(0.5 * error) == "logistic_regression"
    assert chosen(2 * error) == "xgboost"


def test_the_interval_is_wider_where_the_users_or_the_methods_disagree(model, inputs):
    x = model.matrix(inputs)

    def mean_width(**changed: object) -> float:
        one = ConversionPredictor(seed=0)
        vars(one).update(vars(model) | changed)
        _, lower, upper = one.probability(x)
        return (upper - lower).mean()

    assert 0 < mean_width(disagreement=0.0) < mean_width()
    assert 0 < mean_width(members=[model.chosen] * 2) < mean_width()


def test_no_views_this_week_give_no_predictions(world, model):
    views = world["page_views"]
    quiet = world | {"page_views": views[views["timestamp"] < CUTOFF - timedelta(weeks=2)]}
    assert model.predict(ConversionPredictor.inputs(tables(quiet), CUTOFF)).empty


@pytest.mark.parametrize("kind", list(CLASSIFIERS))
def test_the_impacts_add_up_to_the_probability(kind, model, inputs):
    one = ConversionPredictor(seed=0)
    vars(one).update(vars(model) | {"chosen": model.candidates[kind]})
    impacts = one.impacts(one.matrix(inputs))
    assert np.allclose(impacts.sum(axis=1), one.probability(one.matrix(inputs))[0], atol=1e-6)


def test_the_top_factors_are_the_greatest_impacts_in_plain_words(model, inputs):
    predicted, impacts = model.predict(inputs), model.impacts(model.matrix(inputs)).drop(columns="base")
    for row in range(20):
        stated = [factor["impact"] for factor in predicted["top_factors"][row]]
        greatest = impacts.iloc[row].loc[lambda values: values.abs().sort_values(ascending=False).index][:3]
        assert stated == greatest.tolist()
    spoken = {factor["factor"] for factors in predicted["top_factors"] for factor in factors}
    assert {"low_price", "high_price", "mobile_device", "desktop_device"} <= spoken


def test_a_low_price_speaks_for_a_booking_and_a_mobile_device_against(model, inputs):
    factors = [factor for factors in model.predict(inputs)["top_factors"] for factor in factors]
    mean = pd.DataFrame(factors).groupby("factor")["impact"].mean()
    assert mean["low_price"] > 0 > mean["high_price"]
    assert mean["desktop_device"] > 0 > mean["mobile_device"]


def test_without_views_the_reason_is_that_page_views_is_empty(world):
    empty = world | {"page_views": world["page_views"].head(0)}
    with pytest.raises(CannotLearn, match="page_views is empty"):
        ConversionPredictor.training_set(tables(empty), CUTOFF)
    with pytest.raises(CannotLearn, match="page_views is empty"):
        ConversionPredictor.evaluate(tables(empty), CUTOFF)


def test_views_after_the_last_booking_are_one_class_only(world):
    history = world["fact_booking_history"]
    early = world | {"fact_booking_history": history[history["created_at"] < FIRST + timedelta(days=20)]}
    with pytest.raises(CannotLearn, match=r"0 of 6,\d+ page views .* bookings run from 2024-01-\d+ to 2024-01-"):
        ConversionPredictor.training_set(tables(early), CUTOFF)


def test_the_figures_are_those_of_their_definitions():
    """Of 20 views by 20 users, 4 converted; the model ranks 3 of them above all others, and one below 4 of 16."""
    actual = np.array([1, 1, 1] + [0] * 4 + [1] + [0] * 12)
    predicted = np.linspace(0.6, 0.03, 20)
    rows = pd.DataFrame(
        {
            "view_id": range(20),
            "user_id": range(20),
            "viewed_at": pd.Timestamp(LAST),
            "actual": actual,
            "predicted": predicted,
            "lower": predicted - 0.01,
            "upper": predicted + 0.01,
            "baseline": 0.5,
            **dict.fromkeys(SLICES.values(), "all"),
            **dict.fromkeys(CLASSIFIERS, predicted),
        }
    )
    result = measured(rows, seed=0)
    assert result.metric.value == pytest.approx(1 - 4 / 64)
    assert result.baseline == 0.5
    assert result.metrics["pr_auc"] == pytest.approx((1 + 1 + 1 + 4 / 8) / 4)
    assert result.metrics["log_loss"] == pytest.approx(
        -np.mean(np.where(actual == 1, np.log(predicted), np.log(1 - predicted)))
    )
    assert result.metrics["mean_interval_width"] == pytest.approx(0.02)
    assert result.losses.mean() == pytest.approx(result.metrics["log_loss"])


def test_slices_show_the_worst_part_of_the_market_first(evaluation):
    parts = slices(evaluation.rows)
    assert_frame_equal(evaluation.slices, parts)
    assert list(parts) == SLICE_COLUMNS
    assert parts["metric"].is_monotonic_increasing
    devices = parts[parts["slice"] == "device"].set_index("value")
    for device, views in evaluation.rows.groupby("device_type"):
        assert devices.loc[device, "rows"] == len(views)
        assert devices.loc[device, "metric"] == roc_auc_score(views["actual"], views["predicted"])


def test_a_part_with_too_few_conversions_is_no_slice(evaluation):
    rows = evaluation.rows
    few = rows["device_type"].mask(rows["actual"].cumsum() < 20, "watch")
    assert "watch" not in set(slices(rows.assign(device_type=few))["value"])


def test_the_calibration_error_weighs_bins_by_their_views():
    bins = pd.DataFrame({"views": [1, 3], "predicted": [0.5, 0.1], "actual": [0.1, 0.2]})
    assert expected_calibration_error(bins) == pytest.approx((0.4 + 3 * 0.1) / 4)


def test_the_baseline_is_the_bookings_per_view_of_the_property(world):
    views, made = world["page_views"], world["fact_booking_history"]
    end = FIRST + timedelta(weeks=10)
    seen = (views["property_id"] == 3) & (views["timestamp"] < end)
    booked = (made["property_id"] == 3) & (made["created_at"] < end)
    rate = past_conversion(tables(world), FIRST, end, pd.Series([3]))
    assert rate[0] == pytest.approx(booked.sum() / seen.sum())
