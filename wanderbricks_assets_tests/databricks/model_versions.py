"""The models of the stand-in's Unity Catalog, as MLflow's client asks for them: versions, tags and aliases."""

import re
from dataclasses import dataclass, field
from http import HTTPStatus

from wanderbricks_assets_tests.databricks.serving import Refusal

PAGE = 2


@dataclass
class ModelVersions:
    """`runs`: of a model's full name the run of each version, the first being version 1."""

    runs: dict[str, list[str]] = field(default_factory=dict)
    tags: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    aliases: dict[tuple[str, str], str] = field(default_factory=dict)

    def call(self, method: str, what: str, asked: dict) -> dict:
        """/api/2.0/mlflow/unity-catalog/{what}"""
        match method, what:
            case "GET", "model-versions/search":
                return self._search(asked)
            case "GET", "model-versions/get":
                return {"model_version": self._version(asked["name"], asked["version"])}
            case "GET", "registered-models/get":
                if asked["name"] not in self.runs:
                    raise _missing(f"Model {asked['name']} does not exist.")
                return {"registered_model": {"name": asked["name"]}}
            case "POST", "model-versions/set-tag":
                self.tags.setdefault((asked["name"], asked["version"]), {})[asked["key"]] = asked["value"]
                return {}
            case "POST", "registered-models/alias":
                self.aliases[asked["name"], asked["alias"]] = asked["version"]
                return {}
            case "GET", "registered-models/alias":
                version = self.aliases.get((asked["name"], asked["alias"]))
                if version is None:
                    raise _missing(f"Alias {asked['alias']} of {asked['name']} does not exist.")
                return {"model_version": self._version(asked["name"], version)}
        raise Refusal(HTTPStatus.NOT_FOUND, "ENDPOINT_NOT_FOUND", f"{method} {what}")

    def _search(self, asked: dict) -> dict:
        condition = re.fullmatch(r"(name|run_id) = '([^']+)'", asked["filter"])
        if condition is None:
            raise Refusal(HTTPStatus.BAD_REQUEST, "INVALID_PARAMETER_VALUE", f"Unsupported filter {asked['filter']}")
        found = [
            {"name": name, "version": str(number), "run_id": run}
            for name, runs in self.runs.items()
            for number, run in enumerate(runs, start=1)
            if condition[2] == {"name": name, "run_id": run}[condition[1]]
        ]
        start = int(asked.get("page_token") or 0)
        more = {"next_page_token": str(start + PAGE)} if len(found) > start + PAGE else {}
        return {"model_versions": found[start : start + PAGE], **more}

    def _version(self, name: str, version: str) -> dict:
        if int(version) > len(self.runs.get(name, [])):
            raise _missing(f"Version {version} of {name} does not exist.")
        tags = [{"key": key, "value": value} for key, value in self.tags.get((name, version), {}).items()]
        return {"name": name, "version": version, "run_id": self.runs[name][int(version) - 1], "tags": tags}


def _missing(message: str) -> Refusal:
    return Refusal(HTTPStatus.NOT_FOUND, "RESOURCE_DOES_NOT_EXIST", message)
