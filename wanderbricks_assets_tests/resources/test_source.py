"""The source: a folder of files, read in the columns and types of its contract, and never written."""

from decimal import Decimal
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wanderbricks_assets.contracts.source import SOURCE
from wanderbricks_assets.gold.cleaning import REASON, judged
from wanderbricks_assets.resources.source import FilesSource, SourceError, SourceIOManager
from wanderbricks_assets.resources.tables import tables_until
from wanderbricks_assets.window import Window
from wanderbricks_assets_tests.marketplace import arrow_of, at, booking, day, review, view

NAN = float("nan")


def source_of(folder: Path) -> FilesSource:
    return FilesSource(folder=str(folder))


def write_views(file: Path, *rows: dict) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(arrow_of(SOURCE["page_views"], rows), file)


def view_ids(source: FilesSource, *days: str, opens: bool = False) -> list[int]:
    window = Window.of_days(day(days[0]), day(days[-1]), opens) if days else None
    return sorted(source.read("page_views", window).view_id.to_pyarrow().to_pylist())


def test_a_parquet_file_is_read_in_the_types_of_the_contract(tmp_path: Path):
    rows = arrow_of(SOURCE["bookings"], [booking(1, total_amount=99.5), booking(2)])
    wider = rows.set_column(0, "booking_id", rows["booking_id"].cast(pa.int32())).append_column("more", [["x", "y"]])
    pq.write_table(wider, tmp_path / "bookings.parquet")
    found = source_of(tmp_path).read("bookings").order_by("booking_id")
    assert found.schema() == SOURCE["bookings"].schema
    assert found.total_amount.to_pyarrow().to_pylist() == [99.5, 300.0]


def test_a_csv_file_is_read_in_the_types_of_the_contract(tmp_path: Path):
    (tmp_path / "bookings.csv").write_text(
        "booking_id,user_id,property_id,check_in,check_out,guests_count,total_amount,status,created_at,updated_at\n"
        "5,7,1,2024-01-10,2024-01-13,2,312.5,confirmed,2024-01-02 10:11:12.5,2024-01-03 00:00:00\n"
        "6,7,1,2024-01-11,2024-01-13,,0,pending,2024-01-03 00:00:00,2024-01-03 00:00:00\n"
    )
    source = source_of(tmp_path)
    found = source.read("bookings")
    assert found.schema() == SOURCE["bookings"].schema
    first, second = found.order_by("booking_id").to_pyarrow().to_pylist()
    assert (first["booking_id"], first["check_in"], first["total_amount"]) == (5, day("2024-01-10"), 312.5)
    assert first["created_at"] == at("2024-01-02 10:11:12.500000")
    assert second["guests_count"] is None
    of_a_day = source.read("bookings", Window.of_days(day("2024-01-03"), day("2024-01-03")))
    assert of_a_day.booking_id.to_pyarrow().to_pylist() == [6]


def test_daily_folders_are_read_together_whatever_the_number_of_their_files(tmp_path: Path):
    write_views(tmp_path / "page_views/date=2024-01-01/part-0.parquet", view(1, "2024-01-01 10:00"))
    write_views(tmp_path / "page_views/date=2024-01-02/part-0.parquet", view(2, "2024-01-02 10:00"))
    write_views(tmp_path / "page_views/date=2024-01-02/part-1.parquet", view(3, "2024-01-02 11:00"))
    source = source_of(tmp_path)
    assert source.read("page_views").schema() == SOURCE["page_views"].schema
    assert view_ids(source) == [1, 2, 3]
    assert view_ids(source, "2024-01-02") == [2, 3]


def test_only_the_day_folders_of_the_window_are_read(tmp_path: Path):
    write_views(tmp_path / "page_views/date=2024-01-02/part-0.parquet", view(2, "2024-01-02 10:00"))
    for other in ("2024-01-01", "2024-01-03"):
        file = tmp_path / f"page_views/date={other}/part-0.parquet"
        file.parent.mkdir(parents=True)
        file.write_bytes(b"not Parquet")
    source = source_of(tmp_path)
    assert view_ids(source, "2024-01-02") == [2]
    hour = Window(at("2024-01-02 10:00"), at("2024-01-02 11:00"))
    assert source.read("page_views", hour).view_id.to_pyarrow().to_pylist() == [2]
    with pytest.raises(Exception, match=r"2024-01-01/part-0\.parquet"):
        view_ids(source, "2024-01-01", "2024-01-02")


def test_the_window_that_opens_reads_what_came_before_it(tmp_path: Path):
    write_views(tmp_path / "page_views/date=2023-12-30/part-0.parquet", view(1, "2023-12-30 10:00"))
    write_views(tmp_path / "page_views/date=2024-01-01/part-0.parquet", view(2, "2024-01-01 10:00"))
    source = source_of(tmp_path)
    assert view_ids(source, "2024-01-01") == [2]
    assert view_ids(source, "2024-01-01", opens=True) == [1, 2]


def test_a_window_of_a_required_table_without_files_of_those_days_is_empty(tmp_path: Path):
    file = tmp_path / "bookings/date=2024-01-02/part-0.parquet"
    file.parent.mkdir(parents=True)
    pq.write_table(arrow_of(SOURCE["bookings"], [booking(1)]), file)
    quiet = source_of(tmp_path).read("bookings", Window.of_days(day("2024-01-05"), day("2024-01-05")))
    assert quiet.schema() == SOURCE["bookings"].schema
    assert quiet.count().to_pyarrow().as_py() == 0


def test_an_optional_table_that_is_missing_is_empty_with_its_columns(tmp_path: Path):
    optional = [contract for contract in SOURCE.values() if not contract.required]
    assert len(optional) == 13
    for contract in optional:
        rows = source_of(tmp_path).read(contract.name)
        assert rows.columns == tuple(contract.schema.names)
        assert rows.count().to_pyarrow().as_py() == 0


@pytest.mark.parametrize("name", ["users", "properties", "destinations", "bookings"])
def test_a_required_table_that_is_missing_is_an_error_that_says_what_to_do(tmp_path: Path, name: str):
    with pytest.raises(SourceError) as error:
        source_of(tmp_path).read(name)
    assert str(error.value) == (
        f"{tmp_path}: no {name}.parquet, {name}.csv or {name}/date=*/*.parquet; {name} is required "
        "(`wanderbricks simulate` makes a whole marketplace)"
    )


def test_a_missing_column_is_an_error_that_names_the_file_the_column_and_what_was_found(tmp_path: Path):
    (tmp_path / "countries.csv").write_text("country,code,continent\nPortugal,PT,Europe\n")
    with pytest.raises(SourceError) as error:
        source_of(tmp_path).read("countries")
    assert str(error.value) == (
        f"{tmp_path}/countries.csv: column 'country_code' is missing (found: country, code, continent); "
        "see docs/data-dictionary.md"
    )


def test_a_type_that_does_not_fit_is_an_error_that_names_file_column_and_type(tmp_path: Path):
    rows = arrow_of(SOURCE["bookings"], [booking(1)])
    check_in = rows.schema.get_field_index("check_in")
    wrong = rows.set_column(check_in, "check_in", pa.array([[day("2024-01-10")]]))
    pq.write_table(wrong, tmp_path / "bookings.parquet")
    with pytest.raises(SourceError) as error:
        source_of(tmp_path).read("bookings")
    assert str(error.value) == (
        f"{tmp_path}/bookings.parquet: column 'check_in' is array<date>, not date; see docs/data-dictionary.md"
    )


def test_text_that_is_no_number_is_an_error_and_never_a_null(tmp_path: Path):
    (tmp_path / "bookings.csv").write_text(
        "booking_id,user_id,property_id,check_in,check_out,guests_count,total_amount,status,created_at,updated_at\n"
        "5,7,1,2024-01-10,2024-01-13,two,312.5,confirmed,2024-01-02 10:11:12,2024-01-03 00:00:00\n"
    )
    with pytest.raises(SourceError, match=r"bookings\.csv: column 'guests_count' holds \['two'\], not int32"):
        source_of(tmp_path).read("bookings")


def test_a_csv_file_with_nothing_but_its_header_is_empty(tmp_path: Path):
    (tmp_path / "countries.csv").write_text("country,country_code,continent\n")
    (tmp_path / "payments.csv").write_text(",".join(SOURCE["payments"].schema.names) + "\n")
    for name in ("countries", "payments"):
        rows = source_of(tmp_path).read(name)
        assert rows.schema() == SOURCE[name].schema
        assert rows.count().to_pyarrow().as_py() == 0


def test_the_whole_numbers_and_days_of_a_csv_fit_fractions_booleans_and_moments(tmp_path: Path):
    (tmp_path / "users.csv").write_text(
        "user_id,email,name,country,user_type,created_at,is_business,company_name\n"
        "7,,,Portugal,individual,2023-05-01,0,\n"
        "8,,,Portugal,business,2023-05-02,1,12\n"
    )
    found = source_of(tmp_path).read("users").order_by("user_id").to_pyarrow().to_pylist()
    assert [row["is_business"] for row in found] == [False, True]
    assert found[1]["created_at"] == at("2023-05-02 00:00")
    assert found[1]["company_name"] == "12"


def test_the_source_is_never_written(tmp_path: Path):
    manager = SourceIOManager(source=source_of(tmp_path))
    context = dg.build_output_context(asset_key=dg.AssetKey("bookings"))
    with pytest.raises(NotImplementedError, match="bookings belongs to the marketplace and is never written"):
        manager.handle_output(context, object())
    assert list(tmp_path.iterdir()) == []


def test_the_source_is_loaded_for_the_window_of_the_input(tmp_path: Path):
    for text, key in (("2024-01-01", 1), ("2024-01-02", 2)):
        write_views(tmp_path / f"page_views/date={text}/part-0.parquet", view(key, f"{text} 10:00"))
    context = dg.build_input_context(
        asset_key=dg.AssetKey("page_views"),
        asset_partitions_def=dg.DailyPartitionsDefinition("2023-01-01"),
        asset_partition_key_range=dg.PartitionKeyRange("2024-01-02", "2024-01-02"),
    )
    rows = SourceIOManager(source=source_of(tmp_path)).load_input(context)
    assert rows.view_id.to_pyarrow().to_pylist() == [2]


def test_tables_until_a_moment_hold_only_what_came_before_it(tmp_path: Path):
    from wanderbricks_assets.resources.lake import Lake

    write_views(
        tmp_path / "page_views/date=2024-01-01/part-0.parquet",
        view(1, "2024-01-01 09:59:59"),
        view(2, "2024-01-01 10:00"),
    )
    names = ("page_views", "users", "property_features", "dim_host")
    pq.write_table(arrow_of(SOURCE["users"], []), tmp_path / "users.parquet")
    lake = Lake(folder=str(tmp_path / "lake"))
    tables = tables_until(names, lake, source_of(tmp_path), at("2024-01-01 10:00"))
    assert list(tables) == list(names)
    assert tables["page_views"].view_id.to_pyarrow().to_pylist() == [1]


def test_tables_that_are_read_some_years_back_begin_with_the_month(tmp_path: Path):
    from wanderbricks_assets.resources.lake import Lake

    moments = ("2023-12-31 23:59", "2024-01-01", "2026-12-30", "2026-12-31")
    for number, moment in enumerate(moments):
        write_views(tmp_path / f"page_views/date={moment[:10]}/part-0.parquet", view(number, moment))
    given = (("page_views",), Lake(folder=str(tmp_path / "lake")), source_of(tmp_path))
    found = [
        tables_until(*given, at(moment), years)["page_views"].view_id.to_pyarrow().to_pylist()
        for moment in ("2027-01-01", "2026-12-31")
        for years in ({"page_views": 3}, {"page_views": 2}, {"bookings": 1})
    ]
    assert [sorted(ids) for ids in found] == [[1, 2, 3], [2, 3], [0, 1, 2, 3], [0, 1, 2], [2], [0, 1, 2]]


def test_the_newest_event_is_looked_for_in_the_last_folder_that_has_one(tmp_path: Path):
    source = source_of(tmp_path)
    write_views(tmp_path / "page_views/date=2024-01-01/part-0.parquet", view(1, "2024-01-01 10:00"))
    write_views(tmp_path / "page_views/date=2024-01-02/part-0.parquet", view(2, "2024-01-02 09:00"))
    write_views(tmp_path / "page_views/date=2024-01-02/part-1.parquet", view(3, "2024-01-02 12:00"))
    assert source.newest("page_views") == at("2024-01-02 12:00")
    write_views(tmp_path / "page_views/date=2024-01-03/part-0.parquet", view(4, "2024-01-03") | {"timestamp": None})
    assert source.newest("page_views") == at("2024-01-02 12:00")


def test_the_newest_event_of_one_file_is_that_of_all_and_of_no_file_none(tmp_path: Path):
    assert source_of(tmp_path).newest("page_views") is None
    write_views(tmp_path / "page_views.parquet", view(1, "2024-01-03"), view(2, "2024-01-01"))
    assert source_of(tmp_path).newest("page_views") == at("2024-01-03")


def test_a_file_that_is_no_parquet_is_named_without_the_engine_s_own_query(tmp_path):
    (tmp_path / "users.parquet").touch()
    with pytest.raises(SourceError, match=r"users\.parquet cannot be read: [^\n]+$"):
        FilesSource(folder=str(tmp_path)).read("users")


PLACE = SOURCE["page_views"].schema.names.index("property_id")
LATER_FILES = {
    "lacks a column": (
        lambda rows: rows.drop_columns("property_id"),
        r"column 'property_id' is missing \(found: view_id, user_id, page_url, ",
    ),
    "has text that is no number": (
        lambda rows: rows.set_column(PLACE, "property_id", [["two"]]),
        r"column 'property_id' holds \['two'\], not int64",
    ),
    "has a list": (
        lambda rows: rows.set_column(PLACE, "property_id", [[[1]]]),
        "column 'property_id' is array<int64>, not int64",
    ),
}


@pytest.mark.parametrize("what", LATER_FILES)
def test_a_later_file_that_does_not_fit_is_named_with_what_was_found_in_it(engine: str, tmp_path: Path, what: str):
    change, message = LATER_FILES[what]
    write_views(tmp_path / "page_views/date=2024-01-01/part-0.parquet", view(1, "2024-01-01"))
    second = tmp_path / "page_views/date=2024-01-02/part-0.parquet"
    second.parent.mkdir()
    pq.write_table(change(arrow_of(SOURCE["page_views"], [view(2, "2024-01-02")])), second)
    with pytest.raises(SourceError, match=rf"/date=2024-01-02/part-0\.parquet: {message}"):
        source_of(tmp_path).read("page_views")


def test_of_files_with_text_for_numbers_the_one_at_fault_is_named(tmp_path: Path):
    rows = arrow_of(SOURCE["page_views"], [view(1, "2024-01-01")])
    for number, text in enumerate(("1", "two", "3"), 1):
        file = tmp_path / f"page_views/date=2024-01-0{number}/part-0.parquet"
        file.parent.mkdir(parents=True)
        pq.write_table(rows.set_column(PLACE, "property_id", [[text]]), file)
    with pytest.raises(SourceError, match=r"/date=2024-01-02/part-0\.parquet: column 'property_id' holds \['two'\]"):
        source_of(tmp_path).read("page_views")


def test_files_that_say_the_same_in_other_types_are_read_together(engine: str, tmp_path: Path):
    written = arrow_of(SOURCE["page_views"], [view(1, "2024-01-01")])
    for number, values in enumerate((pa.array([1]), pa.array([1], pa.int32()), pa.array([NAN]), pa.array(["1"])), 1):
        file = tmp_path / f"page_views/date=2024-01-0{number}/part-0.parquet"
        file.parent.mkdir(parents=True)
        write_with(file, written, {"view_id": pa.array([number]), "user_id": values})
    found = source_of(tmp_path).read("page_views").order_by("view_id").to_pyarrow()
    assert found["user_id"].to_pylist() == [1, 1, None, 1]
    window = Window.of_days(day("2024-01-01"), day("2024-01-04"))
    assert source_of(tmp_path).undated("page_views", window).count().to_pyarrow().as_py() == 0


def write_with(file: Path, rows: pa.Table, columns: dict[str, pa.Array]) -> None:
    for name, values in columns.items():
        rows = rows.set_column(rows.schema.get_field_index(name), name, values)
    pq.write_table(rows, file)


@pytest.mark.parametrize("type_", [pa.float64(), pa.float32()], ids=str)
def test_numbers_that_no_column_can_hold_are_quarantined_and_stop_nothing(
    engine: str, tmp_path: Path, type_: pa.DataType
):
    rows = arrow_of(SOURCE["bookings"], [booking(number, "2024-01-01") for number in range(1, 7)])
    amounts = pa.array([5.0, NAN, float("inf"), 1e300, -1e300, 5.0], type_)
    guests = pa.array([2, 2, 2, 2, 2, 2.0**40], type_)
    write_with(tmp_path / "bookings.parquet", rows, {"total_amount": amounts, "guests_count": guests})
    found = judged("bookings", source_of(tmp_path).read("bookings")).order_by("booking_id").to_pyarrow()
    reasons = [None, "is null", *["above 1e+09"] * 2, "below 0"]
    expected = [reason and f"total_amount {reason}" for reason in reasons]
    assert found[REASON].to_pylist() == [*expected, "guests_count above 10000"]


@pytest.mark.parametrize("type_", [pa.float64(), pa.float32()], ids=str)
def test_nan_among_ordinary_numbers_is_no_number(engine: str, tmp_path: Path, type_: pa.DataType):
    """The file's statistics do not tell of it, so that a comparison may never see it."""
    rows = arrow_of(SOURCE["bookings"], [booking(number, "2024-01-01") for number in range(1, 4)])
    amounts, guests = pa.array([5.0, NAN, 6.0], type_), pa.array([2, 3, NAN], type_)
    write_with(tmp_path / "bookings.parquet", rows, {"total_amount": amounts, "guests_count": guests})
    found = judged("bookings", source_of(tmp_path).read("bookings")).order_by("booking_id").to_pyarrow()
    assert found[REASON].to_pylist() == [None, "total_amount is null", None]
    assert found["guests_count"].to_pylist() == [2, 3, None]


@pytest.mark.parametrize("type_", [pa.float64(), pa.float32()], ids=str)
def test_an_id_that_is_nan_or_beyond_its_type_is_none(engine: str, tmp_path: Path, type_: pa.DataType):
    rows = arrow_of(SOURCE["page_views"], [view(number, "2024-01-01") for number in range(5)])
    views, users = pa.array([0, 1, 2, NAN, 1e30], type_), pa.array([7, NAN, -1e30, 7, 7], type_)
    write_with(tmp_path / "page_views.parquet", rows, {"view_id": views, "user_id": users})
    found = judged("page_views", source_of(tmp_path).read("page_views")).to_pyarrow()
    assert set(zip(*(found[name].to_pylist() for name in ("view_id", "user_id", REASON)), strict=True)) == {
        (0, 7, None),
        (1, None, None),  # an anonymous view
        (2, None, None),
        (None, 7, "view_id is null"),
    }


@pytest.mark.parametrize(
    "columns",
    [{"text": ["a" * 50_000_000 + end for end in "abcdef"]}, dict.fromkeys("abcdef", pa.repeat(1, 50_000_000))],
    ids=["long texts", "many rows"],
)
def test_a_small_file_that_unpacks_to_much_is_refused_before_it_is_read(tmp_path: Path, columns: dict):
    pq.write_table(pa.table(columns), tmp_path / "users.parquet", compression="zstd")
    with pytest.raises(SourceError, match=r"users\.parquet: [\d,]+ bytes that unpack to [\d,]+, more than 100 times"):
        source_of(tmp_path).read("users")


def test_a_name_that_would_be_a_pattern_is_refused_and_one_with_quotes_is_read(tmp_path: Path):
    write_views(tmp_path / "page_views/date=2024-01-01/'; DROP TABLE page_views; --.parquet", view(1, "2024-01-01"))
    write_views(tmp_path / "page_views/date=2024-01-01/other.parquet", view(2, "2024-01-01"))
    assert view_ids(source_of(tmp_path)) == [1, 2]
    write_views(tmp_path / "page_views/date=2024-01-01/*.parquet", view(3, "2024-01-01"))
    with pytest.raises(SourceError, match=r"/\*\.parquet: a name with '\*' is read as a pattern"):
        view_ids(source_of(tmp_path))


def test_a_folder_that_would_be_a_pattern_is_refused(tmp_path: Path):
    write_views(tmp_path / "page_views/date=2024-01-01/a.parquet", view(1, "2024-01-01"))
    write_views(tmp_path / "page_views/date=2024-01-0*/a.parquet", view(2, "2024-01-01"))
    with pytest.raises(SourceError, match="is read as a pattern"):
        view_ids(source_of(tmp_path))


def test_a_file_that_was_replaced_is_looked_at_again(tmp_path: Path):
    pq.write_table(arrow_of(SOURCE["page_views"], [view(1, "2024-01-01")]), tmp_path / "page_views.parquet")
    assert view_ids(source_of(tmp_path)) == [1]
    pq.write_table(pa.table(dict.fromkeys("abcdef", pa.repeat(1, 50_000_000))), tmp_path / "page_views.parquet")
    with pytest.raises(SourceError, match="bytes that unpack to"):
        source_of(tmp_path).read("page_views")


def test_an_error_shows_the_beginning_of_a_long_text_only(tmp_path: Path):
    names = SOURCE["users"].schema.names
    (tmp_path / "users.csv").write_text(f"{','.join(names)}\n{'x' * 1_000_000}{',' * (len(names) - 1)}\n")
    with pytest.raises(SourceError, match="column 'user_id' holds") as error:
        source_of(tmp_path).read("users")
    assert len(str(error.value)) < 1000


def test_a_missing_value_that_is_told_as_nan_is_missing_whatever_the_column(engine: str, tmp_path: Path):
    rows = arrow_of(SOURCE["reviews"], [review(1, "2024-01-01", 5.0)])
    write_with(tmp_path / "reviews.parquet", rows, {"is_deleted": pa.array([NAN]), "comment": pa.array([NAN])})
    [found] = source_of(tmp_path).read("reviews").to_pyarrow().to_pylist()
    assert (found["is_deleted"], found["comment"]) == (None, None)


@pytest.mark.parametrize("odd", [pa.array([7.6]), pa.array([Decimal("7.6")]), pa.array([Decimal(10**37)])])
def test_an_id_that_is_no_whole_number_or_too_long_is_none_and_not_another_one(
    engine: str, tmp_path: Path, odd: pa.Array
):
    written = arrow_of(SOURCE["page_views"], [view(1, "2024-01-01")])
    write_with(tmp_path / "page_views.parquet", written, {"user_id": odd})
    [found] = source_of(tmp_path).read("page_views").to_pyarrow()["user_id"].to_pylist()
    assert found is None


def test_text_is_an_id_where_it_is_a_whole_number_however_long(tmp_path: Path):
    texts = ["7", "7.0", "7.6", str(2**60 + 1)]
    rows = arrow_of(SOURCE["page_views"], [view(number, "2024-01-01") for number in range(len(texts))])
    write_with(tmp_path / "page_views.parquet", rows, {"user_id": pa.array(texts)})
    found = source_of(tmp_path).read("page_views").order_by("view_id").to_pyarrow()["user_id"].to_pylist()
    assert found == [7, 7, None, 2**60 + 1]


def test_a_struct_that_has_none_of_the_fields_is_named(tmp_path: Path):
    rows = arrow_of(SOURCE["clickstream"], [{"event": "click", "timestamp": at("2024-01-01")}])
    write_with(tmp_path / "clickstream.parquet", rows, {"metadata": pa.array([{"other": 1}])})
    with pytest.raises(
        SourceError, match=r"clickstream\.parquet: column 'metadata' is struct<other: int64>, not struct"
    ):
        source_of(tmp_path).read("clickstream")


def test_the_columns_of_a_file_named_as_a_pattern_are_not_those_of_another(tmp_path: Path):
    write_views(tmp_path / "page_views/date=2024-01-01/[ab]*.parquet", view(1, "2024-01-01"))
    with pytest.raises(SourceError, match="is read as a pattern"):
        source_of(tmp_path).columns("page_views")
