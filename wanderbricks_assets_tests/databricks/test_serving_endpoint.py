"""The serving endpoint as an asset, against a stand-in for the workspace."""

from datetime import timedelta

import pytest

from wanderbricks_assets.activation import serving_endpoint
from wanderbricks_assets.activation.serving_endpoint import ENDPOINT, NotServed, bring_up, endpoint
from wanderbricks_assets.resources.workspace import workspace
from wanderbricks_assets_tests.databricks.stand_in import StandIn

REVENUE, DEMAND = "wanderbricks_revenue_forecaster", "wanderbricks_demand_predictor"
EXAMPLE = {"dataframe_split": {"columns": ["ds"], "data": [["2024-01-01"], ["2024-01-02"]]}}


def serve(**versions: str) -> bool:
    return bring_up(workspace(), endpoint(versions, "main.wanderbricks"), dict.fromkeys(versions, EXAMPLE))


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK sleeps seconds between two looks."""
    monkeypatch.setattr("databricks.sdk.service.serving.time.sleep", lambda seconds: None)


def test_every_version_is_served_small_and_scaled_to_zero():
    wanted = endpoint({DEMAND: "3", REVENUE: "7"}, "main.wanderbricks")
    assert wanted["name"] == "wanderbricks-predictions"
    demand, _ = wanted["config"]["served_entities"]
    assert demand == {
        "name": DEMAND,
        "entity_name": f"main.wanderbricks.{DEMAND}",
        "entity_version": "3",
        "workload_size": "Small",
        "scale_to_zero_enabled": True,
    }
    assert [route["traffic_percentage"] for route in wanted["config"]["traffic_config"]["routes"]] == [0, 100]


def test_it_is_made_then_left_alone_then_moved(stand_in: StandIn):
    assert serve(**{REVENUE: "1"})
    asked = [request for request in stand_in.requests if request.endswith("invocations")]
    assert asked == [f"POST /serving-endpoints/{ENDPOINT}/served-models/{REVENUE}/invocations"]
    assert not serve(**{REVENUE: "1"})
    assert serve(**{REVENUE: "2", DEMAND: "1"})
    assert stand_in.serving.configs == [["1"], ["2", "1"]]


@pytest.mark.parametrize("how", ["fails", "dumb"])
def test_a_version_that_does_not_come_up_or_answer_is_taken_back(how: str, stand_in: StandIn):
    serve(**{REVENUE: "1"})
    getattr(stand_in.serving, how).add("2")
    with pytest.raises(NotServed, match="is as it was"):
        serve(**{REVENUE: "2"})
    assert stand_in.serving.configs == [["1"], ["2"], ["1"]]
    assert [one.entity_version for one in workspace().serving_endpoints.get(ENDPOINT).config.served_entities] == ["1"]
    assert not serve(**{REVENUE: "1"})


def test_a_first_version_that_does_not_answer_leaves_no_endpoint(stand_in: StandIn):
    stand_in.serving.dumb.add("1")
    with pytest.raises(NotServed):
        serve(**{REVENUE: "1"})
    assert stand_in.serving.by_name == {}


def test_what_could_not_be_taken_back_is_said(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch):
    serve(**{REVENUE: "1"})
    stand_in.serving.fails |= {"1", "2"}
    with pytest.raises(NotServed, match="could not be brought back"):
        serve(**{REVENUE: "2"})


def test_an_endpoint_that_never_gets_ready_is_given_up(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch):
    serve(**{REVENUE: "1"})
    monkeypatch.setattr(serving_endpoint, "LONGEST_WAIT", timedelta(seconds=0))
    with pytest.raises(NotServed, match="timed out"):
        serve(**{REVENUE: "2"})
