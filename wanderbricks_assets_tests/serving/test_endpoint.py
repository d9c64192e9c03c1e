"""The contract of Databricks model serving, over HTTP and by the clients that people use."""

import threading
import time

import pandas as pd
import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import BadRequest, NotFound
from databricks.sdk.service.serving import DataframeSplitInput, EndpointStateReady

from wanderbricks_assets.serving.endpoint import ENDPOINT
from wanderbricks_assets_tests.models.returning_customers import CUTOFF
from wanderbricks_assets_tests.serving.conftest import (
    PREFIX,
    REVENUE,
    REVENUE_ROW,
    REVENUE_URL,
    VALUE,
    VALUE_URL,
    Constant,
    client_of,
    register,
    serving,
)


@pytest.fixture
def workspace(address) -> WorkspaceClient:
    return WorkspaceClient(host=address, token="x")


def test_rows_as_records_and_as_a_split_frame_give_the_same_predictions(client):
    records = client.post(REVENUE_URL, json={"dataframe_records": [REVENUE_ROW]})
    split = {"columns": list(REVENUE_ROW), "data": [list(REVENUE_ROW.values())]}
    assert records.json() == {"predictions": [{"ds": "2024-06-03T00:00:00", "yhat": 150.0}]}
    assert client.post(REVENUE_URL, json={"dataframe_split": split}).json() == records.json()
    assert records.headers["served-model-name"] == REVENUE.registered_name


def test_a_served_model_says_what_the_model_itself_says(client, customers):
    model, inputs = customers
    some = inputs.head(50)
    body = {"dataframe_split": some.astype(object).where(some.notna(), None).to_dict("split")}
    served = client.post(VALUE_URL, json=body).json()["predictions"]
    pd.testing.assert_frame_equal(pd.DataFrame(served), model.predict(some))


def test_the_databricks_sdk_reads_the_endpoint_and_queries_it(workspace):
    endpoint = workspace.serving_endpoints.get(ENDPOINT)
    assert endpoint.state.ready == EndpointStateReady.READY
    assert [(each.entity_name, each.entity_version) for each in endpoint.config.served_entities] == [
        ("wanderbricks_revenue_forecaster", "1"),
        ("wanderbricks_customer_ltv", "1"),
    ]
    assert [each.name for each in workspace.serving_endpoints.list()] == [ENDPOINT]
    query = workspace.serving_endpoints.query
    split = DataframeSplitInput(columns=list(REVENUE_ROW), data=[list(REVENUE_ROW.values())])
    for answer in (
        query(ENDPOINT, dataframe_records=[REVENUE_ROW]),
        query(f"{ENDPOINT}/served-models/revenue_forecaster", dataframe_split=split),
    ):
        assert answer.predictions == [{"ds": "2024-06-03T00:00:00", "yhat": 150.0}]
        assert answer.served_model_name == REVENUE.registered_name


def test_the_databricks_sdk_knows_the_errors(workspace):
    with pytest.raises(BadRequest, match="on_the_books"):
        workspace.serving_endpoints.query(ENDPOINT, dataframe_records=[{"ds": "2024-06-03", "horizon_days": 1}])
    with pytest.raises(NotFound, match="does not exist"):
        workspace.serving_endpoints.get("another")


def test_the_deployments_client_of_mlflow_predicts(address, monkeypatch):
    from mlflow.deployments import get_deploy_client

    monkeypatch.setenv("DATABRICKS_HOST", address)
    monkeypatch.setenv("DATABRICKS_TOKEN", "x")
    answer = get_deploy_client("databricks").predict(endpoint=ENDPOINT, inputs={"dataframe_records": [REVENUE_ROW]})
    assert answer["predictions"] == [{"ds": "2024-06-03T00:00:00", "yhat": 150.0}]


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"on_the_books": None, "horizon_days": 1.0}, "Model is missing inputs ['ds']."),
        ({"horizon_days": "one"}, "Column 'horizon_days' must hold numbers or null (double), and holds \"one\"."),
        ({"horizon_days": True}, "Column 'horizon_days' must hold numbers or null (double), and holds true."),
        ({"ds": "tomorrow"}, "Column 'ds' must hold times such as 2026-01-31T00:00:00 (datetime"),
        ({"ds": "9999-01-01"}, "Column 'ds' must hold times such as 2026-01-31T00:00:00 (datetime"),
        ({"horizon_days": 91.0}, "Error 'ValueError: horizons end at 90 days'"),
    ],
)
def test_rows_that_do_not_fit_the_signature_are_refused_by_column(client, row, sentence):
    row = row if "Model is missing" in sentence else REVENUE_ROW | row
    answer = client.post(REVENUE_URL, json={"dataframe_records": [row]})
    assert (answer.status_code, answer.json()["error_code"]) == (400, "BAD_REQUEST")
    assert sentence in answer.json()["message"]


def test_columns_that_the_signature_does_not_name_are_left_out_as_in_mlflow(client):
    answer = client.post(REVENUE_URL, json={"dataframe_records": [REVENUE_ROW | {"note": "hello"}]})
    assert answer.json()["predictions"][0]["yhat"] == 150.0


@pytest.mark.parametrize("body", ["", "[]", "{", '{"dataframe_records": []}', '{"dataframe_split": {"data": [[1]]}}'])
def test_a_body_that_holds_no_rows_is_a_bad_request(client, body):
    answer = client.post(REVENUE_URL, content=body)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "BAD_REQUEST")


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("demand_predictor", "nothing was trained yet"),
        ("wanderbricks_conversion_predictor", "no page view was followed by a booking"),
        ("weather", "No served model has the name 'weather'"),
    ],
)
def test_a_model_that_may_not_serve_says_why(client, model, sentence):
    answer = client.post(f"{PREFIX}{model}/invocations", json={"dataframe_records": [{}]})
    assert (answer.status_code, answer.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert sentence in answer.json()["message"]


def test_a_newly_promoted_version_serves_without_a_dropped_request(registry):
    seen: list[tuple[int, float | str]] = []
    stop = threading.Event()

    def ask(address: str) -> None:
        with client_of(address) as client:
            while not stop.is_set():
                answer = client.post(REVENUE_URL, json={"dataframe_records": [REVENUE_ROW]})
                seen.append((answer.status_code, answer.json().get("predictions", [{}])[0].get("yhat")))

    with serving(registry) as (address, models):
        askers = [threading.Thread(target=ask, args=(address,)) for _ in range(3)]
        for asker in askers:
            asker.start()
        _wait_until(lambda: len(seen) > 20)
        first = registry.serving_version(REVENUE)
        second = register(registry, Constant(revenue=900.0), Constant.inputs({}, CUTOFF))
        _wait_until(lambda: models.versions()[REVENUE.registered_name] == second)
        answered = len(seen)
        _wait_until(lambda: len(seen) > answered + 20)
        stop.set()
        for asker in askers:
            asker.join()
    registry.promote(REVENUE, first)
    assert {code for code, _ in seen} == {200}
    assert {value for _, value in seen} == {150.0, 950.0}
    assert [value for _, value in seen[-5:]] == [950.0] * 5


def _wait_until(holds, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_columns_give_the_numbers_of_the_mlflow_model_to_the_last_bit(registry, customers):
    version = registry.champion(VALUE)
    columns = {name: values.to_numpy() for name, values in customers[1].items()}
    pd.testing.assert_frame_equal(
        pd.DataFrame(version.model.predict_columns(columns)), version.pyfunc.predict(customers[1]), check_exact=True
    )


def test_a_version_that_cannot_predict_is_remembered_until_another_one_is_promoted(registry, monkeypatch):
    predict = Constant.predict_columns
    monkeypatch.setattr(
        Constant, "predict_columns", lambda self, inputs: 1 / 0 if self.revenue < 0 else predict(self, inputs)
    )
    first = registry.serving_version(REVENUE)
    with serving(registry) as (address, models), client_of(address) as client:
        _wait_until(lambda: models.is_ready)
        with monkeypatch.context() as patch:
            patch.setattr(Constant, "predict_columns", predict)
            broken = register(registry, Constant(revenue=-1.0), Constant.inputs({}, CUTOFF))
        _wait_until(models.broken)
        health, metrics = client.get("/health").json(), client.get("/metrics").text
        assert health["status"] == "degraded"
        assert (
            f"Version {broken} should serve and cannot: ZeroDivisionError" in health["broken"][REVENUE.registered_name]
        )
        assert f'wanderbricks_broken_version{{model="{REVENUE.registered_name}",version="{broken}"}} 1.0' in metrics
        assert (
            client.post(REVENUE_URL, json={"dataframe_records": [REVENUE_ROW]}).json()["predictions"][0]["yhat"]
            == 150.0
        )
        tries = models.broken()[REVENUE.registered_name].tries
        time.sleep(1.0)  # ten looks at the registry
        assert models.broken()[REVENUE.registered_name].tries - tries <= 3
        registry.promote(REVENUE, first)
        _wait_until(lambda: not models.broken())
        assert client.get("/health").json() == {"status": "ok", "broken": {}}
