"""A language model's explanation on its way to client app and operators; a prediction never waits for it."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.server.conftest import RunningServer, StartServer
from tests.support.llm_faults import stalls
from tests.support.llm_server import LanguageModel
from tests.support.made_requests import request
from tests.support.speaking import Browser, ClientApp, Connection
from tests.support.truthful import explains


@pytest.fixture
def model() -> Iterator[LanguageModel]:
    with LanguageModel(explains) as model:
        yield model


@pytest.fixture
def explained(start_server: StartServer, model: LanguageModel) -> RunningServer:
    return start_server(llm_base_url=model.url, llm_timeout_seconds=20)


@pytest.fixture
def client(explained: RunningServer, connections: list[Connection]) -> ClientApp:
    connections.append(client := ClientApp(explained.url, explained.token()))
    return client


@pytest.fixture
def operator(explained: RunningServer) -> Browser:
    browser = Browser(explained.url)
    browser.sign_in(explained.operator_token)
    return browser


def finished(client: ClientApp) -> Any:
    """The next final explanation."""
    return client.entry(lambda entry: entry["explanation"] is not None)["explanation"]


def test_the_models_explanation_arrives_whole_and_no_value_leaves_for_it(
    client: ClientApp, model: LanguageModel, operator: Browser
) -> None:
    record = request(1).record.model_dump() | {"resting_bp": 173.25, "cholesterol": 487.5, "max_heart_rate": 99.125}
    client.predict(request(1).to_wire() | {"record": record, "patient_reference": "REFERENCE-MARKER"})
    answer = client.answered("request-1")
    assert (answer.awaits_explanation, answer.explanation.source) == (True, "template")
    explanation = finished(client)
    assert (explanation["source"], explanation["model"], explanation["reason"]) == ("llm", "a/model", None)
    assert f"risk level is {answer.risk_level}" in explanation["text"]
    assert "[[" not in explanation["text"]
    kept = operator.get(f"/api/predictions/{answer.prediction_id}").json
    assert (kept["explanation"], kept["prediction"]) == (explanation, answer.to_wire())
    entries = operator.get("/api/changes").json["entries"]
    assert [entry["kind"] for entry in entries] == ["prediction_made", "explanation_finished"]
    sent = str(model.received.get(timeout=10).body)
    for secret in ("173", "487", "99.1", "REFERENCE", "request-1", "Client-1", f"{answer.anomaly_score:.3f}"):
        assert secret not in sent


def test_predictions_wait_for_no_model(client: ClientApp, model: LanguageModel, explained: RunningServer) -> None:
    model.script = stalls
    for number in range(1, 9):
        client.predict(request(number).to_wire())
    for number in range(1, 9):
        assert client.answered(f"request-{number}").awaits_explanation
    assert Browser(explained.url).get("/readyz").status == 200
