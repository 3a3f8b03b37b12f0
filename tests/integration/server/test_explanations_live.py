"""A language model's explanation on its way to client app and operators; a prediction never waits for it."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.server.conftest import RunningServer, StartServer
from tests.support.llm_server import LanguageModel, Reply, answers, says
from tests.support.made_requests import request
from tests.support.speaking import Browser, ClientApp, Connection, Dashboard
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
    client = ClientApp(explained.url, explained.token())
    connections.append(client)
    return client


@pytest.fixture
def operator(explained: RunningServer) -> Browser:
    browser = Browser(explained.url)
    browser.sign_in(explained.operator_token)
    return browser


def finished(client: ClientApp) -> Any:
    """The next final explanation."""
    return client.entry(lambda entry: entry["explanation"] is not None)["explanation"]


def test_the_models_explanation_arrives_whole_and_is_kept(
    client: ClientApp, explained: RunningServer, operator: Browser, connections: list[Connection]
) -> None:
    dashboard = Dashboard(explained.url, operator.cookie)
    connections.append(dashboard)
    client.predict(request(1).to_wire())
    answer = client.answered("request-1")
    assert answer.awaits_explanation
    assert answer.explanation.source == "template"
    explanation = finished(client)
    assert (explanation["source"], explanation["model"], explanation["reason"]) == ("llm", "a/model", None)
    assert str(answer.risk_level) in explanation["text"]
    assert "[[" not in explanation["text"]
    assert [dashboard.entry()["kind"] for _ in range(2)] == ["prediction_made", "explanation_finished"]
    kept = operator.get(f"/api/predictions/{answer.prediction_id}").json
    assert kept["explanation"] == explanation
    assert kept["prediction"] == answer.to_wire()
    assert [entry["kind"] for entry in operator.get("/api/changes").json["entries"]] == [
        "prediction_made",
        "explanation_finished",
    ]
    assert operator.get("/api/status").json["explanations"]["source"] == "llm"


def test_no_value_and_no_reference_leaves_for_the_model(client: ClientApp, model: LanguageModel) -> None:
    record = request(1).record.model_dump() | {"resting_bp": 173.25, "cholesterol": 487.5, "max_heart_rate": 99.125}
    client.predict(request(1).to_wire() | {"record": record, "patient_reference": "REFERENCE-MARKER"})
    answer = client.answered("request-1")
    finished(client)
    sent = str(model.received.get(timeout=10).body)
    for secret in ("173", "487", "99.1", "REFERENCE", "request-1", "Client-1", f"{answer.anomaly_score:.3f}"):
        assert secret not in sent


def test_predictions_do_not_wait_for_a_model_that_stalls(
    client: ClientApp, model: LanguageModel, operator: Browser
) -> None:
    def stalls(reply: Reply) -> None:
        reply.stall()

    model.script = stalls
    for number in range(1, 31):
        client.predict(request(number).to_wire())
    for number in range(1, 31):
        assert client.answered(f"request-{number}").awaits_explanation
    assert operator.get("/readyz").status == 200
    assert operator.get("/api/status").json["totals"]["predictions"] == 30


def test_a_failing_model_leaves_the_first_text_with_the_reason(
    client: ClientApp, model: LanguageModel, operator: Browser
) -> None:
    model.script = answers(401)
    client.predict(request(1).to_wire())
    answer = client.answered("request-1")
    explanation = finished(client)
    assert explanation["text"] == answer.explanation.text
    assert explanation["source"] == "template"
    assert "the key was refused; check LLM_API_KEY in .env" in explanation["reason"]
    told = operator.get("/api/status").json["explanations"]
    assert told["last_failure"] == explanation["reason"]
    assert told["circuit"] == {
        "state": "open",
        "seconds_left": 300,
        "reason": "the key was refused; check LLM_API_KEY in .env",
    }
    assert told["finished"]["by_reason"] == {explanation["reason"]: 1}


def test_operators_see_at_once_that_the_circuit_opened_and_the_counts_move(
    client: ClientApp,
    model: LanguageModel,
    explained: RunningServer,
    operator: Browser,
    connections: list[Connection],
) -> None:
    dashboard = Dashboard(explained.url, operator.cookie)
    connections.append(dashboard)
    client.predict(request(1).to_wire())

    def until(**by_source: int) -> Any:
        return dashboard.status_with(lambda status: status["explanations"]["finished"]["by_source"] == by_source)

    assert until(llm=1)["explanations"]["circuit"]["state"] == "closed"
    model.script = answers(401)
    client.predict(request(2).to_wire() | {"record": request(1).record.model_dump() | {"max_heart_rate": 99.0}})
    told = until(llm=1, template=1)["explanations"]
    assert told["circuit"]["state"] == "open"
    assert told["circuit"]["reason"] == "the key was refused; check LLM_API_KEY in .env"
    assert told["finished"] == operator.get("/api/status").json["explanations"]["finished"]


def test_a_withheld_text_is_never_the_final_one(client: ClientApp, model: LanguageModel) -> None:
    model.script = says("The patient should see a doctor at once because of this. " * 5)
    client.predict(request(1).to_wire())
    client.answered("request-1")
    explanation = finished(client)
    assert "doctor" not in explanation["text"]
    assert "withheld" in explanation["reason"]


def test_what_was_unfinished_at_a_restart_is_ended_with_the_reason(
    client: ClientApp,
    model: LanguageModel,
    explained: RunningServer,
    start_server: StartServer,
    connections: list[Connection],
) -> None:
    def stalls(reply: Reply) -> None:
        reply.stall()

    model.script = stalls
    client.predict(request(1).to_wire())
    answer = client.answered("request-1")
    explained.server.stop()
    restarted = start_server()
    again = ClientApp(restarted.url, restarted.token())
    connections.append(again)
    entries = [again.entry(), again.entry()]
    assert [entry["kind"] for entry in entries] == ["prediction_made", "explanation_finished"]
    assert entries[1]["explanation"]["text"] == answer.explanation.text
    assert entries[1]["explanation"]["reason"] == (
        "The server was restarted before the language model's explanation was finished."
    )
    assert restarted.server.service.store.unfinished() == []
