"""What people are told: one message for what failed or recovered alike, with a link into Dagster's UI."""

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from wanderbricks_assets.automation.alerts.destinations import Message
from wanderbricks_assets.automation.alerts.incidents import Incident, State

_MOST_PARTITIONS = 10  # named in one message


@dataclass(frozen=True)
class Alike:
    """Incidents of one check, step or run, which differ in their partitions; or of checks that one run failed for one
    reason, as the gates of a model that could not be trained."""

    incidents: list[Incident]

    @property
    def newest(self) -> Incident:
        return max(self.incidents, key=lambda incident: incident.last_failed_at)

    @property
    def partitions(self) -> list[str]:
        """Those that failed, or what the run covered that said so."""
        return sorted({incident.partitions or incident.span for incident in self.incidents} - {""})

    @property
    def since(self) -> float:
        return min(incident.since for incident in self.incidents)

    @property
    def closed_at(self) -> float:
        return max(incident.closed_at for incident in self.incidents)

    @property
    def failures(self) -> int:
        return sum(incident.failures for incident in self.incidents)


def grouped(incidents: Iterable[Incident]) -> list[Alike]:
    incidents = list(incidents)
    groups: dict[tuple, Alike] = {}
    kind = _kind(incidents)
    for incident in incidents:
        groups.setdefault(kind(incident), Alike([])).incidents.append(incident)
    return list(groups.values())


def messages(news: Iterable[tuple[State, Incident]], ui_url: str) -> list[tuple[Message, list[Incident]]]:
    """One message for what is alike: a backfill's fault is told once. What fails, recovers and fails again is told in
    that order."""
    news, groups = list(news), []
    kind_of = _kind([incident for _, incident in news])
    newest: dict[tuple, tuple[State, Alike]] = {}
    for state, incident in news:
        kind = kind_of(incident)
        if kind not in newest or newest[kind][0] != state:
            newest[kind] = (state, Alike([]))
            groups.append(newest[kind])
        newest[kind][1].incidents.append(incident)
    return [(_message(state, alike, ui_url), alike.incidents) for state, alike in groups]


def link(incident: Incident, ui_url: str) -> str:
    """The checks of the asset, or the run, in Dagster's UI."""
    if incident.kind == "check":
        return f"{ui_url}/assets/{quote(incident.asset)}?view=checks&checkDetail={quote(incident.name, safe='')}"
    if incident.kind == "tick":
        return f"{ui_url}/automation"
    return f"{ui_url}/runs/{incident.run_id}"


def subject(alike: Alike) -> str:
    incident = alike.newest
    if incident.kind == "check":
        names = list(dict.fromkeys(one.name for one in alike.incidents))
        return f"{incident.asset}, check{'s' * (len(names) > 1)} {', '.join(names)}"
    return f"{incident.asset or incident.name}, {incident.kind}"


def at(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M} UTC"


def few(partitions: list[str]) -> str:
    more = len(partitions) - _MOST_PARTITIONS
    return ", ".join(partitions[:_MOST_PARTITIONS]) + (f" and {more} more" if more > 0 else "")


def _kind(incidents: list[Incident]) -> Callable[[Incident], tuple[str, ...]]:
    """What makes one of these incidents like another."""
    checks: dict[tuple[str, ...], set[str]] = {}
    for incident in incidents:
        checks.setdefault(_cause(incident), set()).add(incident.name)

    def kind(incident: Incident) -> tuple[str, ...]:
        cause = _cause(incident)
        has_others = incident.kind == "check" and incident.run_id and incident.reason and len(checks[cause]) > 1
        return cause if has_others else (incident.kind, incident.asset, incident.severity, incident.name)

    return kind


def _cause(incident: Incident) -> tuple[str, ...]:
    return incident.kind, incident.asset, incident.severity, incident.run_id, incident.reason


def _message(state: State, alike: Alike, ui_url: str) -> Message:
    newest, partitions, id = alike.newest, alike.partitions, uuid.uuid4().hex[:12]
    shown = f" ({partitions[0]})" if len(partitions) == 1 else f" ({len(partitions)} partitions)" if partitions else ""
    lines = {
        "Value": newest.measured if state == "failed" else "",
        "Reason": newest.reason if state == "failed" else "",
        "Partitions" if len(partitions) > 1 else "Partition": few(partitions),
        "Failed since": at(alike.since),
        "Recovered": at(alike.closed_at) if state == "recovered" else "",
        "Severity": newest.severity,
        "Owner": ", ".join(newest.owners) or "nobody",
        "See": link(newest, ui_url),
        "Alert": id,
    }
    return Message(
        id=id,
        title=f"{newest.severity if state == 'failed' else 'Recovered'}: {subject(alike)}{shown}",
        body="\n".join(f"{name}: {text}" for name, text in lines.items() if text),
        state=state,
        severity=newest.severity,
        owners=newest.owners,
    )
