"""What the contracts say a table must be, counted in the rows of some partitions by one query per table.

Two questions, as two people ask them. Does it keep its contract (keys, references, nulls, ranges, schema): rows that do
not would poison what is made of them. Did it arrive as usual (volume, freshness): what does not smells of a fault, and
may be a holiday.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from wanderbricks_assets.contracts.contract import Contract
from wanderbricks_assets.lazy import Table, ibis, np, pd
from wanderbricks_assets.window import Window

SAME_WEEKDAYS = 8
FEWEST_WEEKDAYS = 4  # half of them, or a median says nothing
LOOK_BACK = timedelta(weeks=SAME_WEEKDAYS)
# How often these tell of a day: docs/decisions.md. A table that stops, or comes twice, is far outside.
TOLERATED_SHARE = 0.5
TOLERATED_NOISE = 4.0  # deviations, of a Poisson count or as those weekdays had: keeps small and bursty tables quiet


def broken_rules(
    contract: Contract,
    rows: Table,
    known: Mapping[str, Table],
    unit: str | None = None,
    window: Window | None = None,
) -> dict[str | None, tuple[int, dict[str, int]]]:
    """Per partition the number of rows and, by rule, how many break it; rules that nothing breaks are left out.

    rows: a window of the table. known: the tables that references point into; others are not looked at. unit: 'D' or
    'h', the length of a partition; without one everything is under None.
    """
    flags = _rules(contract, rows, known)
    partition = _partition(contract, rows, unit, None) if unit else ibis.null("timestamp")
    flagged = rows.select(
        *contract.key, _partition=partition, **{f"_{i}": flag for i, flag in enumerate(flags.values())}
    )
    sums = {f"_{i}": flagged[f"_{i}"].sum().fill_null(0) for i in range(len(flags))}
    # Within a day its date says nothing; comparing one number, not several, halves the time.
    is_whole_day = unit == "D" and contract.schema[contract.time_column].is_date()
    key = [flagged[name] for name in contract.key if not (is_whole_day and name == contract.time_column)]
    whole_key = key[0] if len(key) == 1 else ibis.struct({value.get_name(): value for value in key})
    repeated = whole_key.count() - whole_key.nunique()
    counted = flagged.group_by("_partition").agg(rows=flagged.count(), repeated=repeated, **sums).to_pandas()
    if window and window.opens:  # only now, as the first of all holds many days, in which a key may come again
        first = counted["_partition"].clip(lower=pd.Timestamp(window.start))
        counted = counted.groupby(first).sum(numeric_only=True).reset_index()
    found = {}
    for name, row in zip(partition_names(counted["_partition"], unit), counted.to_dict("records"), strict=True):
        broken = {rule: int(row[f"_{i}"]) for i, rule in enumerate(flags) if row[f"_{i}"] > 0}
        if row["repeated"]:
            broken[f"{' '.join(contract.key)} repeated"] = int(row["repeated"])
        found[name] = (int(row["rows"]), broken)
    return found


def different_columns(found: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    """How columns and types differ from those wanted, one sentence each."""
    return [
        *(f"{name} has vanished" for name in wanted if name not in found),
        *(f"{name} is new" for name in found if name not in wanted),
        *(
            f"{name} is {found[name]}, not {wanted[name]}"
            for name in wanted
            if name in found and found[name] != wanted[name]
        ),
    ]


def counts(contract: Contract, rows: Table, unit: str, window: Window) -> pd.Series:
    """[partitions that have rows] their number of rows, by the partition's name."""
    counted = partitioned(contract, rows, unit, window).group_by("_partition").agg(rows=ibis._.count()).to_pandas()
    return pd.Series(counted["rows"].to_numpy(), partition_names(counted["_partition"], unit)).sort_index()


def partitioned(contract: Contract, rows: Table, unit: str, window: Window | None) -> Table:
    """The rows with `_partition`, the start of the one they lie in; the first of all also holds what came before it."""
    return rows.mutate(_partition=_partition(contract, rows, unit, window))


def partition_names(starts: pd.Series, unit: str | None) -> list[str | None]:
    """The names of the partitions that start then; None without a unit."""
    return list(pd.to_datetime(starts).dt.strftime(_FORMATS[unit])) if unit else [None] * len(starts)


def usual(counts: pd.Series, keys: Sequence[str], unit: str) -> pd.DataFrame:
    """Per partition of `keys` its rows; the median of the same weekday (and hour) in the eight weeks before, with the
    least and most rows that pass; and how many partitions long nothing had come at its end (`silence`), with the
    longest that passes: one more than any in the eight weeks before.

    counts: rows by partition, from eight weeks before the first key on, as far as the table goes back. A median of
    fewer than four weekdays is NaN, and so is a silence before anything ever came.
    """
    times = pd.to_datetime(pd.Index(keys), format=_FORMATS[unit])
    seen = pd.Series(counts.to_numpy(float), index=pd.to_datetime(counts.index, format=_FORMATS[unit])).sort_index()
    begin = seen.index[0] if len(seen) else times[0]
    series = seen.reindex(pd.date_range(min(begin, times[0]), times[-1], freq=unit), fill_value=0.0)
    series[series.index < begin] = np.nan
    before = pd.concat([series.shift(freq=timedelta(weeks=week)) for week in range(1, SAME_WEEKDAYS + 1)], axis=1)
    before = before.reindex(times)
    median = before.median(axis=1).where(before.notna().sum(axis=1) >= FEWEST_WEEKDAYS)
    spread = 1.4826 * before.sub(median, axis=0).abs().median(axis=1)  # of a normal distribution its deviation
    slack = np.maximum(TOLERATED_SHARE * median, TOLERATED_NOISE * np.maximum(np.sqrt(median), spread))
    position = np.arange(len(series))
    came = pd.Series(np.where(series > 0, position, np.nan), index=series.index).ffill()
    silence = pd.Series(position, index=series.index) - came
    span = int(LOOK_BACK / pd.Timedelta(1, unit))
    ended = silence.shift(1).where(series > 0, 0.0)  # silences that something ended; the present one is not a measure
    longest = ended.rolling(span, min_periods=1).max()
    return pd.DataFrame(
        {
            "rows": series.reindex(times).fillna(0.0).to_numpy(),
            "median": median.to_numpy(),
            "least": (median - slack).clip(lower=0).to_numpy(),
            "most": (median + slack).to_numpy(),
            "silence": silence.reindex(times).to_numpy(),
            "longest": longest.reindex(times).to_numpy() + 1,
        },
        index=pd.Index(keys),
    )


_FORMATS = {"D": "%Y-%m-%d", "h": "%Y-%m-%d-%H:%M"}  # Dagster's names of days and hours


def _partition(contract: Contract, rows: Table, unit: str, window: Window | None) -> ibis.ir.TimestampValue:
    time = rows[contract.time_column].cast("timestamp")
    if window is not None and window.opens:
        time = ibis.greatest(time, ibis.literal(window.start))
    return time.truncate(unit)


def _rules(contract: Contract, rows: Table, known: Mapping[str, Table]) -> dict[str, ibis.ir.BooleanValue]:
    rules = {}
    for column in contract.columns:
        value = rows[column.name]
        if not column.nullable:
            rules[f"{column.name} is null"] = value.isnull()
        if column.minimum is not None:
            rules[f"{column.name} below {column.minimum:g}"] = value < column.minimum
        if column.maximum is not None:
            rules[f"{column.name} above {column.maximum:g}"] = value > column.maximum
        if column.allowed:
            rules[f"{column.name} is none of {', '.join(column.allowed)}"] = value.notin(column.allowed)
        table, _, key = (column.references or "").partition(".")
        if table in known:
            rules[f"{column.name} is not in {table}"] = value.notnull() & value.notin(known[table][key])
    return rules
