"""The HTTP service: serving endpoint, product API, health and measures. `wanderbricks serve` runs it."""

from __future__ import annotations

import asyncio
import ipaddress
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.exceptions import HTTPException

from wanderbricks_assets.activation.online_view import OnlineView
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.resources.tables import lake_of
from wanderbricks_assets.serving.deciding import decision_routes
from wanderbricks_assets.serving.documented import documented
from wanderbricks_assets.serving.endpoint import ENDPOINT, endpoint_routes
from wanderbricks_assets.serving.errors import ApiError, ErrorBody
from wanderbricks_assets.serving.guard import Guard, Limits, Measures
from wanderbricks_assets.serving.predicting import Predicting
from wanderbricks_assets.serving.product import examples, product_routes
from wanderbricks_assets.serving.served_models import ServedModels, broken_sentence
from wanderbricks_assets.settings import settings

_DOCS = Path(__file__).parent / "docs.html"
_REFUSALS: dict[int | str, dict[str, Any]] = {
    code: {"model": ErrorBody} for code in (400, 401, 404, 409, 413, 422, 429, 503, 504)
}


def create_app(
    models: ServedModels,
    view: OnlineView,
    lake: Lake | None = None,
    *,
    limits: Limits | None = None,
    token: str | None = None,
) -> FastAPI:
    """The service over these models. With a token, every request must carry it, except those for health. With a lake,
    decisions about prices are recorded in it."""
    limits, measures = limits or Limits(), Measures()
    predicting = Predicting(limits)
    measures.registry.register(_Versions(models))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        models.start()
        yield
        await asyncio.to_thread(models.stop)
        view.close()

    # The pages that FastAPI brings fetch their scripts from another machine.
    app = FastAPI(
        title="Wanderbricks predictions",
        version="1",
        lifespan=lifespan,
        responses=_REFUSALS,
        docs_url=None,
        redoc_url=None,
    )
    app.add_middleware(Guard, limits=limits, measures=measures, token=token)
    app.include_router(endpoint_routes(models, predicting, limits.rows))
    app.include_router(product_routes(models, view, predicting))
    if lake is not None:
        app.include_router(decision_routes(lake, predicting))
    describe = app.openapi
    app.openapi = lambda: documented(  # type: ignore[method-assign]  # as FastAPI says it is to be extended
        describe(), examples(view), models, is_token_needed=token is not None
    )

    @app.exception_handler(ApiError)
    async def refuse(_: Request, refusal: ApiError) -> JSONResponse:
        return _refused(refusal.status, refusal.code, refusal.message)

    @app.exception_handler(sqlite3.DatabaseError)
    async def refuse_view(_: Request, error: sqlite3.DatabaseError) -> JSONResponse:
        """The view is damaged, or of another release; the next one replaces it."""
        return _refused(
            503, "TEMPORARILY_UNAVAILABLE", f"The online view cannot be read ({error}); materialize online_view."
        )

    @app.exception_handler(RequestValidationError)
    async def refuse_parameters(_: Request, error: RequestValidationError) -> JSONResponse:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc'][1:]))}: {each['msg']}" for each in error.errors())
        return _refused(400, "BAD_REQUEST", wrong)

    @app.exception_handler(HTTPException)
    async def refuse_path(request: Request, error: HTTPException) -> JSONResponse:
        code = {404: "ENDPOINT_NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}.get(error.status_code, "BAD_REQUEST")
        return _refused(error.status_code, code, f"{error.detail}: {request.url.path}", error.headers)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return Response(_DOCS.read_bytes(), media_type="text/html")

    @app.get("/health", tags=["operation"])
    async def health() -> dict[str, object]:
        """The server is alive; `broken` says which promoted versions it cannot use."""
        broken = {name: broken_sentence(each) for name, each in models.broken().items()}
        return {"status": "degraded" if broken else "ok", "broken": broken}

    @app.get("/ready", tags=["operation"])
    async def ready() -> JSONResponse:
        """The registry has been read, and these versions serve; 503 before."""
        if not models.is_ready:
            return _refused(503, "TEMPORARILY_UNAVAILABLE", "The registry has not been read yet.")
        return JSONResponse({"status": "ready", "models": models.versions()})

    @app.get("/metrics", tags=["operation"], response_class=PlainTextResponse)
    @app.get(f"/api/2.0/serving-endpoints/{ENDPOINT}/metrics", include_in_schema=False)
    async def metrics() -> Response:
        """Requests, their time, and the versions that serve, for Prometheus."""
        return Response(generate_latest(measures.registry), media_type=CONTENT_TYPE_LATEST)

    return app


def from_settings() -> FastAPI:
    """The service of the home that this process has entered."""
    token, view = settings().serve_token, OnlineView(settings().online_view)
    lake = lake_of(settings())
    return create_app(ServedModels(_registry), view, lake, token=token.get_secret_value() if token else None)


def run(host: str, port: int, workers: int) -> None:
    """Serve until stopped. Raises ValueError where anybody could reach the server and no token is set."""
    import uvicorn

    if settings().serve_token is None and not is_loopback(host):
        raise ValueError(f"{host} can be reached from outside: set WANDERBRICKS_SERVE_TOKEN to the token to ask for")
    uvicorn.run(
        f"{__name__}:from_settings",
        factory=True,
        host=host,
        port=port,
        workers=workers,
        log_level="info",
        access_log=False,
        # Longer than clients keep an idle connection: one that is closed when it is used again is a dropped request.
        timeout_keep_alive=75,
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _registry():
    from wanderbricks_assets.models.registry import ModelRegistry

    return ModelRegistry.of(settings())


def _refused(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error_code": code, "message": message}, status, headers)


class _Versions(Collector):
    """What serves, as it stands when Prometheus asks."""

    def __init__(self, models: ServedModels):
        self._models = models

    def collect(self):
        versions = GaugeMetricFamily("wanderbricks_served_version", "1 for what serves", labels=("model", "version"))
        for name, version in self._models.versions().items():
            versions.add_metric((name, version), 1)
        yield versions
        broken = GaugeMetricFamily(
            "wanderbricks_broken_version", "1 for what should serve and cannot", labels=("model", "version")
        )
        for name, each in self._models.broken().items():
            broken.add_metric((name, each.version), 1)
        yield broken
        yield CounterMetricFamily(
            "wanderbricks_registry_failures", "Times the registry could not be read", value=self._models.failures
        )
