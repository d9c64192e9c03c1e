"""A host's decision, sent over HTTP to a server of its own and read back from the lake."""

from datetime import UTC, datetime, timedelta

import pytest

from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets_tests.activation.test_decisions import predict, recommendation
from wanderbricks_assets_tests.serving.conftest import client_of, serving

TODAY = datetime.now(UTC).date()
NIGHT = TODAY + timedelta(days=9)
PATH = f"/v1/prices/1/{NIGHT}/decisions"
ACCEPT = {"decision": "accept", "decided_by": "host 7", "note": "a quiet week"}


@pytest.fixture
def lake(tmp_path) -> Lake:
    lake = Lake(folder=str(tmp_path / "lake"))
    predict(lake, str(TODAY - timedelta(days=1)), recommendation(1, NIGHT))
    return lake


@pytest.fixture
def client(registry, lake: Lake):
    with serving(registry, lake=lake) as (address, _), client_of(address) as client:
        yield client


def test_an_accepted_price_is_recorded_with_who_accepted_it_and_can_be_taken_back(client, lake: Lake):
    answer = client.post(PATH, json=ACCEPT)
    assert answer.status_code == 201
    assert answer.json()["recommended_price"] == 80.0
    assert client.post(PATH, json=ACCEPT | {"decision": "reject"}).status_code == 201
    rows = lake.read("price_decisions").order_by("decided_at").to_pyarrow().to_pylist()
    assert [(row["decision"], row["decided_by"], row["note"]) for row in rows] == [
        ("accept", "host 7", "a quiet week"),
        ("reject", "host 7", "a quiet week"),
    ]


@pytest.mark.parametrize(
    ("path", "body", "status", "sentence"),
    [
        (PATH.replace("/1/", "/9/"), ACCEPT, 404, "property 9"),
        (PATH, ACCEPT | {"prediction_date": str(TODAY - timedelta(days=3))}, 409, "was followed by one of"),
        (PATH, ACCEPT | {"decision": "perhaps"}, 400, "decision"),
        (PATH, ACCEPT | {"decided_by": " "}, 400, "decided_by"),
    ],
)
def test_what_cannot_be_decided_is_refused_with_the_reason_and_recorded_nowhere(
    client, lake: Lake, path: str, body: dict, status: int, sentence: str
):
    answer = client.post(path, json=body)
    assert answer.status_code == status
    assert sentence in answer.json()["message"]
    assert lake.read("price_decisions").count().to_pyarrow().as_py() == 0


def test_the_same_decision_again_is_a_conflict(client):
    client.post(PATH, json=ACCEPT)
    again = client.post(PATH, json=ACCEPT)
    assert (again.status_code, again.json()["error_code"]) == (409, "RESOURCE_CONFLICT")
