import re

import pytest

import bench.__main__ as page_of
from bench.__main__ import NOT_MEASURED, PAGE, TOPICS


def test_the_page_has_a_place_for_every_table_and_nothing_else():
    assert sorted(re.findall(r"\{(\w+)\}", PAGE.read_text())) == sorted([*TOPICS, "machine"])


def test_a_topic_that_cannot_be_measured_says_so_in_its_place_and_the_command_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setattr(page_of, "TOPICS", {"features": ["home"]})  # of a home that is not there
    monkeypatch.setattr(page_of.os, "environ", {**page_of.os.environ})
    with pytest.raises(SystemExit) as ended:
        page_of.main()
    assert ended.value.code == 1
    assert f"{NOT_MEASURED} " in capsys.readouterr().out
