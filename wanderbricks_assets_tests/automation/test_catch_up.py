"""How a catch-up counts the steps that a failure stops."""

from wanderbricks_assets.automation.catch_up import _depending_on


def test_a_failed_step_stops_what_waits_for_it_and_what_waits_for_that():
    steps = {"a": set(), "b": {"a"}, "c": {"b", "d"}, "d": set(), "e": {"d"}}
    assert _depending_on("a", steps) == {"b", "c"}
    assert _depending_on("c", steps) == set()
