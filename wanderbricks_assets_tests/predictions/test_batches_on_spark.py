"""Batch scoring on Spark's executors says what the model says in this process."""

import pytest
from pandas.testing import assert_frame_equal

from wanderbricks_assets.models.all import MODELS
from wanderbricks_assets.predictions.assets import PREDICTED_BY
from wanderbricks_assets.predictions.batches import predicted_in_batches
from wanderbricks_assets.resources.engine import engine
from wanderbricks_assets_tests import engines
from wanderbricks_assets_tests.engines import back_to_duckdb  # noqa: F401 (used by each test)
from wanderbricks_assets_tests.models.test_on_spark import WORLDS

ROW_WISE = {name: contract for contract, name in PREDICTED_BY.items() if MODELS[name].is_row_wise}


@pytest.mark.parametrize("name", ROW_WISE)
def test_the_executors_say_of_each_row_what_the_model_says_here(name: str):
    world, cutoff = WORLDS[name]
    tables = world()
    model = MODELS[name](seed=1).fit(MODELS[name].training_set(tables, cutoff))
    inputs = MODELS[name].inputs(tables, cutoff)
    wanted = model.predict(inputs)
    alone = model.predict(inputs.iloc[[7]].reset_index(drop=True))
    assert_frame_equal(alone, wanted.iloc[[7]].reset_index(drop=True), check_exact=True)
    engines.use("spark")
    engine().session.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", str(len(inputs) // 3))
    found = predicted_in_batches(model, inputs, ROW_WISE[name]).to_pandas()
    if "ds" in wanted:
        wanted["ds"] = wanted["ds"].astype(found["ds"].dtype)
    key = [column for column in ROW_WISE[name].key if column in wanted]
    found, wanted = (rows.sort_values(key, ignore_index=True) for rows in (found, wanted))
    assert_frame_equal(found, wanted, check_exact=True)
