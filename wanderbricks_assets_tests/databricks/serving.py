"""The serving endpoints of the stand-in: their life and their answers, by the SDK's types."""

import json
from dataclasses import dataclass, field
from http import HTTPStatus

from databricks.sdk.service.serving import (
    EndpointCoreConfigInput,
    EndpointCoreConfigOutput,
    EndpointState,
    EndpointStateConfigUpdate,
    EndpointStateReady,
    ServingEndpointDetailed,
)


class Refusal(Exception):
    """An answer that is an error, as Databricks words them."""

    def __init__(self, status: HTTPStatus, code: str, message: str):
        super().__init__(message)
        self.status, self.body = status, {"error_code": code, "message": message}


@dataclass
class Endpoint:
    config: EndpointCoreConfigInput | None = None
    pending: EndpointCoreConfigInput | None = None
    update: EndpointStateConfigUpdate = EndpointStateConfigUpdate.NOT_UPDATING


@dataclass
class ServingEndpoints:
    """`fails`: versions whose deployment fails; `dumb`: those that are deployed and answer wrongly. Each update is seen
    under way once."""

    by_name: dict[str, Endpoint] = field(default_factory=dict)
    fails: set[str] = field(default_factory=set)
    dumb: set[str] = field(default_factory=set)
    configs: list[list[str]] = field(default_factory=list)

    def call(self, method: str, name: str | None, what: str | None, asked: dict) -> dict:
        """/api/2.0/serving-endpoints[/name[/config]]"""
        if method == "POST":
            name = asked["name"]
            if name in self.by_name:
                raise Refusal(HTTPStatus.CONFLICT, "RESOURCE_ALREADY_EXISTS", f"Endpoint {name} already exists.")
            self.by_name[name] = Endpoint()
            return self._begin(name, EndpointCoreConfigInput.from_dict(asked["config"]))
        if name not in self.by_name:
            raise Refusal(
                HTTPStatus.NOT_FOUND, "RESOURCE_DOES_NOT_EXIST", f"Endpoint with name '{name}' does not exist."
            )
        if method == "DELETE":
            del self.by_name[name]
            return {}
        if (method, what) == ("PUT", "config"):
            return self._begin(name, EndpointCoreConfigInput.from_dict(asked))
        found = self._described(name)
        self._go_on(self.by_name[name])
        return found

    def invoke(self, name: str, entity: str, asked: dict) -> dict:
        """/serving-endpoints/{name}/served-models/{entity}/invocations"""
        config = self.by_name[name].config
        version = next((one.entity_version for one in config.served_entities if one.name == entity), None)
        if version is None:
            raise Refusal(HTTPStatus.NOT_FOUND, "RESOURCE_DOES_NOT_EXIST", f"{entity} is not served")
        if version in self.dumb:
            return {"predictions": []}
        return {"predictions": [{"said": version} for _ in asked["dataframe_split"]["data"]]}

    def _begin(self, name: str, config: EndpointCoreConfigInput) -> dict:
        endpoint = self.by_name[name]
        if endpoint.update == EndpointStateConfigUpdate.IN_PROGRESS:
            raise Refusal(HTTPStatus.CONFLICT, "RESOURCE_CONFLICT", f"Endpoint {name} is being updated.")
        if sum(route.traffic_percentage for route in config.traffic_config.routes) != 100:
            raise Refusal(HTTPStatus.BAD_REQUEST, "INVALID_PARAMETER_VALUE", "traffic percentages must sum to 100")
        endpoint.pending, endpoint.update = config, EndpointStateConfigUpdate.IN_PROGRESS
        self.configs.append([entity.entity_version for entity in config.served_entities])
        return self._described(name)

    def _go_on(self, endpoint: Endpoint) -> None:
        if endpoint.update != EndpointStateConfigUpdate.IN_PROGRESS:
            return
        if any(entity.entity_version in self.fails for entity in endpoint.pending.served_entities):
            endpoint.update = EndpointStateConfigUpdate.UPDATE_FAILED
        else:
            endpoint.config, endpoint.update = endpoint.pending, EndpointStateConfigUpdate.NOT_UPDATING
        endpoint.pending = None

    def _described(self, name: str) -> dict:
        endpoint = self.by_name[name]
        ready = EndpointStateReady.READY if endpoint.config else EndpointStateReady.NOT_READY
        config = EndpointCoreConfigOutput.from_dict(endpoint.config.as_dict()) if endpoint.config else None
        state = EndpointState(config_update=endpoint.update, ready=ready)
        return json.loads(json.dumps(ServingEndpointDetailed(name=name, config=config, state=state).as_dict()))
