"""Who hears of what: Apprise URLs with tags, and the log for what nobody else takes."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

from wanderbricks_assets.settings import Settings

SEVERITIES = ("ERROR", "WARN")
# Dagster's owners are `team:name` or an e-mail address.
_OWNER = re.compile(r"team:[\w.-]+|[^@\s,=]+@[^@\s,=]+")
_ENTRY = re.compile(r"(?:(?P<tags>[^=/?]+)=)?(?P<url>(?P<scheme>[A-Za-z0-9]+)://\S+)")


@dataclass(frozen=True)
class Message:
    """What is said: `state` "failed" or "recovered"; `severity` and `owners` are those of its incidents."""

    id: str
    title: str
    body: str
    state: Literal["failed", "recovered"]
    severity: Literal["ERROR", "WARN"]
    owners: tuple[str, ...]


class Destination(Protocol):
    """`id` tells destinations apart over restarts, `label` is for people; neither holds a secret."""

    @property
    def id(self) -> str: ...

    @property
    def label(self) -> str: ...

    def takes(self, message: Message) -> bool: ...

    def send(self, message: Message) -> str:
        """Deliver a message; returns why it could not be delivered, or "" when it was."""


@dataclass(frozen=True)
class Log:
    """Takes any message, by writing it where the process logs."""

    write: Callable[[str], None]
    id: str = "log"
    label: str = "log"

    def takes(self, message: Message) -> bool:
        return True

    def send(self, message: Message) -> str:
        self.write(f"{message.title}\n{message.body}")
        return ""


class AppriseDestination:
    """One service, and the owners and severities that it hears of; none named means all."""

    def __init__(self, url: str, owners: Iterable[str], severities: Iterable[str], position: int):
        import apprise

        self._owners, self._severities = frozenset(owners), frozenset(severities)
        self._service = apprise.Apprise.instantiate(url)
        if self._service is None:
            scheme = url.partition("://")[0]
            raise ValueError(f"WANDERBRICKS_ALERT_URLS: Apprise does not understand entry {position}, {scheme}://****")
        self.id = self._service.url_id()
        # Paths and queries of webhooks are secrets that Apprise cannot know of.
        authority = self._service.url(privacy=True).partition("://")[2]
        authority = re.split(r"[/?]", authority, maxsplit=1)[0]
        tags = ", ".join(sorted(self._owners | self._severities))
        self.label = f"{url.partition('://')[0]}://{authority} ({tags or 'everything'})"

    def takes(self, message: Message) -> bool:
        of_owner = not self._owners or not self._owners.isdisjoint(message.owners)
        return of_owner and (not self._severities or message.severity in self._severities)

    def send(self, message: Message) -> str:
        import apprise

        kind = {"ERROR": apprise.NotifyType.FAILURE, "WARN": apprise.NotifyType.WARNING}[message.severity]
        kind = apprise.NotifyType.SUCCESS if message.state == "recovered" else kind
        sender = apprise.Apprise()
        sender.add(self._service)
        result = sender.notify(
            message.body, title=message.title, notify_type=kind, body_format=apprise.NotifyFormat.TEXT
        )
        if result:
            return ""
        logged = [str(getattr(entry, "message", entry)) for entry in result.logs()]
        return logged[-1] if logged else "the service did not take it"


def alert_destinations(settings: Settings) -> list[AppriseDestination]:
    """The destinations that a person has set."""
    return parse(settings.alert_urls.get_secret_value()) if settings.alert_urls else []


def parse(urls: str) -> list[AppriseDestination]:
    """The destinations of WANDERBRICKS_ALERT_URLS: entries `[tag,tag=]url`, between spaces or newlines.

    A tag is an owner (`team:revenue`, an e-mail address) or a severity (`error`, `warn`). Raises ValueError, naming an
    entry by its place only, as an address may hold a secret.
    """
    found: dict[str, AppriseDestination] = {}
    for position, entry in enumerate(urls.split(), start=1):
        match = _ENTRY.fullmatch(entry)
        if not match:
            raise ValueError(f"WANDERBRICKS_ALERT_URLS: entry {position} is not [tag,tag=]scheme://...")
        tags = [tag for tag in (match["tags"] or "").split(",") if tag]
        severities = [tag.upper() for tag in tags if tag.upper() in SEVERITIES]
        owners = [tag for tag in tags if tag.upper() not in SEVERITIES]
        for owner in owners:
            if not _OWNER.fullmatch(owner):
                raise ValueError(
                    f"WANDERBRICKS_ALERT_URLS: entry {position} has a tag that is no severity (error, warn) and no "
                    "owner (team:name or an e-mail address)"
                )
        destination = AppriseDestination(match["url"], owners, severities, position)
        if destination.id in found:
            raise ValueError(f"WANDERBRICKS_ALERT_URLS: entry {position} is an address that was given before")
        found[destination.id] = destination
    return list(found.values())
