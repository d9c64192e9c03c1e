"""Numbers, days and names as people read them."""

from __future__ import annotations

import math
from datetime import date

METRICS = {
    "mape": "mean error of a day's revenue, 30 days ahead",
    "rmse": "error per listing, bookings in 30 days (RMSE)",
    "rmse_7d": "error per listing, bookings in 7 days (RMSE)",
    "auc_roc": "chance that a view that converts ranks above one that does not (AUC)",
    "revenue_lift": "revenue lift",
    "decile_mape": "mean error over tenths of customers",
}
FRACTIONS = ("mape", "lift", "coverage", "share", "error")  # a metric named so is shown in percent
_UNITS = ((1e9, "bn"), (1e6, "M"), (1e3, "k"))
NOTHING = "\N{EN DASH}"


def number(value: float | None, sign: bool = False) -> str:
    """Three digits that matter: 2.33M, 41.2k, 950, 7.25. A missing or infinite value is a dash."""
    if value is None or not math.isfinite(value):
        return NOTHING
    size, before = abs(value), "\N{MINUS SIGN}" if value < 0 else "+" if sign and value > 0 else ""
    for unit, letter in _UNITS:
        if size >= unit * 0.9995:
            return f"{before}{_three_digits(size / unit)}{letter}"
    return f"{before}{_three_digits(size)}"


def percent(value: float | None, sign: bool = False, digits: int = 0) -> str:
    """A fraction in percent."""
    if value is None or not math.isfinite(value):
        return NOTHING
    text = f"{abs(value):.{digits}%}"
    is_zero = not any(figure in "123456789" for figure in text)
    before = "" if is_zero else "\N{MINUS SIGN}" if value < 0 else "+" if sign else ""
    return before + text


def metric(name: str, value: float | None) -> str:
    """A metric's value: errors and lifts in percent, others with three digits."""
    if is_fraction(name):
        return percent(value, digits=1)
    return NOTHING if value is None or not math.isfinite(value) else f"{value:.3g}"


def is_fraction(name: str) -> bool:
    return any(word in name for word in FRACTIONS)


def day(of: date) -> str:
    return f"{of.day} {of:%b %Y}"


def _three_digits(size: float) -> str:
    digits = 2 if size < 9.995 else 1 if size < 99.95 else 0
    text = f"{size:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
