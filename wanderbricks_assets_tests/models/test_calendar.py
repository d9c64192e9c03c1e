from datetime import date, timedelta

import pandas as pd

from wanderbricks_assets.models.calendar import FIRST_MONDAY, anchored, days_since, last_anchored


def test_anchored_days_are_the_same_whenever_one_begins_to_count():
    until = date(2026, 11, 16)
    early, late = anchored(date(2026, 1, 1), until, 28), anchored(date(2026, 3, 5), until, 28)
    assert late == [day for day in early if day >= date(2026, 3, 5)]
    assert all((day - FIRST_MONDAY).days % 28 == 0 for day in early)
    assert early[-1] == last_anchored(until, timedelta(days=28)) <= until < early[-1] + timedelta(days=28)


def test_an_anchored_day_is_its_own_last_one_and_first_one():
    day = FIRST_MONDAY + timedelta(days=280)
    assert last_anchored(day, timedelta(days=28)) == day
    assert anchored(day, day, 28) == [day]
    assert anchored(day + timedelta(days=1), day + timedelta(days=27), 28) == []


def test_days_since_are_whole_days():
    days = pd.Series(pd.to_datetime(["2024-06-03 00:00", "2024-06-04 23:59", "2024-06-02 23:00"]))
    assert days_since(date(2024, 6, 3), days).tolist() == [0, 1, -1]
