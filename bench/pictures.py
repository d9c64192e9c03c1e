"""Pictures of Dagster's UI for the README: `python -m bench.pictures --home HOME [--out docs/images]`.

Those of the dashboard are taken by `bench.dashboard`.
"""

import argparse
import sys
from pathlib import Path

from playwright.sync_api import Page

from bench.pages import chromium
from bench.servers import server
from wanderbricks_assets.home import enter
from wanderbricks_assets.settings import Settings

ROOT = Path(__file__).parents[1]
# What is shown, and the words that are there once the page is whole.
PAGES = {
    "asset-graph": ("asset-groups", "monitoring"),
    "model-checks": ("assets/revenue_forecaster?view=checks&checkDetail=meets_target", "Plots"),
    "automation": ("automation", "training_schedule"),
}
SIZE = {"width": 1500, "height": 640}
DRAWN = 3_000  # milliseconds until the graph stands still


def take(page: Page, address: str, name: str, out: Path) -> None:
    path, words = PAGES[name]
    page.goto(f"{address}/{path}")
    page.get_by_text(words, exact=True).last.wait_for()
    page.wait_for_timeout(DRAWN)
    page.screenshot(path=out / f"{name}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    asked = parser.parse_args()
    webserver = Path(sys.executable).with_name("dagster-webserver")
    command = (str(webserver), "-w", str(ROOT / "workspace.yaml"), "-h", "127.0.0.1", "-p")
    with server(command, "server_info", enter(Settings(home=asked.home))) as ui, chromium() as browser:
        page = browser.new_page(viewport=SIZE)
        for name in PAGES:
            take(page, ui.address, name, asked.out)


if __name__ == "__main__":
    main()
