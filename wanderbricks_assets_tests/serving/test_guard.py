"""Who may ask, how much, and how long; and what operators see of it."""

import json
import threading
import time

import pytest

from wanderbricks_assets import settings as settings_module
from wanderbricks_assets.serving import app
from wanderbricks_assets.serving.guard import Limits
from wanderbricks_assets_tests.serving.conftest import REVENUE_ROW, REVENUE_URL, Constant, client_of, serving

ROWS = {"dataframe_records": [REVENUE_ROW]}


def test_every_request_needs_the_token_except_those_for_health(registry):
    with serving(registry, token="a secret of ours") as (address, _), client_of(address) as client:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "a secret of ours"}):
            answer = client.post(REVENUE_URL, json=ROWS, headers=headers)
            assert (answer.status_code, answer.json()["error_code"]) == (401, "UNAUTHENTICATED")
            assert client.get("/metrics", headers=headers).status_code == 401
        assert client.get("/health").status_code == 200
        headers = {"Authorization": "Bearer a secret of ours"}
        assert client.post(REVENUE_URL, json=ROWS, headers=headers).status_code == 200


def test_a_server_that_others_can_reach_does_not_start_without_a_token(monkeypatch):
    monkeypatch.setattr(app, "settings", settings_module.Settings)
    with pytest.raises(ValueError, match="WANDERBRICKS_SERVE_TOKEN"):
        app.run("0.0.0.0", 0, workers=1)


def test_the_token_is_not_in_what_is_printed_of_the_settings(monkeypatch):
    monkeypatch.setenv("WANDERBRICKS_SERVE_TOKEN", "a secret of ours")
    assert "a secret of ours" not in repr(settings_module.Settings())


def test_what_is_too_much_is_refused_with_a_sentence(registry):
    with serving(registry, limits=Limits(bytes=2000, rows=5)) as (address, _), client_of(address) as client:
        answer = client.post(REVENUE_URL, json={"dataframe_records": [REVENUE_ROW] * 6})
        assert (answer.status_code, answer.json()["error_code"]) == (400, "BAD_REQUEST")
        assert "6 rows are more than the 5" in answer.json()["message"]
        body = json.dumps({"dataframe_records": [REVENUE_ROW] * 50}).encode()
        for content in (body, iter([body[:1500], body[1500:]])):  # the second does not say how long it is
            answer = client.post(REVENUE_URL, content=content)
            assert (answer.status_code, answer.json()["error_code"]) == (413, "REQUEST_ENTITY_TOO_LARGE")


def test_a_prediction_that_takes_too_long_is_given_up_and_others_are_answered(registry, monkeypatch):
    predict, released = Constant.predict_columns, threading.Event()

    def slow(self, inputs):
        if (inputs["on_the_books"] < 0).any():
            released.wait(60)
        return predict(self, inputs)

    with serving(registry, limits=Limits(seconds=3)) as (address, models), client_of(address) as client:
        while not models.is_ready:
            time.sleep(0.02)
        monkeypatch.setattr(Constant, "predict_columns", slow)
        answer = client.post(REVENUE_URL, json={"dataframe_records": [REVENUE_ROW | {"on_the_books": -1.0}]})
        assert (answer.status_code, answer.json()["error_code"]) == (504, "DEADLINE_EXCEEDED")
        assert client.post(REVENUE_URL, json=ROWS).status_code == 200
        released.set()


def test_requests_are_counted_by_model_and_code_and_unknown_paths_make_no_series(client):
    client.post(REVENUE_URL, json=ROWS)
    client.post(REVENUE_URL, json={})
    client.get("/nowhere/1")
    client.get("/nowhere/2")
    text = client.get("/metrics").text
    name = 'model="wanderbricks_revenue_forecaster"'
    assert f'{name},route="/serving-endpoints/{{endpoint}}/served-models/{{model}}/invocations"' in text
    assert f'wanderbricks_served_version{{{name},version="1"}} 1.0' in text
    assert 'code="404",model="none",route="none"' in text
    assert "nowhere" not in text


def test_a_server_is_ready_once_it_has_read_the_registry(client):
    client.post(REVENUE_URL, json=ROWS)
    assert client.get("/ready").json()["models"]["wanderbricks_revenue_forecaster"] == "1"
