"""What stands before every request: token, size and time limits, and the counting of what came of it."""

from __future__ import annotations

import asyncio
import hmac
from dataclasses import dataclass
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Histogram
from pydantic_core import to_json
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wanderbricks_assets.serving.errors import ApiError, too_large, too_late, unauthenticated

OPEN_PATHS = ("/health", "/ready")  # answered without a token, as load balancers have none


@dataclass(frozen=True)
class Limits:
    """What one request may cost, so that the memory of the server is bounded: bytes of its body, rows, seconds; and
    how many predictions are made at once, and wait."""

    bytes: int = 16 * 2**20  # that of Databricks model serving
    rows: int = 10_000
    seconds: float = 30.0
    threads: int = 2
    waiting: int = 64


class Measures:
    """What Prometheus reads."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("route", "model")
        self.requests = Counter("wanderbricks_requests", "Requests answered", (*labels, "code"), registry=self.registry)
        self.seconds = Histogram(
            "wanderbricks_request_seconds",
            "Time to answer",
            labels,
            registry=self.registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30),
        )

    def count(self, scope: Scope, status: int, seconds: float) -> None:
        # Routes and models are few; paths that nobody serves would each be a series.
        route = getattr(scope.get("route"), "path", "none")
        model = scope["state"].get("model", "none")
        self.requests.labels(route, model, status).inc()
        self.seconds.labels(route, model).observe(seconds)


class Guard:
    """ASGI middleware. A refusal is answered as ApiError says it."""

    def __init__(self, app: ASGIApp, limits: Limits, measures: Measures, token: str | None):
        self._app, self._limits, self._measures, self._token = app, limits, measures, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = perf_counter(), 0
        scope.setdefault("state", {})

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            async with asyncio.timeout(self._limits.seconds):
                self._authorize(scope)
                await self._app(scope, await self._received(scope, receive), watched)
        except TimeoutError:
            if status:
                raise
            late = too_late(f"The answer took longer than {self._limits.seconds:g} s; ask for fewer rows at a time.")
            await respond(watched, late)
        except ApiError as refusal:
            await respond(watched, refusal)
        finally:
            self._measures.count(scope, status, perf_counter() - began)

    def _authorize(self, scope: Scope) -> None:
        if self._token is None or scope["path"] in OPEN_PATHS:
            return
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        if not hmac.compare_digest(given, f"Bearer {self._token}".encode()):
            raise unauthenticated()

    async def _received(self, scope: Scope, receive: Receive) -> Receive:
        """The whole body, never more of it than may be, ready to be received again."""
        most = self._limits.bytes
        sentence = f"A request may have {most:,} bytes, and this one has more; send the rows in parts."
        said = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if said.isdigit() and int(said) > most:
            raise too_large(sentence)
        chunks, size, more = [], 0, True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                break
            chunks.append(message.get("body", b""))
            size, more = size + len(chunks[-1]), message.get("more_body", False)
            if size > most:
                raise too_large(sentence)
        body: list[Message] = [{"type": "http.request", "body": b"".join(chunks)}]

        async def again() -> Message:
            return body.pop() if body else await receive()

        return again


async def respond(send: Send, refusal: ApiError) -> None:
    body = to_json({"error_code": refusal.code, "message": refusal.message})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if refusal.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
