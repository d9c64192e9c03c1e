"""The incidents and the deliveries that wait, as a page that a person can open without any server."""

import os
from collections.abc import Iterable
from pathlib import Path

import jinja2

from wanderbricks_assets.automation.alerts.destinations import Destination
from wanderbricks_assets.automation.alerts.messages import at, few, grouped, link, subject
from wanderbricks_assets.automation.alerts.outbox import Outbox

_MOST_RECOVERED = 200


def write_page(file: Path, outbox: Outbox, destinations: Iterable[Destination], ui_url: str) -> None:
    """Write the page if it would change; whoever reads it meanwhile sees the old one or the new one, whole."""
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(Path(__file__).with_name("page.html").read_text())
    text = template.render(
        open=sorted(grouped(outbox.open_incidents()), key=lambda alike: alike.newest.severity),  # ERROR, then WARN
        recovered=grouped(outbox.recovered(_MOST_RECOVERED)),
        waiting=outbox.waiting(),
        destinations=[destination.label for destination in destinations],
        ui_url=ui_url,
        **{function.__name__: function for function in (at, few, link, subject)},
    )
    if file.exists() and file.read_text() == text:
        return
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    temporary.write_text(text)
    temporary.replace(file)
