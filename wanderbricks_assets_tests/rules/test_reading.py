"""Rules that marketing edits: what is wrong in a file is said with file, row, what was found and what to do."""

from pathlib import Path

import pytest

from wanderbricks_assets.contracts.rules import AUDIENCE_RULES, CUSTOMER_ACTIONS, RULES
from wanderbricks_assets.rules.reading import PACKAGED, copy_for_editing, read_rules, rules_file

HEAD = ",".join(AUDIENCE_RULES.schema.names)
GOOD = "High Value,Low,0.05,10,3,0.1,email,welcome_back"


def audience_file(folder: Path, *rows: str, head: str = HEAD) -> Path:
    file = folder / "audience_rules.csv"
    file.write_text("\n".join([head, *rows]) + "\n")
    return file


def test_the_packaged_rules_hold_until_there_is_an_edited_copy(tmp_path: Path):
    assert rules_file(AUDIENCE_RULES, tmp_path) == PACKAGED / "audience_rules.csv"
    edited = audience_file(tmp_path, GOOD)
    assert rules_file(AUDIENCE_RULES, tmp_path) == edited
    assert rules_file(CUSTOMER_ACTIONS, tmp_path) == PACKAGED / "customer_actions.csv"
    assert read_rules(AUDIENCE_RULES, tmp_path) == [
        {
            "row": 2,
            "segment": "High Value",
            "churn_risk": "Low",
            "min_probability": 0.05,
            "min_expected_value": 10.0,
            "max_properties": 3,
            "holdout_share": 0.1,
            "channel": "email",
            "message": "welcome_back",
        }
    ]


def test_packaged_rules_are_copied_once_and_an_edited_copy_is_left_alone(tmp_path: Path):
    edited = audience_file(tmp_path, GOOD)
    assert copy_for_editing(tmp_path) == [tmp_path / "customer_actions.csv"]
    assert copy_for_editing(tmp_path) == []
    assert edited.read_text() == f"{HEAD}\n{GOOD}\n"
    for contract in RULES.values():
        assert read_rules(contract, tmp_path)


def test_empty_lines_spaces_and_the_mark_that_excel_writes_are_no_mistakes(tmp_path: Path):
    file = audience_file(tmp_path, "", GOOD.replace(",", " , "), ",,,,,,,", head="\ufeff" + HEAD)
    [rule] = read_rules(AUDIENCE_RULES, tmp_path)
    assert (rule["row"], rule["segment"], rule["message"]) == (3, "High Value", "welcome_back")
    assert file.read_text().startswith("\ufeff")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (GOOD.replace("High", "Hgh"), "row 2: segment 'Hgh Value' is none of High Value, Medium Value"),
        (GOOD.replace("0.05", "1.5"), "row 2: min_probability 1.5 is above 1; correct it"),
        (GOOD.replace("0.05", "-1"), "row 2: min_probability -1 is below 0; correct it"),
        (GOOD.replace("0.05", "nan"), "row 2: min_probability 'nan' is not a number like 0.05; correct it"),
        (GOOD.replace("0.05", "5%"), "row 2: min_probability '5%' is not a number like 0.05; correct it"),
        (GOOD.replace(",3,", ",2.5,"), "row 2: max_properties '2.5' is not a whole number; correct it"),
        (GOOD.replace(",3,", ",,"), "row 2: max_properties is empty; fill it in or delete the row"),
        (GOOD.replace("email", "pigeon"), "row 2: channel 'pigeon' is none of email, push, on_site"),
        (GOOD + ",more", "row 2: 9 values, and the columns are 8"),
        (f"{GOOD}\n\n{GOOD}", "row 4: High Value, Low stands in row 2 already; delete one of them"),
    ],
)
def test_a_mistake_is_named_with_file_row_what_was_found_and_what_to_do(row: str, message: str, tmp_path: Path):
    file = audience_file(tmp_path, row)
    with pytest.raises(ValueError, match=message) as raised:
        read_rules(AUDIENCE_RULES, tmp_path)
    assert str(raised.value).startswith(str(file))


def test_all_mistakes_of_a_file_are_said_at_once(tmp_path: Path):
    audience_file(tmp_path, GOOD.replace("email", "pigeon"), GOOD.replace("Low", "low").replace("0.1", "0.9"))
    with pytest.raises(ValueError, match="row 2: channel 'pigeon'") as raised:
        read_rules(AUDIENCE_RULES, tmp_path)
    for other in ("row 3: churn_risk 'low'", "row 3: holdout_share 0.9"):
        assert other in str(raised.value)


@pytest.mark.parametrize("head", [HEAD + ",budget", HEAD.replace("channel,", ""), HEAD.replace(",", ";"), ""])
def test_an_unknown_or_missing_column_is_said_with_the_row_that_is_wanted(head: str, tmp_path: Path):
    audience_file(tmp_path, GOOD, head=head)
    with pytest.raises(ValueError, match=f"the first row must be {HEAD} \\(found: "):
        read_rules(AUDIENCE_RULES, tmp_path)


def test_a_file_that_is_no_text_is_said_to_be_none(tmp_path: Path):
    (tmp_path / "audience_rules.csv").write_bytes(b"PK\x03\x04\xff\xfe")
    with pytest.raises(ValueError, match=r"not readable as CSV .*; save it as CSV UTF-8, with commas"):
        read_rules(AUDIENCE_RULES, tmp_path)


def test_a_file_with_semicolons_is_said_to_have_them(tmp_path: Path):
    file = audience_file(tmp_path, GOOD.replace(",", ";"), head=HEAD.replace(",", ";"))
    with pytest.raises(ValueError, match="it has semicolons between its values, so save it with commas") as raised:
        read_rules(AUDIENCE_RULES, tmp_path)
    assert str(raised.value).startswith(f"{file}, row 1: ")
    audience_file(tmp_path, GOOD.replace(",", ";"))
    with pytest.raises(ValueError, match=r"row 2: 1 values, .* \(found: High Value;Low;0.05"):
        read_rules(AUDIENCE_RULES, tmp_path)


def test_a_file_without_a_rule_is_a_mistake_and_no_empty_audience(tmp_path: Path):
    file = audience_file(tmp_path, "", ",,,,,,,")
    with pytest.raises(ValueError, match=r"no rule .found: only the first row.; add one") as raised:
        read_rules(AUDIENCE_RULES, tmp_path)
    assert str(raised.value).startswith(f"{file}, row 2: ")
