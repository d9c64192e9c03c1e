import numpy as np
import pandas as pd
import pytest

from wanderbricks_assets.models.shrinkage import draws, likeliest_scales, posterior

LEVELS = [f"destination:{k}" for k in range(8)] + ["type:a", "type:b"]


def listings(count: int, seed: int, own: float = 0.4) -> tuple[np.ndarray, pd.DataFrame]:
    """(design, seen) of listings around -1.5, with parts of their destinations, none of their types, and their own."""
    rng = np.random.default_rng(seed)
    place, kind = rng.integers(0, 8, count), rng.integers(0, 2, count)
    design = np.column_stack([np.ones(count), rng.normal(0, 1, count), np.eye(8)[place], np.eye(2)[kind]])
    information = rng.gamma(2.0, 4.0, count)
    truth = -1.5 + 0.3 * design[:, 1] + rng.normal(0, 0.3, 8)[place] + rng.normal(0, own, count)
    estimate = truth + rng.standard_normal(count) / np.sqrt(information)
    return design, pd.DataFrame({"estimate": estimate, "information": information})


def test_scales_are_found_where_there_is_much_to_see():
    design, seen = listings(4000, seed=1)
    scales = likeliest_scales(design, LEVELS, seen)
    assert scales["listing"] == pytest.approx(0.4, abs=0.05)
    assert scales["dispersion"] == pytest.approx(1.0, abs=0.1)
    assert scales["property_type"] < scales["destination"] + 0.1


def test_draws_are_wider_than_where_the_scales_are_taken_for_known():
    wider = []
    for seed in range(6):
        design, seen = listings(150, seed)
        scales = likeliest_scales(design, LEVELS, seen)
        mean, covariance, _ = posterior(design, LEVELS, seen, scales)
        drawn = list(draws(design, LEVELS, seen, scales, 0.0, count=200, seed=seed))
        coefficients = np.array([one for one, _ in drawn])
        assert coefficients[:, 0].mean() == pytest.approx(mean[0], abs=0.3 * np.sqrt(covariance[0, 0]))
        wider.append(coefficients.std(axis=0).mean() / np.sqrt(np.diag(covariance)).mean())
        assert len(drawn) == 200
        assert np.std([own for _, own in drawn]) > 0.02
    assert np.mean(wider) > 1.0


def test_the_same_seed_draws_the_same():
    design, seen = listings(100, seed=0)
    scales = likeliest_scales(design, LEVELS, seen)
    one, other = (list(draws(design, LEVELS, seen, scales, 0.1, count=30, seed=5)) for _ in range(2))
    assert all((a == b).all() and x == y for (a, x), (b, y) in zip(one, other, strict=True))


def test_an_error_that_all_estimates_share_widens_what_they_tell():
    design, seen = listings(100, seed=0)
    scales = likeliest_scales(design, LEVELS, seen)
    mean, alone, _ = posterior(design, LEVELS, seen, scales)
    shared = posterior(design, LEVELS, seen, scales, fade_error=0.1)[1]
    assert shared[0, 0] == pytest.approx(alone[0, 0] + 0.01 * mean[0] ** 2)
