import numpy as np

from wanderbricks_assets.floors import best_for_percentages


def test_the_best_forecast_for_percentages_is_better_than_mean_and_median():
    draws = np.random.default_rng(0).lognormal(0.0, 0.5, (4000, 3))

    def error(forecast: np.ndarray) -> float:
        return np.abs(forecast / draws - 1).mean()

    best = best_for_percentages(draws)
    assert error(best) < min(error(np.median(draws, axis=0)), error(draws.mean(axis=0)))
    assert error(best) < min(error(best * 0.97), error(best * 1.03))


def test_days_that_may_bring_nothing_do_not_count_for_percentages():
    draws = np.array([[0.0], [0.0], [10.0], [10.0], [30.0]])
    assert best_for_percentages(draws)[0] == 10
