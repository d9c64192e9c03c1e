"""A person with a browser clicks through every page of the dashboard's own process."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from bench.dashboard import COMMAND, SIZES
from bench.servers import server
from wanderbricks_assets.dashboard.app import PAGES

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
TITLES = [title for _, title, _ in PAGES]
SLOWEST = 60_000  # milliseconds, on a machine that has much else to do

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is on the PATH")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM)
        yield running
        running.close()


@pytest.fixture(scope="module")
def address(trained: Path) -> Iterator[str]:
    with server(COMMAND, "_stcore/health", os.environ | {"WANDERBRICKS_HOME": str(trained)}) as dashboard:
        yield dashboard.address


def looks_right(page: Page, title: str) -> None:
    """The page is drawn, without an exception, and is not wider than the screen."""
    expect(page.get_by_role("heading", name=title, exact=True).first).to_be_visible(timeout=SLOWEST)
    expect(page.locator("[data-testid=stApp][data-test-script-state=notRunning]")).to_be_visible(timeout=SLOWEST)
    expect(
        page.locator("[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg").first
    ).to_be_visible()
    expect(page.locator("[data-testid=stException]")).to_have_count(0)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.fixture
def seen(browser: Browser, address: str) -> Iterator[Callable[[str], Page]]:
    """Opens the dashboard on a screen of a size; afterwards nothing must have been asked of another machine."""
    asked_of = set()

    def see(size: str) -> Page:
        width, height = SIZES[size]
        page = browser.new_page(viewport={"width": width, "height": height})
        page.on("request", lambda request: asked_of.add(request.url.split("/")[2]))
        page.goto(address)
        return page

    yield see
    assert asked_of == {address.removeprefix("http://")}


def test_every_page_is_a_click_away(seen: Callable[[str], Page]):
    page = seen("desktop")
    looks_right(page, TITLES[0])
    for title in TITLES[1:]:
        page.get_by_role("link", name=title).click()
        looks_right(page, title)


def test_every_page_can_be_read_on_a_phone(seen: Callable[[str], Page]):
    page = seen("phone")
    looks_right(page, TITLES[0])
    start = page.url
    for name, title, _ in PAGES[1:]:
        page.goto(f"{start}{name}")
        looks_right(page, title)
