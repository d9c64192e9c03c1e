# ruff: noqa: T201 (prints its result)
"""The dashboard as a visitor sees it: how long each page takes to appear, and its pictures.

python -m bench.dashboard --home HOME [--out FOLDER] [--pages revenue ...] [--sizes desktop phone] [--dark]

A page says something when its heading is there, and is whole when its charts are drawn and nothing runs any more.
Times are of a process just started: the first page is the first that anybody opens.
Pictures: FOLDER/dashboard-<page>-desktop.png (1400 pixels wide) and -phone.png (390); those of the README by
`python -m bench.dashboard --home HOME --out docs/images --pages revenue demand prices --sizes desktop`.
"""

import argparse
import sys
import time
from pathlib import Path

from playwright.sync_api import Page

from bench.pages import chromium
from bench.servers import server
from wanderbricks_assets.home import enter
from wanderbricks_assets.settings import Settings

PAGES = ("revenue", "demand", "prices", "customers", "marketing", "models")
PATHS = {"revenue": ""}  # the first page is at the root
SIZES = {"desktop": (1400, 900), "phone": (390, 844)}
COMMAND = (sys.executable, "-m", "wanderbricks_assets.dashboard", "--port")


def open_page(page: Page, address: str) -> tuple[float, float]:
    """Open an address and wait for it; returns the seconds until it says something and until it is whole."""
    began = time.perf_counter()
    page.goto(address, wait_until="commit")
    page.wait_for_selector("h2, [data-testid=stMetric]")
    says = time.perf_counter() - began
    # A script that runs shows so in the attribute; charts are drawn after it has ended.
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")
    page.wait_for_function("() => !document.querySelector('[data-testid=stSkeleton], [data-testid=stSpinner]')")
    page.wait_for_function(
        "() => [...document.querySelectorAll('[data-testid=stVegaLiteChart]')]"
        ".every(chart => chart.querySelector('canvas, svg'))"
    )
    return says, time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--pages", nargs="+", default=list(PAGES), choices=PAGES)
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), choices=SIZES)
    parser.add_argument("--dark", action="store_true")
    asked = parser.parse_args()
    with chromium() as browser:
        for size in asked.sizes:
            width, height = SIZES[size]
            with server(COMMAND, "_stcore/health", enter(Settings(home=asked.home))) as dashboard:
                page = browser.new_page(
                    viewport={"width": width, "height": height}, color_scheme="dark" if asked.dark else "light"
                )
                for name in asked.pages:
                    for time_ in ("first", "again"):
                        says, whole = open_page(page, f"{dashboard.address}/{PATHS.get(name, name)}")
                        print(
                            f"{name:<10} {size:<8} {time_} says something after {says:.2f} s, whole after {whole:.2f} s"
                        )
                    if asked.out:
                        asked.out.mkdir(parents=True, exist_ok=True)
                        _whole(page, asked.out / f"dashboard-{name}-{size}.png")
                page.close()


def _whole(page: Page, file: Path) -> None:
    """The whole page: Streamlit scrolls inside, so the window must be as high as its content."""
    width = page.viewport_size["width"]
    height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    before = page.viewport_size
    page.set_viewport_size({"width": width, "height": max(before["height"], height + 20)})
    page.wait_for_timeout(700)
    page.screenshot(path=file)
    page.set_viewport_size(before)


if __name__ == "__main__":
    main()
