import numpy as np
import pandas as pd
import pytest

from wanderbricks_assets.models.buy_till_you_die import BgNbd, GammaGamma, expected_spend

# As published for the CDNOW customers (weeks): Fader, Hardie and Lee 2005; Fader and Hardie 2013.
CDNOW = BgNbd(r=0.243, alpha=4.414, a=0.793, b=2.426)
CDNOW_VALUE = GammaGamma(p=6.25, q=3.74, v=15.44)


def test_bg_nbd_expects_of_a_cdnow_customer_what_its_authors_published():
    expected = CDNOW.expected(np.array([2.0]), np.array([30.43]), np.array([38.86]), time=39.0)
    assert expected == pytest.approx([1.226], abs=5e-4)


def test_gamma_gamma_expects_of_a_cdnow_customer_what_its_authors_published():
    assert CDNOW_VALUE.expected(np.array([2.0]), np.array([22.35])) == pytest.approx([24.66], abs=0.02)


def test_what_customers_were_drawn_from_is_found_again():
    purchases = _customers(BgNbd(0.8, 0.5, 0.9, 2.5), GammaGamma(6.0, 4.0, 300.0), count=20_000)
    repeats, recency, age, mean = purchases.to_numpy().T
    found = BgNbd.fit(repeats, recency, age)
    assert (found.r, found.alpha) == pytest.approx((0.8, 0.5), rel=0.1)
    assert found.a / (found.a + found.b) == pytest.approx(0.9 / 3.4, rel=0.1)
    value = GammaGamma.fit(repeats + 1, mean)
    assert (value.p, value.q, value.v) == pytest.approx((6.0, 4.0, 300.0), rel=0.2)


def test_the_expected_spend_of_all_is_about_what_they_spend():
    model, value = BgNbd(0.8, 0.5, 0.9, 2.5), GammaGamma(6.0, 4.0, 300.0)
    longer = _customers(model, value, count=20_000, more=1.0)
    spent = ((longer["later"] * longer["true_mean"]).sum()) / len(longer)
    assert expected_spend(longer, time=1.0).mean() == pytest.approx(spent, rel=0.05)


def test_a_customer_without_a_purchase_is_expected_to_be_like_everybody():
    assert CDNOW_VALUE.expected(np.array([0.0]), np.array([np.nan])) == pytest.approx([6.25 * 15.44 / 2.74])


def test_many_purchases_do_not_overflow():
    expected = CDNOW.expected(np.array([2000.0]), np.array([38.86]), np.array([38.86]), time=39.0)
    assert 1000 < expected[0] < 2100


def _customers(model: BgNbd, value: GammaGamma, count: int, more: float | None = None) -> pd.DataFrame:
    """Customers drawn from the models, one to three years old; with `more`, also their purchases in that time after."""
    rng = np.random.default_rng(0)
    age = rng.uniform(1, 3, count)
    rate, leaving = rng.gamma(model.r, 1 / model.alpha, count), rng.beta(model.a, model.b, count)
    repeats, later, recency, now = np.zeros(count), np.zeros(count), np.zeros(count), np.zeros(count)
    stays = np.ones(count, dtype=bool)
    while stays.any():
        now = np.where(stays, now + rng.exponential(1 / rate), now)
        stays &= now < age + (more or 0.0)
        is_past = stays & (now < age)
        repeats, later = repeats + is_past, later + (stays & ~is_past)
        recency = np.where(is_past, now, recency)
        stays &= rng.random(count) >= leaving
    own = rng.gamma(value.q, 1 / value.v, count)
    bought = repeats + 1
    frame = pd.DataFrame({"repeats": repeats, "recency": recency, "age": age})
    frame["mean_value"] = rng.gamma(value.p * bought, 1 / (own * bought))
    return frame if more is None else frame.assign(later=later, true_mean=value.p / own)
