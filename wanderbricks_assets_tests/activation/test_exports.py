"""Tables as files for other systems: whole, repeatable, and telling nobody's name."""

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from wanderbricks_assets.activation.exports import IDENTIFYING, check_exportable, export
from wanderbricks_assets.contracts.activation import CUSTOMER_SEGMENTS, EXPORTED
from wanderbricks_assets.contracts.contract import Column, Contract, table
from wanderbricks_assets.contracts.gold import DIM_HOST
from wanderbricks_assets.contracts.source import USERS
from wanderbricks_assets_tests.activation.market import DAY
from wanderbricks_assets_tests.marketplace import day, table_of

PLACE = f"customer_segments/date={DAY}"


def segments(*user_ids: int, **changes):
    row = {"prediction_date": DAY, "segment": "High Value", "segment_since": DAY, "churn_risk": "Low"}
    row |= {"predicted_ltv_12m": 0.1 + 0.2, "recommended_action": 'Say "hello", then wait', "ltv_version": "1"}
    return table_of(CUSTOMER_SEGMENTS, *(row | {"user_id": user_id} | changes for user_id in user_ids))


def test_both_files_hold_the_rows_in_the_columns_and_types_of_the_contract(tmp_path: Path):
    parquet, csv = export(CUSTOMER_SEGMENTS, segments(3, 1, 2, country=None), DAY, tmp_path)
    assert [file.relative_to(tmp_path) for file in (parquet, csv)] == [
        Path(PLACE) / "customer_segments.parquet",
        Path(PLACE) / "customer_segments.csv",
    ]
    found = pa.parquet.read_table(parquet, partitioning=None)
    assert found.schema.equals(CUSTOMER_SEGMENTS.arrow_schema)
    assert found["user_id"].to_pylist() == [1, 2, 3]
    types = pa.csv.ConvertOptions(
        column_types=CUSTOMER_SEGMENTS.arrow_schema, strings_can_be_null=True, quoted_strings_can_be_null=False
    )
    assert pa.csv.read_csv(csv, convert_options=types).to_pylist() == found.to_pylist()


def test_the_same_rows_give_the_same_bytes_whatever_their_order(tmp_path: Path):
    first = [file.read_bytes() for file in export(CUSTOMER_SEGMENTS, segments(3, 1, 2), DAY, tmp_path / "first")]
    again = [file.read_bytes() for file in export(CUSTOMER_SEGMENTS, segments(2, 3, 1), DAY, tmp_path / "again")]
    assert first == again


def test_a_day_is_written_over_and_other_days_are_left_alone(tmp_path: Path):
    export(CUSTOMER_SEGMENTS, segments(1), day("2024-03-09"), tmp_path)
    export(CUSTOMER_SEGMENTS, segments(1, 2), DAY, tmp_path)
    _, csv = export(CUSTOMER_SEGMENTS, segments(7), DAY, tmp_path)
    assert len(csv.read_text().splitlines()) == 2
    assert len(list(tmp_path.rglob("*"))) == 1 + 2 * 3  # two days of two files, nothing else


def test_a_day_without_rows_still_has_its_columns(tmp_path: Path):
    parquet, csv = export(CUSTOMER_SEGMENTS, segments(), DAY, tmp_path)
    assert pa.parquet.read_table(parquet, partitioning=None).schema.equals(CUSTOMER_SEGMENTS.arrow_schema)
    assert csv.read_text().strip().replace('"', "").split(",") == list(CUSTOMER_SEGMENTS.schema.names)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    _, csv = export(CUSTOMER_SEGMENTS, segments(1), DAY, tmp_path)
    before = csv.read_bytes()

    def fail_midway(rows: pa.Table, file: Path) -> None:
        file.write_text("half of a li")
        raise OSError("No space left on device")

    monkeypatch.setattr(pa.csv, "write_csv", fail_midway)
    with pytest.raises(OSError, match="No space left"):
        export(CUSTOMER_SEGMENTS, segments(2), DAY, tmp_path)
    assert csv.read_bytes() == before
    assert sorted(file.suffix for file in csv.parent.iterdir()) == [".csv", ".parquet"]


@pytest.mark.parametrize("contract", EXPORTED, ids=lambda contract: contract.name)
def test_no_exported_table_has_a_column_that_tells_who_a_person_is(contract: Contract):
    check_exportable(contract)
    assert IDENTIFYING.isdisjoint(contract.schema.names)


def test_what_tells_who_a_guest_is_is_marked_in_the_source():
    assert {column.name for column in USERS.columns if column.identifies} == {"email", "name", "company_name"}


@pytest.mark.parametrize("column", [Column("email", "string"), Column("alias", "string", identifies=True)])
def test_a_table_with_such_a_column_is_refused_and_nothing_is_written(column: Column, tmp_path: Path):
    contract = table("letters", "", Column("user_id", "int64"), column, key="user_id")
    with pytest.raises(ValueError, match=f"letters is not exported: {column.name} would tell who a person is"):
        export(contract, table_of(contract, {"user_id": 1}), date(2024, 3, 10), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_hosts_of_the_lake_are_refused():
    with pytest.raises(ValueError, match="dim_host is not exported: name"):
        check_exportable(DIM_HOST)
