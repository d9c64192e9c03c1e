"""Contracts say of every table what it holds; these tests hold the contracts to what was promised about them."""

import ibis
import pytest

from wanderbricks_assets.contracts.contract import Contract
from wanderbricks_assets.contracts.dagster_face import described
from wanderbricks_assets.contracts.features import (
    ENGAGEMENT_FEATURES,
    FEATURES,
    KEYS_AND_TIME,
    PROPERTY_FEATURES,
    USER_FEATURES,
)
from wanderbricks_assets.contracts.gold import DIM_HOST, FACT_BOOKING_DETAIL
from wanderbricks_assets.contracts.source import SOURCE
from wanderbricks_assets.contracts.tables import LAKE

every_table_of_the_lake = pytest.mark.parametrize("contract", LAKE.values(), ids=lambda contract: contract.name)


def features_of(contract: Contract) -> list[str]:
    return [column.name for column in contract.columns if column.name not in KEYS_AND_TIME]


def test_property_features_are_exactly_these_fifteen():
    assert features_of(PROPERTY_FEATURES) == [
        "property_type",
        "bedrooms",
        "base_price",
        "max_guests",
        "destination",
        "country",
        "latitude",
        "longitude",
        "bookings_lag_7d",
        "bookings_lag_30d",
        "bookings_ma_7d",
        "occupancy_30d",
        "rating",
        "photos_count",
        "competitor_price",
    ]


def test_user_features_are_exactly_these_twelve():
    assert features_of(USER_FEATURES) == [
        "country",
        "user_type",
        "is_business",
        "tenure_days",
        "total_bookings",
        "total_spend",
        "avg_booking_value",
        "booking_frequency",
        "avg_lead_time",
        "cancellation_rate",
        "days_since_last_booking",
        "booking_trend",
    ]


def test_engagement_features_are_exactly_these_eight():
    assert features_of(ENGAGEMENT_FEATURES) == [
        "view_count",
        "click_count",
        "search_count",
        "unique_users",
        "time_on_page",
        "views_7d",
        "clicks_7d",
        "conversion_rate",
    ]


def test_every_feature_table_says_from_when_a_row_may_be_used():
    for contract in FEATURES.values():
        assert contract.column("available_at").type == "timestamp"
        assert not contract.column("available_at").nullable


@every_table_of_the_lake
def test_key_columns_exist_and_are_never_null(contract: Contract):
    for name in contract.key:
        assert name in contract.schema.names
        assert not contract.column(name).nullable


@every_table_of_the_lake
def test_a_table_cut_by_time_has_that_column_and_it_is_never_null(contract: Contract):
    if contract.time_column is not None:
        assert contract.schema[contract.time_column].is_date() or contract.schema[contract.time_column].is_timestamp()
        assert not contract.column(contract.time_column).nullable


def test_references_name_a_column_that_exists():
    known = {**SOURCE, **LAKE}
    references = [column.references for contract in known.values() for column in contract.columns if column.references]
    assert len(references) >= 25
    for reference in references:
        name, column = reference.split(".")
        assert column in known[name].schema.names


def test_the_source_has_the_sixteen_tables_of_the_sample_and_the_history_of_prices():
    assert len(SOURCE) == 17
    assert {name for name, contract in SOURCE.items() if contract.required} == {
        "users",
        "properties",
        "destinations",
        "bookings",
    }


def test_conform_casts_orders_and_leaves_other_columns_out():
    rows = ibis.memtable(
        {
            "surplus": [1],
            "property_count": [3],
            "rating": ["4.5"],
            "is_active": [True],
            "is_verified": [False],
            "country": ["Portugal"],
            "name": ["Ana"],
            "joined_at": ["2023-04-05"],
            "host_id": ["12"],
        }
    )
    conformed = DIM_HOST.conform(rows)
    assert conformed.schema() == DIM_HOST.schema
    assert conformed.columns == tuple(column.name for column in DIM_HOST.columns)
    found = conformed.to_pyarrow().to_pylist()[0]
    assert (found["host_id"], found["rating"], found["joined_at"].isoformat()) == (12, 4.5, "2023-04-05")


def test_conform_names_the_columns_that_are_missing_and_those_it_found():
    rows = ibis.memtable({"host_id": [1], "name": ["Ana"]})
    with pytest.raises(ValueError, match=r"dim_host: columns \['country', .*\] are missing .*host_id, name"):
        DIM_HOST.conform(rows)


def test_an_empty_table_has_the_columns_and_types_of_its_contract():
    for contract in [*LAKE.values(), *SOURCE.values()]:
        assert contract.empty().num_rows == 0
        assert contract.empty().schema == contract.conform(ibis.memtable(contract.empty())).to_pyarrow().schema


def test_dagster_shows_columns_key_and_bounds():
    face = described(FACT_BOOKING_DETAIL, "gold")
    columns = {column.name: column for column in face["metadata"]["dagster/column_schema"].columns}
    assert face["key"] == "fact_booking_detail"
    assert face["metadata"]["key"] == "booking_id"
    assert list(columns) == list(FACT_BOOKING_DETAIL.schema.names)
    assert columns["nights_booked"].description == "0 for a day use [nights]"
    assert columns["nights_booked"].constraints.other == [">= 0"]
    assert columns["status"].constraints.other == ["one of pending, confirmed, completed, cancelled"]
    assert columns["property_id"].constraints.other == ["in dim_property.property_id"]
    assert columns["property_id"].constraints.nullable is False
