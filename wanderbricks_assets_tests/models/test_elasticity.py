import numpy as np
import pytest

from wanderbricks_assets.models.elasticity import _share_left
from wanderbricks_assets.models.model import CannotLearn

LISTINGS, WEEKS, DESTINATIONS = 6, 10, 2
LISTING = np.repeat(np.arange(LISTINGS), WEEKS)
MARKET = LISTING % DESTINATIONS * WEEKS + np.tile(np.arange(WEEKS), LISTINGS)


def without(values: np.ndarray, *groups: np.ndarray) -> np.ndarray:
    """The values less the means of the groups, in turn until they stay."""
    for _ in range(50):
        for group in groups:
            values = values - (np.bincount(group, values) / np.bincount(group))[group]
    return values


def test_prices_that_follow_nothing_keep_their_whole_variance_however_few_listings_a_destination_has():
    rng, found = np.random.default_rng(0), []
    for _ in range(300):
        own = without(rng.standard_normal(LISTINGS * WEEKS), LISTING)
        found.append(_share_left(without(own, MARKET, LISTING), own, LISTING, MARKET, DESTINATIONS))
    assert np.mean(found) == pytest.approx(1, abs=0.03)


def test_as_many_destinations_and_weeks_as_prices_tell_nothing():
    own = np.random.default_rng(0).standard_normal(WEEKS)
    with pytest.raises(CannotLearn, match="10 weeks with a settled price, of 1 listings in 1 destinations"):
        _share_left(own, own, np.zeros(WEEKS, int), np.arange(WEEKS), 1)
