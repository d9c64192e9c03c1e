"""Drift is told of what has moved, and of nothing that has only been drawn again."""

import json

import numpy as np
import pandas as pd
import pytest

from wanderbricks_assets.models.drift import LARGE, drifts, reference


def drawn(seed: int, rows: int = 3000, shift: float = 0.0, mobile: float = 0.6, missing: float = 0.1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "property_id": np.arange(rows) + seed * 10_000,
            "seen_on": pd.Timestamp("2024-01-01") + pd.to_timedelta(np.full(rows, seed), "D"),
            "month": float(seed),
            "price": rng.lognormal(5, 0.5, rows) * np.exp(shift),
            "rating": np.where(rng.random(rows) < missing, np.nan, rng.uniform(1, 5, rows)),
            "device": np.where(rng.random(rows) < mobile, "mobile", "desktop"),
            "factors": [["a", "b"]] * rows,
        }
    )


def drifted(before: pd.DataFrame, now: pd.DataFrame) -> list[str]:
    kept = json.loads(json.dumps(reference(before)))
    return [name for name, drift in drifts(kept, now).items() if drift.has_drifted]


@pytest.mark.parametrize("rows", [90, 3000])
def test_another_draw_of_the_same_has_not_drifted(rows):
    assert [drifted(drawn(0, rows), drawn(seed, rows)) for seed in range(1, 30)] == [[]] * 29


@pytest.mark.parametrize(
    ("changed", "feature"), [({"shift": 0.5}, "price"), ({"mobile": 0.2}, "device"), ({"missing": 0.5}, "rating")]
)
def test_what_has_shifted_is_told_first_and_alone(changed, feature):
    assert drifted(drawn(0), drawn(1, **changed)) == [feature]


def test_a_level_never_seen_before_is_told():
    assert drifted(drawn(0), drawn(1).assign(device="toaster")) == ["device"]


def test_keys_dates_lists_and_the_calendar_are_no_features():
    assert set(reference(drawn(0))) == {"price", "rating", "device"}


def test_the_index_is_that_of_the_shares():
    before = pd.DataFrame({"device": ["a"] * 8000 + ["b"] * 2000})
    now = pd.DataFrame({"device": ["a"] * 5000 + ["b"] * 5000})
    index = drifts(reference(before), now)["device"].psi
    assert index == pytest.approx((0.5 - 0.8) * np.log(0.5 / 0.8) + (0.5 - 0.2) * np.log(0.5 / 0.2), rel=1e-3)


def test_a_figure_that_whole_groups_share_counts_once_per_group():
    def grouped(seed: int) -> pd.DataFrame:
        return pd.DataFrame({"of_destination": np.random.default_rng(seed).normal(size=42).repeat(500)})

    assert [drifted(grouped(0), grouped(seed)) for seed in range(1, 30)] == [[]] * 29
    assert drifts(reference(grouped(0)), grouped(1))["of_destination"].bound > LARGE
