"""Realized accuracy against figures that were computed by hand."""

from datetime import date, datetime, timedelta

import numpy as np
import pytest

from wanderbricks_assets.contracts.source import SOURCE
from wanderbricks_assets.contracts.tables import LAKE
from wanderbricks_assets.monitoring import realized
from wanderbricks_assets.monitoring.assets import has_left
from wanderbricks_assets.monitoring.realized import FIGURES, READS
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.resources.source import FilesSource
from wanderbricks_assets.resources.tables import tables_until
from wanderbricks_assets.targets import TARGETS
from wanderbricks_assets.window import Window
from wanderbricks_assets_tests.engines import engine, on_each_engine  # noqa: F401
from wanderbricks_assets_tests.marketplace import deliver, source_table, table_of, view
from wanderbricks_assets_tests.monitoring.hand_made import DAY, MOMENT, booked, said, stays, tables

STAY_DAYS = [MOMENT - number * DAY for number in range(1, 31)]


def revenue_forecast(ds, horizon: int, yhat: float) -> dict:
    return said(ds - horizon * DAY, ds=ds.date(), horizon_days=horizon, yhat=yhat)


def test_revenue_is_measured_by_day_and_each_horizon_weighs_the_same():
    forecasts = [revenue_forecast(day, 1, 110.0) for day in STAY_DAYS]
    forecasts += [revenue_forecast(day, 2, 70.0) for day in STAY_DAYS[:3]]
    forecasts += [revenue_forecast(day, 31, 1.0) for day in STAY_DAYS]
    found = realized.revenue_mape(
        tables(revenue_forecast=forecasts, fact_booking_daily=[stays(1, day) for day in STAY_DAYS]), MOMENT
    )
    assert found.interval.value == pytest.approx((0.1 + 0.3) / 2)
    assert found.units == 30


def test_revenue_is_not_measured_before_all_thirty_days_were_forecast():
    forecasts = [revenue_forecast(day, 1, 110.0) for day in STAY_DAYS[:3]]
    found = realized.revenue_mape(tables(revenue_forecast=forecasts, fact_booking_daily=[]), MOMENT)
    assert found.interval is None
    assert found.reason == "3 of the last 30 stay days were forecast; all must be"


def demand_forecast(property_id: int, days: int, expected: float) -> list[dict]:
    made = MOMENT - (days + 1) * DAY
    return [
        said(made, property_id=property_id, ds=(made + h * DAY).date(), horizon_days=h, expected_bookings=expected)
        for h in range(1, 31)
    ]


def test_demand_is_measured_per_property_over_the_forecast_that_has_just_ended_zeros_included():
    given = tables(
        demand_forecast=demand_forecast(1, 30, 0.1) + demand_forecast(2, 30, 0.1) + demand_forecast(3, 12, 9.0),
        fact_booking_daily=[stays(1, MOMENT - 30 * DAY, 2), stays(1, MOMENT - DAY, 3), stays(1, MOMENT - 31 * DAY, 50)],
    )
    found = realized.demand_rmse(given, MOMENT, 30, "realized_rmse")
    assert found.interval.value == pytest.approx(np.sqrt(((3 - 5) ** 2 + 3**2) / 2))
    assert found.units == 2


def test_demand_over_seven_days_gives_an_early_sign():
    given = tables(demand_forecast=demand_forecast(1, 7, 0.5), fact_booking_daily=[stays(1, MOMENT - 2 * DAY, 2)])
    assert realized.demand_rmse(given, MOMENT, 7, "realized_rmse_7d").interval.value == pytest.approx(3.5 - 2)
    assert realized.demand_rmse(given, MOMENT, 30, "realized_rmse").reason == (
        "not enough predictions yet: 7 of 30 days have passed since the first"
    )


def scored(converted: int, scores: list[float]) -> dict:
    """Views of ten days ago, each by a user of its own, of whom the first `converted` booked three days later."""
    day = MOMENT - 10 * DAY
    views = [view(user, str(day + timedelta(hours=9)), user_id=user) for user in range(len(scores))]
    return {
        "conversion_scores": [
            said(day, user_id=user, property_id=1, conversion_probability=score) for user, score in enumerate(scores)
        ],
        "page_views": views,
        "fact_booking_history": [booked(user, day + 3 * DAY, user_id=user) for user in range(converted)],
    }


def test_conversion_is_the_share_of_pairs_in_the_right_order():
    scores = [0.5] * 30 + [0.1] * 20 + [0.9] * 10
    found = realized.conversion_auc(tables(**scored(30, scores)), MOMENT)
    assert found.interval.value == pytest.approx(20 / 30)
    assert found.units == 60


def test_a_booking_that_comes_after_the_seven_days_does_not_count():
    given = scored(40, [0.5] * 40 + [0.1] * 40)
    given["fact_booking_history"][0] |= {"created_at": MOMENT - timedelta(hours=1), "known_at": MOMENT - DAY / 24}
    found = realized.conversion_auc(tables(**given), MOMENT)
    assert found.interval.value == pytest.approx((39 * (40 + 0.5)) / (39 * 41))


def test_too_few_conversions_have_no_order_to_speak_of():
    found = realized.conversion_auc(tables(**scored(3, [0.5] * 60)), MOMENT)
    assert found.reason == "3 of 60 scored views converted; 30 that did and did not are needed"


def customers(spent: float) -> dict:
    """Twenty customers predicted 400 each; a year ago such customers spent a quarter of it in the first 90 days."""
    made = MOMENT - 90 * DAY
    history = [booked(1, made - 400 * DAY, user_id=99)]
    history += [booked(2, made - 300 * DAY, 100.0, 99), booked(3, made - 100 * DAY, 300.0, 99)]
    history += [booked(10 + user, made + 5 * DAY, spent, user) for user in range(20)]
    values = [said(made - DAY, user_id=user, predicted_ltv_12m=400.0) for user in range(20)]
    return {"customer_value": values, "fact_booking_history": history}


def test_customers_are_measured_against_the_share_of_the_year_that_is_due():
    found = realized.customer_mape(tables(**customers(spent=80.0)), MOMENT)
    assert found.interval.value == pytest.approx(abs(100 - 80) / 80)
    assert found.units == 20


def test_customers_of_whom_a_tenth_has_spent_nothing_have_no_percentage_error():
    given = customers(spent=80.0)
    given["fact_booking_history"] = given["fact_booking_history"][:-4]
    assert realized.customer_mape(tables(**given), MOMENT).reason == "a tenth of the customers has spent nothing yet"


def recommended(adopted: int, others: int) -> dict:
    """Nights of ten days ago, recommended to go from 100 to 110; who adopts earns 120 a night, the others 90."""
    night = MOMENT - 10 * DAY
    made = night - 14 * DAY
    listings = range(adopted + others)
    return {
        "price_recommendations": [
            said(
                made - DAY,
                property_id=listing,
                target_date=night.date(),
                current_price=100.0,
                recommended_price=110.0,
                current_expected_revenue=60.0,
            )
            for listing in listings
        ],
        "price_decisions": [],
        "property_updates": [
            {"property_id": listing, "base_price": 110.5, "updated_at": made + DAY} for listing in range(adopted)
        ],
        "fact_booking_history": [
            booked(
                listing,
                made + 5 * DAY,
                240.0 if listing < adopted else 180.0,
                property_id=listing,
                check_in=(night - DAY).date(),
                nights=2,
            )
            for listing in listings
        ],
    }


def test_pricing_compares_nights_whose_price_was_adopted_with_the_others():
    found = realized.pricing_lift(tables(**recommended(12, 15)), MOMENT)
    assert found.interval.value == pytest.approx(120 / 90 - 1)
    assert found.units == 12


def test_a_price_that_moved_elsewhere_or_too_late_was_not_adopted():
    given = recommended(12, 15)
    given["property_updates"] = [
        {**row, "base_price": 115.0} if row["property_id"] % 2 else {**row, "updated_at": row["updated_at"] + 3 * DAY}
        for row in given["property_updates"]
    ]
    assert realized.pricing_lift(tables(**given), MOMENT).reason == "no recommendation was accepted yet"


def test_an_accepted_recommendation_is_adopted_though_the_listing_shows_another_price_unless_it_is_taken_back():
    given = recommended(12, 15)
    given["property_updates"] = []
    made = MOMENT - 24 * DAY
    given["price_decisions"] = [decided(listing, "accept", made + DAY) for listing in range(13)]
    given["price_decisions"].append(decided(12, "reject", made + 2 * DAY))
    found = realized.pricing_lift(tables(**given), MOMENT)
    assert found.interval.value == pytest.approx(120 / 90 - 1)
    assert found.units == 12


def decided(listing: int, decision: str, at: datetime) -> dict:
    night = MOMENT - 10 * DAY
    return {
        "decision_id": f"{listing} {at}",
        "property_id": listing,
        "target_date": night.date(),
        "prediction_date": (night - 15 * DAY).date(),
        "decision": decision,
        "decided_at": at,
    }


def test_two_adopted_listings_are_no_evidence():
    found = realized.pricing_lift(tables(**recommended(2, 15)), MOMENT)
    assert found.reason == "recommendations of 2 listings were accepted and of 15 not; 10 of each are needed"


def test_a_bound_is_left_only_when_the_whole_interval_is_beyond_it():
    below, above = TARGETS["revenue_forecaster"], TARGETS["conversion_predictor"]
    assert has_left(below, 0.151, 0.2)
    assert not has_left(below, 0.149, 0.2)
    assert has_left(above, 0.6, 0.74)
    assert not has_left(above, 0.6, 0.76)


EVERYTHING = {
    "revenue_forecast": [revenue_forecast(day, 1, 110.0) for day in STAY_DAYS],
    "demand_forecast": demand_forecast(1, 30, 0.1),
    "fact_booking_daily": [stays(1, day) for day in STAY_DAYS],
    **scored(30, [0.5] * 30 + [0.1] * 20 + [0.9] * 10),
    **{name: rows for name, rows in recommended(12, 15).items() if name != "fact_booking_history"},
    **{name: rows for name, rows in customers(80.0).items() if name != "fact_booking_history"},
}
EVERYTHING["price_decisions"] = [decided(12, "accept", MOMENT - 23 * DAY)]
EVERYTHING["fact_booking_history"] = [
    {**row, "booking_id": number}
    for number, row in enumerate(
        scored(30, [0.5] * 60)["fact_booking_history"]
        + recommended(12, 15)["fact_booking_history"]
        + customers(80.0)["fact_booking_history"]
    )
]
NOISE = {
    "revenue_forecast": [revenue_forecast(MOMENT + DAY, 1, 7.0)],
    "demand_forecast": [{**row, "prediction_date": MOMENT.date()} for row in demand_forecast(1, 30, 5.0)],
    "fact_booking_daily": [stays(1, MOMENT, 9, 9e6)],
    "fact_booking_history": [booked(900 + user, MOMENT + DAY / 2, 1e6, user) for user in range(60)],
    "conversion_scores": [said(MOMENT, user_id=1, property_id=1, conversion_probability=1.0)],
    "price_recommendations": [
        said(
            MOMENT,
            property_id=1,
            target_date=MOMENT.date(),
            current_price=1.0,
            recommended_price=9.0,
            current_expected_revenue=1.0,
        )
    ],
    "customer_value": [said(MOMENT, user_id=1, predicted_ltv_12m=1e9)],
    "page_views": [view(999, str(MOMENT + DAY / 2), user_id=1)],
    "property_updates": [{"property_id": 1, "base_price": 1.0, "updated_at": MOMENT + DAY / 2}],
    "price_decisions": [decided(12, "reject", MOMENT + DAY / 2)],
}


def measured(lake: Lake, source: FilesSource) -> list:
    return [
        figure(tables_until(READS[model], lake, source, MOMENT), MOMENT)
        for model, figures in FIGURES.items()
        for figure in figures
    ]


def place(folder, rows: dict[str, list[dict]]) -> tuple[Lake, FilesSource]:
    lake, whole = Lake(folder=str(folder / "lake")), Window.of_days(date(2020, 1, 1), date(2025, 1, 1))
    for name, given in rows.items():
        if name in LAKE and LAKE[name].append_only:
            lake.append(name, table_of(LAKE[name], *given))
        elif name in LAKE:
            lake.replace(name, table_of(LAKE[name], *given), whole)
    events = {name: source_table(name, *given).to_pyarrow() for name, given in rows.items() if name in SOURCE}
    deliver(folder / "source", events, None, date(2025, 1, 1))
    return lake, FilesSource(folder=str(folder / "source"))


def test_what_happens_after_the_day_changes_nothing(tmp_path):
    before = measured(*place(tmp_path / "before", EVERYTHING))
    with_noise = {name: rows + NOISE[name] for name, rows in EVERYTHING.items()}
    after = measured(*place(tmp_path / "after", with_noise))
    assert before == after
    assert [found.metric for found in before if found.interval is None] == ["realized_rmse_7d"]
