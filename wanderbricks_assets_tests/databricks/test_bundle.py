"""The bundle, as far as it can be checked without a workspace: every resource is what the SDK's types know, whole."""

from pathlib import Path

import pytest
import yaml
from databricks.sdk.service.apps import App
from databricks.sdk.service.jobs import JobSettings
from databricks.sdk.service.serving import EndpointCoreConfigInput

from wanderbricks_assets.activation.serving_endpoint import declared
from wanderbricks_assets.resources.databricks_jobs import ENTRY_POINT, environment
from wanderbricks_assets.settings import Settings
from wanderbricks_assets.targets import TARGETS

BUNDLE = Path(__file__).parents[2] / "deploy" / "databricks"
# What a bundle says of a resource beside what the API does.
OF_BUNDLES = {"permissions", "source_code_path"}


def read(name: str) -> dict:
    return yaml.safe_load((BUNDLE / name).read_text())


def resource(kind: str) -> dict:
    found = [read(f"resources/{file.name}").get("resources", {}) for file in (BUNDLE / "resources").glob("*.yml")]
    (one,) = [only for resources in found for only in resources.get(kind, {}).values()]
    return one


@pytest.mark.parametrize(("kind", "type_"), [("jobs", JobSettings), ("apps", App)])
def test_a_resource_has_no_field_that_the_sdk_does_not_know(kind: str, type_: type):
    said = {name: value for name, value in resource(kind).items() if name not in OF_BUNDLES}
    assert type_.from_dict(said).as_dict() == said


def test_the_endpoint_is_the_one_that_the_asset_makes():
    assert read("resources/serving_endpoint.yml") == declared()
    endpoint = declared()["targets"]["prod"]["resources"]["model_serving_endpoints"]["predictions"]
    assert endpoint["name"] == "wanderbricks-predictions"
    assert EndpointCoreConfigInput.from_dict(endpoint["config"]).as_dict() == endpoint["config"]
    assert len(endpoint["config"]["served_entities"]) == len(TARGETS)
    assert all(entity["workload_size"] == "Small" for entity in endpoint["config"]["served_entities"])


def test_the_doctor_looks_at_the_environment_that_assets_run_in():
    (found,), asked = resource("jobs")["environments"], environment(Settings()).as_dict()
    assert found["environment_key"] == asked["environment_key"]
    assert found["spec"]["environment_version"] == asked["spec"]["environment_version"]


def test_every_file_variable_and_command_that_is_named_exists():
    bundle = read("databricks.yml")
    text = "\n".join(file.read_text() for file in BUNDLE.rglob("*.y*ml"))
    variables = {**bundle["variables"], **declared()["variables"]}
    assert all(f"${{var.{name}}}" in text for name in variables)
    assert set(bundle["targets"]) == {"dev", "prod"}
    scripts = (BUNDLE.parents[1] / "pyproject.toml").read_text()
    assert f'{resource("jobs")["tasks"][0]["python_wheel_task"]["entry_point"]} = "' in scripts
    assert f'{ENTRY_POINT} = "' in scripts
    app = BUNDLE / "resources" / resource("apps")["source_code_path"]
    assert {file.name for file in app.iterdir() if file.suffix != ".whl"} == {"app.yaml", "requirements.txt"}
    names = {variable["name"] for variable in read("dashboard/app.yaml")["env"]}
    ours = {name.removeprefix("WANDERBRICKS_").lower() for name in names if name.startswith("WANDERBRICKS_")}
    assert ours <= set(Settings.model_fields)
    secrets = {one["name"] for one in resource("apps")["resources"]}
    assert {variable.get("valueFrom") for variable in read("dashboard/app.yaml")["env"]} - {None} == secrets
