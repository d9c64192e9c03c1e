"""What an expression means is the same on Spark and on DuckDB."""

from datetime import datetime
from decimal import Decimal

import ibis
import pyarrow as pa
import pytest

from wanderbricks_assets.gold.exact import exact, exact_sum
from wanderbricks_assets.models.frames import fixed_share
from wanderbricks_assets.window import add_days
from wanderbricks_assets_tests import engines

NAN = float("nan")
ROWS = pa.table(
    {
        "amount": [1.005, 2.675, 0.285, -1.005, 0.125, 1.5, 2.5, -2.5, 1e6 / 3, None, NAN],
        "count": [7, -7, 0, 3, None, 2**31 + 5, -1, 1, 2, 3, 4],
        "money": [Decimal(text) for text in ("0.50", "1.50", "2.49", "-0.50", "-1.50")] + [None] * 6,
        "at": [datetime(2024, 3, 31, 1, 30, 15, 123456), datetime(2023, 12, 31, 23, 59, 59, 999999)] + [None] * 9,
        "words": [["a", "b"], [], None, ["c"], [None], ["d", "e"], [], [], [], [], []],
    },
    schema=pa.schema(
        {
            "amount": pa.float64(),
            "count": pa.int64(),
            "money": pa.decimal128(18, 2),
            "at": pa.timestamp("us"),
            "words": pa.list_(pa.string()),
        }
    ),
)


def as_text(row: dict[str, ibis.Value]) -> ibis.Value:
    return ibis.struct(row).cast("json").cast("string")


MEANINGS = {
    "a float is rounded from its binary value": lambda t: t.amount.round(2),
    "a float is rounded to whole numbers": lambda t: t.amount.fill_null(0).nullif(NAN).fill_null(0).round(),
    "money of a float": lambda t: exact(t.amount.nullif(NAN)),
    "a float cast to a whole number": lambda t: t.amount.nullif(NAN).cast("int64"),
    "money cast to a whole number": lambda t: t.money.cast("int64"),
    "NaN is no null": lambda t: t.amount.isnull(),
    "NaN is there": lambda t: t.amount.notnull(),
    "filling nulls leaves NaN": lambda t: t.amount.fill_null(-1.0),
    "division of whole numbers": lambda t: t["count"] / 2,
    "division by zero": lambda t: t["count"] / (t["count"] - t["count"]),
    "division of a float by zero": lambda t: t.amount / t["count"],
    "division of money": lambda t: t.money / 3,
    "seconds divided": lambda t: t.at.epoch_seconds() / 3,
    "whole weeks": lambda t: t["count"] // 7,
    "the rest of a division": lambda t: t["count"] % 3,
    "a fixed share": lambda t: fixed_share(t["count"].abs()),
    "the greatest of some": lambda t: ibis.greatest(t.amount.nullif(NAN), t["count"], 0.1),
    "the least of some": lambda t: ibis.least(t.amount.nullif(NAN), t["count"]),
    "the week begins on Monday": lambda t: t.at.truncate("W"),
    "the day of the week": lambda t: t.at.day_of_week.index(),
    "the day of a time": lambda t: t.at.date(),
    "the hour of a time": lambda t: t.at.truncate("h"),
    "seconds since 1970": lambda t: t.at.epoch_seconds().cast("float64"),
    "days between": lambda t: (t.at.date() - ibis.date(2023, 12, 1)).cast("int64"),
    "days later": lambda t: add_days(t.at.date(), t["count"] % 1000 + 60),
    "a time in text": lambda t: t.at.cast("string"),
    "the first of a list": lambda t: t.words[0],
    "the last of a list": lambda t: t.words[-1],
    "a row in text": lambda t: as_text(
        {"n": t["count"], "at": t.at, "words": t.words, "short": t.amount.nullif(NAN).cast("float32")}
        | {"money": t.money, "paid": t.money.cast("decimal(15, 4)")}
    ),
    "a comparison with null": lambda t: t.amount > t["count"],
    "the same or both null": lambda t: t["count"].identical_to(t.amount.cast("float64")),
}
SUMMARIES = {
    "a sum of nothing": lambda t: t["count"].sum(where=t["count"] > 100**9),
    "money in any order": lambda t: exact_sum(t.amount.nullif(NAN)),
    "the mean of whole numbers": lambda t: t["count"].mean(),
    "the value of the least": lambda t: t.amount.argmin(t.at),
    "how many are different": lambda t: t["count"].nunique(),
    "how many of a kind": lambda t: t.count(where=t["count"] > 2),
    "none of a kind": lambda t: t.count(where=t["count"] > 100**9),
}


@pytest.fixture(scope="module")
def answers() -> dict[str, dict[str, list]]:
    """Every expression computed at once, by engine."""
    found = {}
    for engine in engines.ENGINES:
        engines.use(engine)
        rows = ibis.memtable(ROWS.append_column("n", pa.array(range(len(ROWS)))))
        values = rows.select("n", **{name: meaning(rows) for name, meaning in MEANINGS.items()}).order_by("n")
        totals = rows.aggregate(**{name: summary(rows) for name, summary in SUMMARIES.items()})
        found[engine] = values.to_pyarrow().to_pydict() | totals.to_pyarrow().to_pydict()
    engines.use("duckdb")
    return found


@pytest.mark.parametrize("what", [*MEANINGS, *SUMMARIES])
def test_it_is_the_same_on_both(answers: dict[str, dict[str, list]], what: str):
    assert [repr(value) for value in answers["spark"][what]] == [repr(value) for value in answers["duckdb"][what]]


def test_both_say_what_the_numbers_are(answers: dict[str, dict[str, list]]):
    assert answers["spark"]["a float is rounded from its binary value"][:4] == [1.0, 2.68, 0.28, -1.0]
    assert answers["spark"]["division by zero"][:3] == [float("inf"), float("-inf"), pytest.approx(NAN, nan_ok=True)]
