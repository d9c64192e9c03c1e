from pathlib import Path

import numpy as np
import pandas as pd

from wanderbricks_assets.floors import best_for_percentages, floor
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.resources.source import FilesSource
from wanderbricks_assets.simulator.truth import TRUTH


def test_the_best_forecast_for_percentages_is_better_than_mean_and_median():
    draws = np.random.default_rng(0).lognormal(0.0, 0.5, (4000, 3))

    def error(forecast: np.ndarray) -> float:
        return np.abs(forecast / draws - 1).mean()

    best = best_for_percentages(draws)
    assert error(best) < min(error(np.median(draws, axis=0)), error(draws.mean(axis=0)))
    assert error(best) < min(error(best * 0.97), error(best * 1.03))


def test_a_model_of_which_nobody_has_said_how_good_it_could_be_has_no_floor(tmp_path: Path):
    (tmp_path / TRUTH).mkdir()
    place = {"lake": Lake(folder=str(tmp_path)), "source": FilesSource(folder=str(tmp_path))}
    assert floor("a_sixth_model", pd.DataFrame(), **place) is None


def test_days_that_may_bring_nothing_do_not_count_for_percentages():
    draws = np.array([[0.0], [0.0], [10.0], [10.0], [30.0]])
    assert best_for_percentages(draws)[0] == 10
