"""JSON bodies as columns, held to a model's MLflow signature, and columns as JSON.

MLflow's own way builds a frame, casts it column by column and checks it again, in 10 ms or more for 40 columns; here
every column becomes an array of its type at once, and there is no frame, whose making costs a row more than all else.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json, to_json

from wanderbricks_assets.lazy import NestedColumns, np
from wanderbricks_assets.serving.errors import bad_request

if TYPE_CHECKING:
    from wanderbricks_assets.models.versions import Input

_FORMATS = ("dataframe_records", "dataframe_split")
_KINDS: dict[str, set[type]] = {  # the Python types of JSON that a column of an MLflow type may hold
    "double": {float, int, type(None)},
    "long": {int},
    "integer": {int},
    "boolean": {bool},
    "string": {str, type(None)},
    "datetime": {str},
}
_SPOKEN = {
    "double": "numbers or null",
    "long": "whole numbers",
    "integer": "whole numbers",
    "boolean": "true or false",
    "string": "text or null",
    "datetime": "times such as 2026-01-31T00:00:00",
}
_ARRAYS = {"double": "float64", "long": "int64", "integer": "int32", "boolean": "bool", "string": "object"}
_EARLIEST, _LATEST = datetime(1900, 1, 1), datetime(2200, 1, 1)  # noqa: DTZ001 (all times here are naive UTC)


def read_columns(body: bytes, inputs: Sequence[Input], most_rows: int) -> dict[str, np.ndarray]:
    """The rows of a body with `dataframe_records` or `dataframe_split`, in the columns and types of a signature.

    Columns that the signature does not name are left out, and those it names as optional may be missing, as in MLflow.
    Raises ApiError (400) with a sentence that names the column otherwise.
    """
    try:
        parsed = from_json(body, cache_strings="keys")
    except ValueError as error:
        raise bad_request(f"The body is not JSON: {error}") from error
    given = [name for name in _FORMATS if isinstance(parsed, dict) and parsed.get(name) is not None]
    if len(given) != 1:
        raise bad_request(f"The body must be an object with one of {' and '.join(_FORMATS)}; it has {given or 'none'}.")
    names, count, values = (_records if given == ["dataframe_records"] else _split)(parsed[given[0]], most_rows)
    missing = [name for name, _, required in inputs if required and name not in names]
    if missing:
        raise bad_request(f"Model is missing inputs {missing}.")
    return {name: _array(name, kind, values(name) if name in names else [None] * count) for name, kind, _ in inputs}


def _records(rows: object, most_rows: int):
    if not isinstance(rows, list) or not rows or set(map(type, rows)) != {dict}:
        raise bad_request("dataframe_records must be a list of one or more objects, one for each row.")
    _check_count(len(rows), most_rows)
    names = set(rows[0]) if len(rows) == 1 else set().union(*rows)
    return names, len(rows), lambda name: [row.get(name) for row in rows]


def _split(frame: object, most_rows: int):
    if not isinstance(frame, dict) or set(frame) - {"index", "columns", "data"}:
        raise bad_request("dataframe_split must be an object with columns, data and, if you like, index.")
    names, rows = frame.get("columns"), frame.get("data")
    if not isinstance(names, list) or set(map(type, names)) - {str} or len(set(names)) < len(names):
        raise bad_request("dataframe_split must name its columns, each once.")
    if not isinstance(rows, list) or not rows or set(map(type, rows)) != {list}:
        raise bad_request("The data of dataframe_split must be a list of one or more lists, one for each row.")
    _check_count(len(rows), most_rows)
    if set(map(len, rows)) != {len(names)}:
        raise bad_request(f"Every row of dataframe_split must have as many values as there are columns, {len(names)}.")
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    return columns.keys(), len(rows), columns.__getitem__


def _check_count(rows: int, most: int) -> None:
    if rows > most:
        raise bad_request(f"{rows:,} rows are more than the {most:,} that one request may have; send them in parts.")


def _array(name: str, kind: str, values: Sequence[Any]) -> np.ndarray:
    """[rows] the values of a column as an array of its MLflow type."""
    types = set(map(type, values))
    if not types <= _KINDS[kind]:
        wrong = next(value for value in values if type(value) not in _KINDS[kind])
        raise bad_request(f"Column '{name}' must hold {_SPOKEN[kind]} ({kind}), and holds {to_json(wrong).decode()}.")
    if kind == "datetime":
        return _times(name, values)
    try:
        array = np.array(values, _ARRAYS[kind])
    except OverflowError as error:
        raise bad_request(f"Column '{name}' holds a number that does not fit its type, {kind}.") from error
    if kind == "double" and np.isinf(array).any():
        raise bad_request(f"Column '{name}' holds a number that is not finite.")
    return array


def _times(name: str, values: Sequence[str]) -> np.ndarray:
    """[rows] datetime64[ns]. NumPy would also read "now", and turn years beyond its range into others."""
    try:
        if not all(value[:1].isdigit() and value.isascii() for value in values):
            raise ValueError
        times = np.array([value.removesuffix("Z") for value in values], "datetime64[us]")
        if not ((times >= np.datetime64(_EARLIEST)) & (times < np.datetime64(_LATEST))).all():
            raise ValueError
    except ValueError as error:
        raise bad_request(
            f"Column '{name}' must hold {_SPOKEN['datetime']} (datetime, UTC, of the years 1900 to 2199)."
        ) from error
    return times.astype("datetime64[ns]")


def as_json(columns: NestedColumns) -> bytes:
    """The body of an answer, {"predictions": [one object for each row]}; what is not finite is null."""
    names = list(columns)
    rows = [dict(zip(names, row, strict=True)) for row in zip(*map(_plain, columns.values()), strict=True)]
    return to_json({"predictions": rows}, inf_nan_mode="null")


def _plain(values: np.ndarray | Sequence) -> list:
    if isinstance(values, list):
        return values
    array = np.asarray(values)
    return (np.datetime_as_string(array, "s") if array.dtype.kind == "M" else array).tolist()
