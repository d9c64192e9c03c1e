"""The serving endpoint of a Databricks workspace: the versions that may serve, behind one name.

`python -m wanderbricks_assets.activation.serving_endpoint` prints what deploy/databricks declares of it.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

import dagster as dg

from wanderbricks_assets.contracts.dagster_face import DATA_TEAM
from wanderbricks_assets.models.all import MODELS
from wanderbricks_assets.models.lifecycle import champion_key
from wanderbricks_assets.models.registry import ModelRegistry
from wanderbricks_assets.resources.workspace import said_by_workspace, workspace
from wanderbricks_assets.settings import settings
from wanderbricks_assets.targets import DEFAULT, ENDPOINT, TARGETS

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.service._internal import Wait
    from databricks.sdk.service.serving import (
        EndpointCoreConfigInput,
        EndpointCoreConfigOutput,
        ServingEndpointDetailed,
    )

LONGEST_WAIT = timedelta(minutes=40)  # an image is built for each new version, which takes ten to twenty


class NotServed(Exception):
    """The endpoint did not come to serve what it was told to, and serves what it did before; the message says why."""


def endpoint(versions: Mapping[str, str], schema: str) -> dict[str, object]:
    """The endpoint as the REST API and the bundle have it.

    versions: by registered name, without the schema; at least one. schema: the catalog.schema that holds the models.
    """
    entities = [
        {
            "name": name,
            "entity_name": f"{schema}.{name}",
            "entity_version": version,
            "workload_size": "Small",
            "scale_to_zero_enabled": True,
        }
        for name, version in versions.items()
    ]
    default = DEFAULT.registered_name if DEFAULT.registered_name in versions else next(iter(versions))
    routes = [{"served_model_name": name, "traffic_percentage": 100 * (name == default)} for name in versions]
    return {"name": ENDPOINT, "config": {"served_entities": entities, "traffic_config": {"routes": routes}}}


def declared() -> dict[str, object]:
    """The endpoint in the bundle, with all five models, each in the version of a variable."""
    names = [target.registered_name for target in TARGETS.values()]
    versions = {name: f"${{var.{name}}}" for name in names}
    about = {"description": "Version that serves; the asset `serving_endpoint` moves it.", "default": "1"}
    return {
        "variables": dict.fromkeys(names, about),
        "targets": {
            "prod": {
                "resources": {
                    "model_serving_endpoints": {"predictions": endpoint(versions, "${var.catalog}.${var.schema}")}
                }
            }
        },
    }


@dg.asset(
    group_name="serving",
    description=f"The endpoint {ENDPOINT}: every version that serves, answering over HTTP. A version is served only "
    "after it has answered a real request; otherwise the endpoint goes back to what it was.",
    owners=[DATA_TEAM],
    kinds={"databricks"},
    deps=[champion_key(model) for model in MODELS.values()],
)
def serving_endpoint(registry: ModelRegistry) -> dg.MaterializeResult:
    serving = {target: version for target in TARGETS.values() if (version := registry.serving_version(target))}
    versions = {target.registered_name: version for target, version in serving.items()}
    if not versions:
        return dg.MaterializeResult(metadata={"not served": "no version of any model has passed its gates yet"})
    examples = {target.registered_name: registry.serving_example(target, serving[target]) for target in serving}
    with said_by_workspace():
        changed = bring_up(workspace(), endpoint(versions, settings().databricks_schema), examples)
    return dg.MaterializeResult(metadata={**versions, "changed": changed})


def bring_up(client: "WorkspaceClient", wanted: Mapping, examples: Mapping[str, Mapping]) -> bool:
    """Make the endpoint serve what is wanted, and have each of its models answer one request; whether that was new.

    examples: a request by served entity. Raises NotServed; then the endpoint is as it was, or gone if it was not.
    """
    from databricks.sdk.errors import DatabricksError, NotFound, OperationFailed
    from databricks.sdk.service.serving import EndpointCoreConfigInput, EndpointStateConfigUpdate

    name, config, api = wanted["name"], EndpointCoreConfigInput.from_dict(wanted["config"]), client.serving_endpoints
    try:
        before = api.get(name)
        if before.state.config_update == EndpointStateConfigUpdate.IN_PROGRESS:  # of another run or a person
            before = api.wait_get_serving_endpoint_not_updating(name, LONGEST_WAIT)
    except NotFound:
        before = None
    except OperationFailed:
        before = api.get(name)
    if before and before.config and _served(before.config) == _served(config) and _is_ready(before):
        return False
    update = _update(client, name, config) if before else api.create(name, config=config)
    try:
        update.result(timeout=LONGEST_WAIT)
        for entity, example in examples.items():
            _ask(client, name, entity, example)
    except (DatabricksError, OperationFailed, TimeoutError, NotServed) as error:
        _go_back(client, name, before.config if before else None, error)
        raise NotServed(f"{name} was not changed, and is as it was: {error}") from error
    return True


def _served(config: "EndpointCoreConfigInput | EndpointCoreConfigOutput") -> set[tuple[str, str, str]]:
    return {(one.name, one.entity_name, one.entity_version) for one in config.served_entities or ()}


def _is_ready(endpoint_: "ServingEndpointDetailed") -> bool:
    from databricks.sdk.service.serving import EndpointStateConfigUpdate, EndpointStateReady

    state = endpoint_.state
    return state.ready == EndpointStateReady.READY and state.config_update == EndpointStateConfigUpdate.NOT_UPDATING


def _update(client: "WorkspaceClient", name: str, config: "EndpointCoreConfigInput") -> "Wait":
    return client.serving_endpoints.update_config(
        name, served_entities=config.served_entities, traffic_config=config.traffic_config
    )


def _ask(client: "WorkspaceClient", name: str, entity: str, example: Mapping) -> None:
    """One real request to one served entity. Raises NotServed when it is not answered row by row."""
    address = f"/serving-endpoints/{name}/served-models/{entity}/invocations"
    answer = client.api_client.do("POST", address, body=dict(example))
    rows, said = len(example["dataframe_split"]["data"]), isinstance(answer, dict) and answer.get("predictions")
    if not isinstance(said, list) or len(said) != rows:
        raise NotServed(f"{entity} was asked for {rows} predictions and answered {str(answer)[:200]}")


def _go_back(client: "WorkspaceClient", name: str, before: "EndpointCoreConfigOutput | None", why: Exception) -> None:
    from databricks.sdk.errors import DatabricksError, OperationFailed
    from databricks.sdk.service.serving import EndpointCoreConfigInput

    try:
        if before is None:
            client.serving_endpoints.delete(name)
        else:
            _update(client, name, EndpointCoreConfigInput.from_dict(before.as_dict())).result(timeout=LONGEST_WAIT)
    except (DatabricksError, OperationFailed, TimeoutError) as error:
        raise NotServed(f"{name} was changed in vain ({why}), and could not be brought back ({error})") from error


_JOB = dg.define_asset_job("serving_endpoint", dg.AssetSelection.assets(serving_endpoint))


# A promotion is served within the hour; where nothing has changed the endpoint is only looked at.
def serving_on_databricks() -> dg.Definitions:
    return dg.Definitions(
        assets=[serving_endpoint],
        jobs=[_JOB],
        schedules=[
            dg.ScheduleDefinition(
                job=_JOB,
                cron_schedule="30 * * * *",
                execution_timezone="UTC",
                default_status=dg.DefaultScheduleStatus.RUNNING,
            )
        ],
    )


if __name__ == "__main__":
    import sys

    import yaml

    class Plain(yaml.SafeDumper):
        """Without references between equal parts."""

        def ignore_aliases(self, data: object) -> bool:
            return True

    yaml.dump(declared(), sys.stdout, Plain, sort_keys=False, width=120)
