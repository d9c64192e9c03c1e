import numpy as np
import pandas as pd
import pytest

from wanderbricks_assets.models.price_placebo import BEFORE, Placebo, placebo

LISTINGS, PRICES, WEEKS = 200, 6, 12


def weeks(knows_the_next: float, seed: int = 0, occupancy: float = 0.0) -> pd.DataFrame:
    """Weeks at PRICES prices each, whose bookings answer the price by -1.5, and the next one by `knows_the_next`.

    occupancy: by how much prices follow the calendar that the bookings before them filled.
    """
    rng = np.random.default_rng(seed)
    price, seen = rng.normal(0, 0.15, (2, LISTINGS, PRICES))
    price = price + occupancy * seen
    later = np.roll(price, -1, axis=1)
    later_seen = np.roll(seen, -1, axis=1)
    later[:, -1] = later_seen[:, -1] = 0.0
    # Weeks 0 to WEEKS of each price, less the week in which it was set.
    listing, of_price, week = (x.ravel() for x in np.indices((LISTINGS, PRICES, WEEKS)))
    expected = np.full(len(listing), 2.0)
    answer = -1.5 * price + knows_the_next * later + (occupancy > 0) * later_seen
    return pd.DataFrame(
        {
            "property_id": listing,
            "age_weeks": of_price * (WEEKS + 1) + week + 1,
            "weeks_since_set": week + 1,
            "price_residual": price[listing, of_price],
            "occupancy_when_set": seen[listing, of_price],
            "recent_bookings_when_set": rng.poisson(4.0, (LISTINGS, PRICES))[listing, of_price],
            "expected_bookings": expected,
            "bookings": rng.poisson(expected * np.exp(answer[listing, of_price])),
        }
    )


def test_bookings_that_know_the_next_price_are_found_by_as_much_as_they_do():
    found = placebo(weeks(knows_the_next=0.4))
    assert found.lead == pytest.approx(0.4, abs=2.58 * found.standard_error)
    assert found.elasticity == pytest.approx(-1.5, abs=0.2)
    assert found.weeks == LISTINGS * (PRICES - 1) * BEFORE
    assert not found.holds
    assert "follow a demand that no table records" in str(found)


def test_where_they_do_not_the_placebo_holds_and_its_error_is_what_chance_does():
    found = [placebo(weeks(knows_the_next=0.0, seed=seed)) for seed in range(60)]
    z = np.array([one.lead / one.standard_error for one in found])
    assert abs(z.mean()) < 2.58 / np.sqrt(len(z))
    assert 0.75 < z.std() < 1.25
    assert sum(one.holds for one in found) >= 57


def test_hosts_who_follow_the_calendar_that_the_data_show_are_no_secret():
    assert placebo(weeks(knows_the_next=0.0, occupancy=0.5)).holds


def test_a_sure_lead_that_hardly_matters_does_not_fail():
    assert Placebo(lead=0.1, standard_error=0.01, elasticity=-1.5, weeks=10).holds
    assert not Placebo(lead=0.2, standard_error=0.01, elasticity=-1.5, weeks=10).holds


def test_where_no_price_followed_another_it_does_not_hold():
    once = weeks(knows_the_next=0.4)
    found = placebo(once[once.age_weeks <= WEEKS])
    assert found.weeks == 0
    assert not found.holds
    assert "cannot be told" in str(found)
