"""The OpenAPI document: a path for each model with the rows that it asks for, and examples that run as they are
written, taken from what is served at the moment."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

from pydantic_core import from_json

from wanderbricks_assets.serving.endpoint import DEFAULT, ENDPOINT
from wanderbricks_assets.serving.frames import as_json
from wanderbricks_assets.targets import TARGETS, Target

if TYPE_CHECKING:
    from wanderbricks_assets.models.versions import Champion, Input
    from wanderbricks_assets.serving.served_models import ServedModels

_OPEN = ("/health", "/ready")
_TYPES = {"double": ["number", "null"], "long": "integer", "integer": "integer", "boolean": "boolean"}
_TYPES |= {"string": ["string", "null"], "datetime": "string"}


def documented(
    document: dict, values: dict[str, object], models: ServedModels, *, is_token_needed: bool
) -> dict[str, object]:
    """The document with a path for each model, with examples for the parameters by name, and with how to sign in."""
    document, champions = deepcopy(document), models.champions()
    paths: dict[str, dict] = {}
    for path, operations in document["paths"].items():
        path = path.replace("{endpoint}", ENDPOINT)  # there is one
        for operation in operations.values():
            _fill_in(operation, values)
            if path in _OPEN:
                operation["security"] = []
        if "{model}" in path:
            for target in TARGETS.values():
                invoked = _shown(_of_model(operations["post"], target), champions.get(target.model))
                paths[path.replace("{model}", target.registered_name)] = {"post": invoked}
        elif path.endswith("/invocations"):
            paths[path] = {"post": _shown(operations["post"], champions.get(DEFAULT.model))}
        else:
            paths[path] = operations
    document["paths"] = paths
    document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    # Without a token the server is on loopback, and asks for none.
    document["security"] = [{"token": []}] if is_token_needed else [{}, {"token": []}]
    return document


def _fill_in(operation: dict, values: dict[str, object]) -> None:
    in_path = ("endpoint", "model")  # of which the path has the values
    given = [parameter for parameter in operation.get("parameters", ()) if parameter["name"] not in in_path]
    operation["parameters"] = given
    for parameter in given:
        if parameter["name"] in values:
            parameter["example"] = values[parameter["name"]]


def _of_model(operation: dict, target: Target) -> dict:
    name = target.registered_name
    return operation | {"operationId": f"{operation['operationId']}_{name}", "summary": f"Invoke {name}"}


def _shown(operation: dict, champion: Champion | None) -> dict:
    """The operation that invokes a version, with the rows that it asks for, and one of them."""
    operation = deepcopy(operation)
    if champion is None:
        operation["description"] += "\n\nNo version serves at the moment."
        return operation
    content = operation["requestBody"]["content"]["application/json"]
    records, _ = content["schema"]["oneOf"]
    records["properties"]["dataframe_records"]["items"] = {
        "type": "object",
        "required": [column.name for column in champion.inputs if column.required],
        "properties": {column.name: _column(column) for column in champion.inputs},
    }
    [row] = from_json(as_json(dict(champion.pyfunc.input_example.head(1).items())))["predictions"]
    content["examples"] = {
        "records": {"value": {"dataframe_records": [row]}},
        "split": {"value": {"dataframe_split": {"columns": list(row), "data": [list(row.values())]}}},
    }
    return operation


def _column(column: Input) -> dict[str, object]:
    said: dict[str, object] = {"type": _TYPES[column.kind]}
    return said | ({"examples": ["2026-01-31T00:00:00"]} if column.kind == "datetime" else {})
