"""The OpenAPI document with examples that run as they are written, taken from what is served at the moment."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

from pydantic_core import from_json

from wanderbricks_assets.serving.endpoint import DEFAULT, ENDPOINT
from wanderbricks_assets.serving.frames import as_json
from wanderbricks_assets.targets import TARGETS

if TYPE_CHECKING:
    from wanderbricks_assets.models.registry import Champion
    from wanderbricks_assets.serving.served_models import ServedModels


def with_examples(document: dict, values: dict[str, object], models: ServedModels) -> dict:
    """The document with examples for the parameters, by name, and for the bodies of invocations, one per model."""
    document = deepcopy(document)
    served = {TARGETS[name].registered_name: _body(champion) for name, champion in models.champions().items()}
    values = values | {"endpoint": ENDPOINT, "model": next(iter(served), DEFAULT.registered_name)}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                if parameter["name"] in values:
                    parameter["example"] = values[parameter["name"]]
            if "requestBody" in operation and path.endswith("/invocations"):
                bodies = served if "{model}" in path else {DEFAULT.registered_name: served.get(DEFAULT.registered_name)}
                content = operation["requestBody"]["content"]["application/json"]
                content["examples"] = {name: {"value": body} for name, body in bodies.items() if body}
    return document


def _body(champion: Champion) -> dict[str, object]:
    rows = from_json(as_json(champion.pyfunc.input_example.head(1)))["predictions"]
    return {"dataframe_records": rows}
