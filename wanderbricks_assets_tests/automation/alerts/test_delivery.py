"""Nothing is lost and nothing is sent twice: restarts, kills, destinations that are down, several processes at once."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest

from wanderbricks_assets.automation.alerts import sensor
from wanderbricks_assets.automation.alerts.destinations import parse
from wanderbricks_assets.doctor import examine
from wanderbricks_assets.settings import settings
from wanderbricks_assets_tests.automation.alerts.servers import Webhook, free_port
from wanderbricks_assets_tests.automation.alerts.world import DEFS, ONE_DAY, World, audience, prices

FAILED = f"WARN: prices, check few_are_dear ({ONE_DAY})"
RECOVERED = f"Recovered: prices, check few_are_dear ({ONE_DAY})"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The clock of deliveries: it stands still, `clock.ahead` seconds after the test began."""
    began, clock = time.time(), SimpleNamespace(ahead=0, monotonic=time.monotonic)
    clock.time = lambda: began + clock.ahead
    monkeypatch.setattr(sensor, "time", clock)
    return clock


@pytest.mark.parametrize("method", ["record", "begin"])
def test_a_process_killed_before_it_sends_neither_loses_nor_repeats(world: World, hook: Webhook, method: str):
    world.evaluated(passed=False)
    world.round_that_is_killed(method)
    assert hook.titles == []
    world.round()
    world.round()
    assert hook.titles == [FAILED]
    assert "repetition" not in hook.posts[0]["message"]


def test_a_process_killed_between_sending_and_noting_it_sends_again_and_says_so(world: World, hook: Webhook):
    world.evaluated(passed=False)
    world.round_that_is_killed("sent")
    world.round()
    world.round()
    assert hook.titles == [FAILED, FAILED]
    first, second = (post["message"] for post in hook.posts)
    assert second.startswith(first)
    assert second.endswith("This may be a repetition: the process that was sending it ended before it knew.")


def test_many_rounds_at_once_send_once(world: World, hook: Webhook):
    world.evaluated(passed=False)
    with ThreadPoolExecutor(4) as pool:
        said = list(pool.map(lambda _: World(world.home, world.urls).round(), range(4)))
    assert hook.titles == [FAILED]
    assert "1 new, 1 open, 0 waiting to be delivered." in said


def test_what_a_destination_missed_comes_later_in_order_and_the_others_do_not_wait(tmp_path, hook, clock):
    port = free_port()  # nobody listens there
    world = World(tmp_path, f"json://127.0.0.1:{port} {hook.url}")
    for passed in (False, True, False):
        world.evaluated(passed=passed)
        clock.ahead += 1
        world.round()
    assert hook.titles == [FAILED, RECOVERED, FAILED]
    down = Webhook(port)
    down.status = 503
    clock.ahead += 60
    assert world.round() == "0 new, 1 open, 3 waiting to be delivered."
    assert "Connection error" not in world.page
    assert f"json://127.0.0.1:{port}" in world.page
    down.status = 200
    assert world.round() == "0 new, 1 open, 3 waiting to be delivered."  # it is left alone for a while
    clock.ahead += 120
    assert world.round() == "0 new, 1 open, 0 waiting to be delivered."
    assert down.titles == [FAILED, RECOVERED, FAILED]
    down.close()


def test_pauses_after_failures_double_up_to_an_hour_and_a_clock_set_back_ends_them(world, hook, clock):
    hook.status, tries = 500, []
    hook.on_post = lambda: tries.append(clock.ahead)
    world.evaluated(passed=False)
    world.round()
    for pause in (30, 60, 120, 240, 480, 960, 1920, 3600, 3600):
        clock.ahead += pause - 1
        world.round()
        clock.ahead += 1
        world.round()
        assert tries[-1] - tries[-2] == pause
    clock.ahead -= 1800
    world.round()
    assert tries[-1] == clock.ahead


def test_what_waits_for_an_address_that_is_set_no_more_goes_once_to_those_that_are(tmp_path, hook, clock):
    gone, other = free_port(), Webhook()
    world = World(tmp_path, f"json://127.0.0.1:{gone} {other.url}")
    for passed in (False, True):
        world.evaluated(passed=passed)
        clock.ahead += 1
        world.round()
    assert other.titles == [FAILED, RECOVERED]
    world.urls = f"{hook.url} {other.url} team:marketing=json://127.0.0.1:{free_port()}"
    assert world.round() == "0 new, 0 open, 0 waiting to be delivered."
    world.round()
    assert hook.titles == [FAILED, RECOVERED]
    assert other.titles == [FAILED, RECOVERED], "it has heard of it already"
    assert all(f"This waited for json://127.0.0.1:{gone}" in post["message"] for post in hook.posts)
    [said] = world.logged
    assert said.startswith(f"2 alerts waited for json://127.0.0.1:{gone}")
    other.close()


def test_without_any_address_what_waited_goes_to_the_log_of_the_daemon_and_of_no_other_process(tmp_path, clock):
    world = World(tmp_path, f"json://127.0.0.1:{free_port()}")
    world.evaluated(passed=False)
    world.round()
    world.urls = ""
    assert world.round(is_daemon=False) == "0 new, 1 open, 1 waiting to be delivered."
    assert world.logged == []
    assert world.round() == "0 new, 1 open, 0 waiting to be delivered."
    world.round()
    said, alert = world.logged
    assert "which is set no more; they go to who is told now" in said
    assert alert.startswith(FAILED)


def test_each_hears_of_its_own_assets_and_severities(tmp_path: Path):
    names = ("everything", "team:revenue", "team:marketing", "error", "team:marketing,warn")
    hooks = {name: Webhook() for name in names}
    tags = {name: "" if name == "everything" else f"{name}=" for name in names}
    world = World(tmp_path, "\n".join(tags[name] + hook.url for name, hook in hooks.items()))
    world.ill("audience")
    world.evaluated(passed=False)
    world.run([audience])
    world.round()
    for hook in hooks.values():
        hook.close()
    mine, theirs = FAILED, "ERROR: audience, step"
    assert {name: hook.titles for name, hook in hooks.items()} == {
        "everything": [mine, theirs],
        "team:revenue": [mine],
        "team:marketing": [theirs],
        "error": [theirs],
        "team:marketing,warn": [],
    }
    assert world.logged == []


def test_what_no_address_takes_goes_to_the_log(world: World, hook: Webhook):
    world.urls = f"team:marketing={hook.url}"
    world.evaluated(passed=False)
    world.round()
    world.round()
    assert hook.titles == []
    assert [text.splitlines()[0] for text in world.logged] == [FAILED]


def test_who_heard_of_a_failure_hears_of_its_recovery_whatever_the_tags_say_now(world: World, hook: Webhook):
    world.evaluated(passed=False)
    world.round()
    world.urls = f"team:marketing={hook.url}"
    world.evaluated(passed=True)
    world.round()
    assert hook.titles == [FAILED, RECOVERED]


def test_without_addresses_alerts_go_to_the_log_and_to_the_page(tmp_path: Path):
    world = World(tmp_path)
    world.round()
    assert "No open incident" in world.page
    world.evaluated(passed=False)
    world.ill("prices")
    world.run([prices], partition_key="2024-01-07")
    world.round()
    assert [text.splitlines()[0] for text in world.logged] == [FAILED, "ERROR: prices, step (2024-01-07)"]
    assert "2 open incidents" in world.page
    for shown in (
        "prices, check few_are_dear",
        "2024-01-07",
        "no such file: prices.csv",
        "team:revenue",
        "checkDetail",
    ):
        assert shown in world.page
    assert "and more that nobody reads" not in world.page
    assert [file.name for file in tmp_path.glob(".alerts*")] == []


def test_the_page_is_safe_to_open_whatever_a_check_says(world: World):
    world.evaluated(passed=False, reason="<script>alert(1)</script>")
    world.round()
    assert "<script>" not in world.page
    assert "&lt;script&gt;" in world.page


def test_secrets_are_in_no_file_no_message_and_no_error(tmp_path: Path):
    port = free_port()
    secret = f"json://user:s3cretpass@127.0.0.1:{port}/T0KENPATH?+X-Key=k3yinquery"
    world = World(tmp_path, secret)
    world.evaluated(passed=False)
    assert world.round() == "1 new, 1 open, 1 waiting to be delivered."
    written = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert f"json://user:****@127.0.0.1:{port}".encode() in written
    for part in (b"s3cretpass", b"T0KENPATH", b"k3yinquery"):
        assert part not in written
    assert "s3cretpass" not in repr(world.settings)
    for wrong in ("nosuch://s3cretpass@host", f"{secret} s3cretpass", f"bad=tag={secret}"):
        with pytest.raises(ValueError, match="WANDERBRICKS_ALERT_URLS: ") as error:
            parse(wrong)
        assert "s3cretpass" not in str(error.value)


def test_the_doctor_names_an_address_that_is_not_understood_and_those_that_are(monkeypatch: pytest.MonkeyPatch):
    def finding(urls: str):
        settings.cache_clear()
        monkeypatch.setenv("WANDERBRICKS_ALERT_URLS", urls)
        return next(finding for finding in examine() if finding.what == "alert URLs")

    try:
        assert finding("team:revenue,error=json://user:pw@host").found == "json://user:****@host (ERROR, team:revenue)"
        assert finding("json://host nosuch://x").remedy == (
            "WANDERBRICKS_ALERT_URLS: Apprise does not understand entry 2, nosuch://****"
        )
    finally:
        settings.cache_clear()


def test_the_sensor_runs_by_default_and_says_what_it_found(world: World):
    assert sensor.alerts.default_status == dg.DefaultSensorStatus.RUNNING
    context = dg.build_sensor_context(instance=world.instance, definitions=DEFS)
    assert sensor.alerts(context).skip_message == "0 new, 0 open, 0 waiting to be delivered."
