"""The endpoint `wanderbricks-predictions` with the contract of Databricks model serving."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response

from wanderbricks_assets.serving.errors import bad_request, unknown
from wanderbricks_assets.serving.frames import as_json, read_columns
from wanderbricks_assets.serving.predicting import Predicting
from wanderbricks_assets.serving.served_models import ServedModels
from wanderbricks_assets.targets import DEFAULT, ENDPOINT, Target

if TYPE_CHECKING:
    from wanderbricks_assets.models.versions import Champion

logger = logging.getLogger(__name__)

_BODY = {
    "oneOf": [
        {
            "type": "object",
            "required": ["dataframe_records"],
            "properties": {"dataframe_records": {"type": "array", "minItems": 1, "items": {"type": "object"}}},
        },
        {
            "type": "object",
            "required": ["dataframe_split"],
            "properties": {
                "dataframe_split": {
                    "type": "object",
                    "required": ["columns", "data"],
                    "properties": {
                        "index": {"type": "array"},
                        "columns": {"type": "array", "items": {"type": "string"}},
                        "data": {"type": "array", "minItems": 1, "items": {"type": "array"}},
                    },
                    "additionalProperties": False,
                }
            },
        },
    ]
}
_OPENAPI = {"requestBody": {"required": True, "content": {"application/json": {"schema": _BODY}}}}
_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["predictions"],
                    "properties": {"predictions": {"type": "array", "items": {"type": "object"}}},
                }
            }
        }
    }
}


def endpoint_routes(models: ServedModels, predicting: Predicting, most_rows: int) -> APIRouter:
    """Invocations of the served models, and what the endpoint says about itself."""
    router = APIRouter(tags=["Databricks model serving"])
    answer = partial(_answer, models, predicting, most_rows)

    @router.post(
        "/serving-endpoints/{endpoint}/served-models/{model}/invocations",
        openapi_extra=_OPENAPI,
        responses=_ANSWER,
        response_class=Response,
    )
    async def invoke_served_model(endpoint: str, model: str, request: Request) -> Response:
        """Rows in the columns of the model's MLflow signature; the answer has one prediction for each. `model` is the
        registered name, with or without `wanderbricks_`."""
        _check_endpoint(endpoint)
        return await answer(models.target(model), request)

    @router.post(
        "/serving-endpoints/{endpoint}/invocations",
        openapi_extra=_OPENAPI,
        responses=_ANSWER,
        response_class=Response,
    )
    async def invoke_endpoint(endpoint: str, request: Request) -> Response:
        """The same, of the model that has all of the endpoint's traffic: the revenue forecaster."""
        _check_endpoint(endpoint)
        return await answer(DEFAULT, request)

    @router.get("/api/2.0/serving-endpoints")
    async def list_endpoints() -> dict[str, object]:
        await models.ready()
        return {"endpoints": [_described(models)]}

    @router.get("/api/2.0/serving-endpoints/{endpoint}")
    async def get_endpoint(endpoint: str) -> dict[str, object]:
        """State and served versions, as `serving_endpoints.get` of the Databricks SDK reads them."""
        _check_endpoint(endpoint)
        await models.ready()
        return _described(models)

    return router


async def _answer(models: ServedModels, predicting: Predicting, most_rows: int, target: Target, request: Request):
    request.state.model = target.registered_name
    await models.ready()
    champion = models.champion(target)
    return Response(
        await predicting.run(_predict, champion, await request.body(), most_rows),
        media_type="application/json",
        headers={"served-model-name": target.registered_name, "served-model-version": champion.version},
    )


def _predict(champion: Champion, body: bytes, most_rows: int) -> bytes:
    columns = read_columns(body, champion.inputs, most_rows)
    try:
        return as_json(champion.model.predict_columns(columns))
    except Exception as error:
        # MLflow's scoring server blames the rows, too: types are right, but values may be what no model can use.
        logger.exception("%s could not predict", champion.model.name)
        raise bad_request(
            f"Encountered an unexpected error while evaluating the model. Verify that the input is compatible with the "
            f"model for inference. Error '{type(error).__name__}: {error}'"
        ) from error


def _check_endpoint(name: str) -> None:
    if name != ENDPOINT:
        raise unknown(f"Serving endpoint '{name[:100]}' does not exist; this server has '{ENDPOINT}'.")


def _described(models: ServedModels) -> dict[str, object]:
    entities = [
        {
            "name": name,
            "entity_name": name,
            "entity_version": version,
            "workload_size": "Small",
            "scale_to_zero_enabled": False,
            "state": {"deployment": "DEPLOYMENT_READY", "deployment_state_message": ""},
        }
        for name, version in models.versions().items()
    ]
    routes = [{"served_model_name": DEFAULT.registered_name, "traffic_percentage": 100}]
    return {
        "name": ENDPOINT,
        "id": ENDPOINT,
        "state": {"ready": "READY" if entities else "NOT_READY", "config_update": "NOT_UPDATING"},
        "config": {"served_entities": entities, "traffic_config": {"routes": routes}},
    }
