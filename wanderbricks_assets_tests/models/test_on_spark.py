"""A model is given the same frames whatever engine read the tables, so it learns and says the same."""

from collections.abc import Callable
from datetime import datetime, time, timedelta

import pytest
from pandas.testing import assert_frame_equal

from wanderbricks_assets.models.all import MODELS
from wanderbricks_assets.models.model import Tables
from wanderbricks_assets_tests import engines
from wanderbricks_assets_tests.engines import back_to_duckdb  # noqa: F401 (used by each test)
from wanderbricks_assets_tests.models import booked_market, browsing_world, listed_prices, returning_customers

BOOKED = datetime.combine(booked_market.FIRST_DAY, time()) + timedelta(days=450)
WORLDS: dict[str, tuple[Callable[[], Tables], datetime]] = {
    "revenue_forecaster": (lambda: booked_market.booked_market(days=470), BOOKED),
    "demand_predictor": (lambda: booked_market.booked_market(days=470), BOOKED),
    "conversion_predictor": (lambda: browsing_world.tables(browsing_world.browsing_world()), browsing_world.CUTOFF),
    "pricing_optimizer": (lambda: listed_prices.market(whim=0.2), datetime.combine(listed_prices.END, time())),
    "customer_ltv": (
        lambda: returning_customers.tables(returning_customers.returning_customers()),
        returning_customers.CUTOFF,
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_learns_and_predicts_from_the_same_frames(name: str):
    model, (world, cutoff) = MODELS[name], WORLDS[name]
    tables = world()
    wanted = model.training_set(tables, cutoff), model.inputs(tables, cutoff)
    engines.use("spark")
    found = model.training_set(tables, cutoff), model.inputs(tables, cutoff)
    for left, right in zip(found, wanted, strict=True):
        assert len(right) > 0
        assert_frame_equal(left, right, check_exact=True)
