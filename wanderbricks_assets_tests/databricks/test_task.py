"""What a job does once it has its orders, in this process."""

import dagster as dg

from wanderbricks_assets.databricks_task import materialize
from wanderbricks_assets.predictions.assets import DRIFT

DAY = "2024-01-05"
PREDICTED = dg.AssetMaterialization(
    "revenue_forecast",
    partition=DAY,
    metadata={"model_version": "3", DRIFT: dg.MetadataValue.json({"inputs": {"lead_time": [0.4, 0.25]}})},
)


class Pipe:
    """Stands for the connection to Dagster: keeps what is reported."""

    run_id = "5b0f2c0e-9a0c-4b8c-9e0e-0d8a4a3f7c11"

    def __init__(self) -> None:
        self.messages: list[dict] = []

    def report_custom_message(self, message: dict) -> None:
        self.messages.append(message)


def test_what_dagsters_log_remembers_is_known_to_a_step_that_asks_for_it():
    """The drift of a day was noted when the day was predicted, by another job."""
    pipe = Pipe()
    order = {
        "assets": [],
        "checks": [["revenue_forecast", "has_not_drifted"]],
        "tags": {"dagster/partition": DAY},
        "remembered": [dg.serialize_value(PREDICTED)],
    }
    materialize(pipe, order)
    report = pipe.messages[0]["report"]
    (found,) = map(dg.deserialize_value, report["events"])
    assert (found.check_name, found.partition, found.passed) == ("has_not_drifted", DAY, False)
    assert "lead_time 0.40" in found.description
    assert report["error"] == ""
