"""One alert per failure and one when it recovers: real Dagster runs, a real HTTP and a real SMTP server."""

import dagster as dg
import pytest

from wanderbricks_assets_tests.automation.alerts.servers import Mailbox, Webhook
from wanderbricks_assets_tests.automation.alerts.world import ONE_DAY, World, audience, mailing, prices


def test_a_failed_check_is_told_once_and_its_recovery_once(world: World, hook: Webhook):
    world.ill("few_are_dear")
    assert world.run([prices], partition_key=ONE_DAY).success  # a check that does not block leaves the run successful
    assert world.round() == "1 new, 1 open, 0 waiting to be delivered."
    world.run([prices], partition_key=ONE_DAY)
    assert world.round() == "0 new, 1 open, 0 waiting to be delivered."
    world.well("few_are_dear")
    world.run([prices], partition_key=ONE_DAY)
    world.round()
    world.round()
    name = f"prices, check few_are_dear ({ONE_DAY})"
    assert hook.titles == [f"WARN: {name}", f"Recovered: {name}"]


def test_a_message_says_what_failed_by_how_much_where_since_when_and_whose_it_is(world: World, hook: Webhook):
    world.ill("few_are_dear")
    world.run([prices], partition_key=ONE_DAY)
    world.round()
    [post] = hook.posts
    lines = dict(line.split(": ", 1) for line in post["message"].splitlines())
    assert lines.pop("Failed since").endswith("UTC")
    assert len(lines.pop("Alert")) == 12
    assert lines == {
        "Value": "1.25 against 1",
        "Reason": "dearer than they were",
        "Partition": ONE_DAY,
        "Severity": "WARN",
        "Owner": "team:revenue",
        "See": "http://127.0.0.1:3000/assets/prices?view=checks&checkDetail=few_are_dear",
    }
    assert post["type"] == "warning"


def test_a_failed_step_is_told_with_the_first_line_of_its_error_and_ends_when_its_days_are_there(world, hook):
    world.ill("prices")
    run = world.run_days("2024-01-03", "2024-01-05")
    world.round()
    [post] = hook.posts
    assert post["title"] == "ERROR: prices, step (2024-01-03...2024-01-05)"
    assert "Reason: ValueError: no such file: prices.csv\nPartition" in post["message"]
    assert f"See: http://127.0.0.1:3000/runs/{run.run_id}" in post["message"]
    world.well("prices")
    world.run_days("2024-01-03", "2024-01-04")
    world.round()
    assert len(hook.posts) == 1
    world.run([prices], partition_key="2024-01-05")
    world.round()
    assert hook.titles[1:] == ["Recovered: prices, step (2024-01-03...2024-01-05)"]


def test_an_asset_without_partitions_recovers_by_a_run_of_any_partition(world: World, hook: Webhook):
    world.ill("audience")
    world.run([audience, prices], partition_key="2024-01-03")
    world.round()
    world.well("audience")
    world.run([audience, prices], partition_key="2024-01-04")
    world.round()
    assert hook.titles == ["ERROR: audience, step (2024-01-03)", "Recovered: audience, step (2024-01-03)"]


def test_a_blocking_check_tells_for_the_run_that_it_fails_and_for_the_promotion_that_is_refused(world, hook):
    world.ill("is_large")
    world.ill("mailing")
    assert not world.run([audience, mailing]).success
    world.round()
    assert not world.run([mailing]).success
    world.round()
    assert hook.titles == ["ERROR: audience, check is_large"]


def test_checks_that_one_run_fails_for_one_reason_are_told_together(world: World, hook: Webhook):
    world.ill("few_are_dear")
    world.ill("none_is_missing")
    world.run([prices], partition_key=ONE_DAY)
    world.round()
    world.well("few_are_dear")
    world.run([prices], partition_key=ONE_DAY)
    world.round()
    assert hook.titles == [
        f"WARN: prices, checks few_are_dear, none_is_missing ({ONE_DAY})",
        f"Recovered: prices, check few_are_dear ({ONE_DAY})",
    ]


def test_a_refused_promotion_that_no_check_tells_of_is_told(world: World, hook: Webhook):
    world.ill("mailing")
    world.run([audience, mailing])
    world.round()
    assert hook.titles == ["ERROR: mailing, step"]
    assert "Reason: the new version was refused" in hook.posts[0]["message"]


def test_a_run_that_dies_between_its_steps_is_told_and_ends_when_its_assets_are_there(world: World, hook: Webhook):
    job = dg.define_asset_job("nightly", [audience, mailing])
    defs = dg.Definitions(assets=[audience, mailing], jobs=[job])
    run = world.instance.create_run_for_job(defs.resolve_job_def("nightly"))
    world.instance.report_run_failed(run, "The process of this run ended before the run did.")
    world.round()
    assert hook.titles == ["ERROR: nightly, run"]
    assert "Owner: team:marketing" in hook.posts[0]["message"]
    world.run([audience])
    world.round()
    assert len(hook.posts) == 1
    world.run([mailing])
    world.round()
    assert hook.titles[1:] == ["Recovered: nightly, run"]


def test_a_run_that_dagster_will_retry_is_told_only_when_its_last_try_fails(world: World, hook: Webhook):
    world.ill("audience")
    world.run([audience], tags={"dagster/will_retry": "true"})
    world.round()
    assert hook.titles == []
    world.run([audience])
    world.round()
    assert hook.titles == ["ERROR: audience, step"]


def test_a_backfill_with_many_broken_days_is_one_message_and_each_day_recovers_by_itself(world: World, hook: Webhook):
    for day in ("2024-01-03", "2024-01-04", "2024-01-05"):
        world.evaluated(passed=False, day=day, check="none_is_missing")
    world.round()
    assert hook.titles == ["ERROR: prices, check none_is_missing (3 partitions)"]
    assert "Partitions: 2024-01-03, 2024-01-04, 2024-01-05" in hook.posts[0]["message"]
    world.evaluated(passed=True, day="2024-01-04", check="none_is_missing")
    world.round()
    assert hook.titles[1:] == ["Recovered: prices, check none_is_missing (2024-01-04)"]


def test_a_warning_that_lasts_for_days_is_told_once_and_ended_by_a_later_day(world: World, hook: Webhook):
    for day in ("2024-01-03", "2024-01-04", "2024-01-05"):
        world.evaluated(passed=False, day=day)
        world.round()
    assert hook.titles == ["WARN: prices, check few_are_dear (2024-01-03)"]
    world.evaluated(passed=True, day="2024-01-04")  # looked at again: it says nothing of the day after it
    world.round()
    assert len(hook.posts) == 1
    world.evaluated(passed=True, day="2024-01-06")
    world.round()
    assert len(hook.posts) == 2
    assert hook.titles[1].startswith("Recovered: prices, check few_are_dear")


@pytest.mark.parametrize("days_come_later", [True, False])
def test_a_range_that_fails_as_a_whole_and_by_its_days_is_told_once(world: World, hook: Webhook, days_come_later: bool):
    def whole():
        world.ill("few_are_dear")
        world.run_days("2024-01-03", "2024-01-05")
        world.well("few_are_dear")
        world.round()

    def by_days():
        world.evaluated(passed=False, day="2024-01-04")
        world.round()

    for report in (whole, by_days) if days_come_later else (by_days, whole):
        report()
    assert len(hook.posts) == 1
    world.evaluated(passed=True, day="2024-01-05")
    assert world.round() == "1 new, 0 open, 0 waiting to be delivered."


def test_a_range_that_passes_ends_what_its_days_had_told(world: World, hook: Webhook):
    world.evaluated(passed=False)
    world.round()
    world.run_days("2024-01-03", "2024-01-05")
    world.round()
    assert hook.titles[1:] == [f"Recovered: prices, check few_are_dear ({ONE_DAY})"]


def test_the_first_reading_tells_of_what_is_still_wrong_and_not_of_the_past(world: World, hook: Webhook):
    world.evaluated(passed=False, day="2024-01-03")
    world.evaluated(passed=True, day="2024-01-03")
    world.evaluated(passed=False, day="2024-01-04")
    world.round()
    assert hook.titles == ["WARN: prices, check few_are_dear (2024-01-04)"]


def test_what_fails_recovers_and_fails_while_nobody_looks_is_told_in_that_order(world: World, hook: Webhook):
    world.round()
    for passed in (False, True, False):
        world.evaluated(passed=passed)
    world.round()
    name = f"prices, check few_are_dear ({ONE_DAY})"
    assert hook.titles == [f"WARN: {name}", f"Recovered: {name}", f"WARN: {name}"]


def test_a_mail_carries_the_same_as_a_webhook(world: World, hook: Webhook):
    mailbox = Mailbox()
    world.urls += " " + mailbox.url
    world.evaluated(passed=False)
    world.round()
    mailbox.close()
    [(subject, text)] = mailbox.mails
    assert subject == hook.titles[0]
    assert "team:revenue" in text
    assert "checkDetail" in text
