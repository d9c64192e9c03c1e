"""What people are told: one message for what failed or recovered alike, with a link into Dagster's UI."""

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from urllib.parse import quote

from wanderbricks_assets.automation.alerts.destinations import Message
from wanderbricks_assets.automation.alerts.incidents import Incident, State

_MOST_PARTITIONS = 10  # named in one message


def messages(news: Iterable[tuple[State, Incident]], ui_url: str) -> list[tuple[Message, list[Incident]]]:
    """One message per check, step or run, with all its partitions: a backfill's fault is told once. What fails,
    recovers and fails again is told in that order."""
    groups: list[tuple[State, list[Incident]]] = []
    newest: dict[tuple, tuple[State, list[Incident]]] = {}
    for state, incident in news:
        subject = (incident.kind, incident.asset, incident.name, incident.severity)
        if subject not in newest or newest[subject][0] != state:
            newest[subject] = (state, [])
            groups.append(newest[subject])
        newest[subject][1].append(incident)
    return [(_message(state, incidents, ui_url), incidents) for state, incidents in groups]


def link(incident: Incident, ui_url: str) -> str:
    """The checks of the asset, or the run, in Dagster's UI."""
    if incident.kind == "check":
        return f"{ui_url}/assets/{quote(incident.asset)}?view=checks&checkDetail={quote(incident.name, safe='')}"
    return f"{ui_url}/runs/{incident.run_id}"


def subject(incident: Incident) -> str:
    if incident.kind == "check":
        return f"{incident.asset}, check {incident.name}"
    return f"{incident.asset or incident.name}, {'step' if incident.kind == 'step' else 'run'}"


def where(incident: Incident) -> str:
    """The partition that failed, or what the run covered that said so."""
    return incident.partitions or incident.span


def at(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M} UTC"


def _message(state: State, incidents: list[Incident], ui_url: str) -> Message:
    first, id = incidents[0], uuid.uuid4().hex[:12]
    partitions = sorted({where(incident) for incident in incidents} - {""})
    shown = f" ({partitions[0]})" if len(partitions) == 1 else f" ({len(partitions)} partitions)" if partitions else ""
    since = min(incident.since for incident in incidents)
    lines = {
        "Value": first.measured if state == "failed" else "",
        "Reason": first.reason if state == "failed" else "",
        "Partitions" if len(partitions) > 1 else "Partition": _few(partitions),
        "Failed since": at(since),
        "Recovered": at(max(incident.closed_at for incident in incidents)) if state == "recovered" else "",
        "Severity": first.severity,
        "Owner": ", ".join(first.owners) or "nobody",
        "See": link(first, ui_url),
        "Alert": id,
    }
    return Message(
        id=id,
        title=f"{first.severity if state == 'failed' else 'Recovered'}: {subject(first)}{shown}",
        body="\n".join(f"{name}: {text}" for name, text in lines.items() if text),
        state=state,
        severity=first.severity,
        owners=first.owners,
    )


def _few(partitions: list[str]) -> str:
    more = len(partitions) - _MOST_PARTITIONS
    return ", ".join(partitions[:_MOST_PARTITIONS]) + (f" and {more} more" if more > 0 else "")
