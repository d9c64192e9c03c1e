"""Unity Catalog's statements, read back by a parser of Databricks SQL."""

import pytest
import sqlglot
from sqlglot import exp

from wanderbricks_assets.contracts.contract import Column, table
from wanderbricks_assets.contracts.features import FEATURES
from wanderbricks_assets.contracts.tables import LAKE
from wanderbricks_assets.resources.unity_catalog import create_table


@pytest.mark.parametrize("name", LAKE)
def test_a_table_has_the_columns_comments_and_key_of_its_contract(name: str):
    contract = LAKE[name]
    read = sqlglot.parse_one(create_table(contract, "main.wanderbricks"), dialect="databricks")
    made = read.find(exp.Table)
    assert (made.catalog, made.db, made.name) == ("main", "wanderbricks", name)
    assert read.find(exp.SchemaCommentProperty).this.this == contract.description
    columns = {column.name: column for column in read.find_all(exp.ColumnDef) if column.parent is read.this}
    assert list(columns) == [column.name for column in contract.columns]
    for column in contract.columns:
        kinds = {type(one.kind): one.kind for one in columns[column.name].constraints}
        assert (exp.NotNullColumnConstraint in kinds) is not column.nullable
        said = kinds[exp.CommentColumnConstraint].this.this if exp.CommentColumnConstraint in kinds else ""
        assert said.startswith(column.description)
        assert (column.unit or "") in said
    key = [part.name for part in read.find(exp.PrimaryKey).expressions]
    timed = contract.time_column if name in FEATURES else None
    assert key == ["available_at" if part == timed else part for part in contract.key]


@pytest.mark.parametrize("name", FEATURES)
def test_a_feature_table_is_timed_by_the_moment_from_which_a_row_may_be_used(name: str):
    statement = create_table(LAKE[name], "main.wanderbricks")
    owner = LAKE[name].key[0]
    assert f"PRIMARY KEY (`{owner}`, `available_at` TIMESERIES)" in statement


def test_a_key_that_may_be_null_is_not_declared():
    contract = table("loose", "Rows.", Column("id", "int64"), key="id")
    assert "PRIMARY KEY" not in create_table(contract, "main.wanderbricks")


def test_a_quote_in_a_description_stays_within_it():
    contract = table("quoted", r"It's a \ here", Column("id", "int64", "user's", nullable=False), key="id")
    read = sqlglot.parse_one(create_table(contract, "main.wanderbricks"), dialect="databricks")
    assert read.find(exp.SchemaCommentProperty).this.this == r"It's a \ here"
