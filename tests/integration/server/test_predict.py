"""A prediction from a client app's question to its answer on disk."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from common.messages import Prediction
from server.anomaly.detector import Detector
from tests.integration.server.conftest import Join, RunningServer, StartServer
from tests.support.made_requests import record, request
from tests.support.speaking import ClientApp

Edit = Callable[[dict[str, Any]], object]


def asked(number: int = 1, **changes: object) -> dict[str, Any]:
    return request(number).to_wire() | changes


def test_an_answer_is_what_is_on_disk_and_says_what_it_is_of(
    join: Join, detector: Detector, running: RunningServer
) -> None:
    client = join()
    assert client.predict(asked(2, patient_reference="Bed 7")) == {"status": "accepted", "error": None}
    wire = client.entry()["prediction"]
    with closing(sqlite3.connect(running.database)) as other:
        (body,) = other.execute("SELECT body FROM predictions WHERE request_id = 'request-2'").fetchone()
    assert json.loads(body) == wire
    answer, sent = Prediction.model_validate(wire), request(2)
    assert (answer.client_id, answer.patient_reference) == ("Client-1", "Bed 7")
    assert (answer.record, answer.entered_at) == (sent.record, sent.entered_at)
    assert (answer.thresholds, answer.model_version) == (detector.thresholds, detector.model_version)
    assert answer.is_anomaly == (answer.risk_level == "High") == (answer.anomaly_score >= detector.thresholds.high)
    sizes = {part.field: abs(part.contribution) for part in answer.contributions}
    assert answer.top_factors == sorted(answer.top_factors, key=lambda name: -sizes[name])
    assert answer.explanation.text.startswith(f"Risk level {answer.risk_level}")


def test_a_request_that_comes_again_is_stored_and_changes_nothing(join: Join, start_server: StartServer) -> None:
    client = join()
    message = asked(entered_at="2026-03-04T12:00:00.123456+05:30", patient_reference="Zoë Ω")
    client.predict(message)
    first = client.entry()
    assert client.predict(message) == {"status": "stored", "error": None}
    restarted = join(to=start_server())
    assert restarted.predict(message)["status"] == "accepted"
    restarted.predict(asked(2))
    restarted.answered("request-2")
    assert restarted.predict(message)["status"] == "stored"
    again = join(to=start_server())
    assert [again.entry(), again.entry()["request_id"]] == [first, "request-2"]


def test_a_request_id_used_for_another_patient_is_refused(join: Join) -> None:
    client = join()
    client.predict(asked())
    client.answered("request-1")
    assert client.predict(asked(record=record(7).model_dump()))["status"] == "accepted"
    error = client.refused("request-1")
    assert (error["code"], error["retryable"]) == ("request_id_reused", False)
    assert client.predict(asked(record=record(7).model_dump()))["status"] == "stored"


def test_request_ids_of_two_clients_do_not_clash(join: Join) -> None:
    one, other = join("Client-1"), join("Client-2")
    one.predict(asked())
    other.predict(asked(record=record(7).model_dump()))
    first, second = one.answered("request-1"), other.answered("request-1")
    assert (first.client_id, second.client_id) == ("Client-1", "Client-2")
    assert first.prediction_id != second.prediction_id
    assert (first.record, second.record) == (record(1), record(7))


@pytest.mark.parametrize(
    ("values", "fields"),
    [
        ({"age": None}, {"age"}),
        ({"age": "MARKER-54"}, {"age"}),
        ({"age": True}, {"age"}),
        ({"thallium_scan": 5, "st_slope": 0, "cholesterol": 10_000}, {"thallium_scan", "st_slope", "cholesterol"}),
        ({"MARKER-FIELD": 1}, {"unknown field"}),
    ],
)
def test_every_field_of_a_bad_record_is_named_and_nothing_of_it_repeated(
    join: Join, values: dict[str, object], fields: set[str]
) -> None:
    client = join()
    receipt = client.predict(asked(record=record(1).model_dump() | values))
    error = receipt["error"]
    assert (receipt["status"], error["code"], error["retryable"]) == ("refused", "invalid_record", False)
    assert set(error["fields"]) == fields
    assert not [said for said in ("MARKER", "10000") if said in json.dumps(receipt)]


@pytest.mark.parametrize(
    ("event", "arguments", "fields"),
    [
        ("predict", [], {"message"}),
        ("predict", [asked(), asked()], {"message"}),
        ("predict", ["MARKER"], {"message"}),
        ("predict", [b"MARKER"], {"message"}),
        ("predict", [asked(patient_reference=b"MARKER")], {"patient_reference"}),
        ("predict", [asked(request_id="MARKER id")], {"request_id"}),
        ("predict", [asked(entered_at="2026-01-01T00:00:00")], {"entered_at"}),
        ("predict", [asked(entered_at=1_700_000_000)], {"entered_at"}),
        ("predict", [asked(client_id="Client-2")], {"unknown field"}),
        ("predict", [{"request_id": "request-1"}], {"patient_reference", "record", "entered_at"}),
        ("no_such_event", [asked()], set()),
        ("connect", [{"token": "x"}, {}], {"message"}),
        ("trigger_event", ["client disconnect"], set()),
    ],
)
def test_a_message_of_another_form_is_refused_and_the_connection_stays(
    join: Join, event: str, arguments: list[object], fields: set[str]
) -> None:
    client = join()
    receipt = client.ask(event, *arguments)
    assert (receipt["status"], receipt["error"]["code"]) == ("refused", "invalid_message")
    assert set(receipt["error"]["fields"]) == fields
    assert "MARKER" not in json.dumps(receipt)
    assert client.predict(asked(9))["status"] == "accepted"
    client.answered("request-9")


def test_too_many_waiting_are_refused_as_retryable(start_server: StartServer, join: Join) -> None:
    server = start_server(answering=False, max_waiting=2)
    client = join(to=server)
    receipts = [client.predict(asked(number)) for number in (1, 2, 3)]
    assert [receipt["status"] for receipt in receipts] == ["accepted", "accepted", "refused"]
    assert (receipts[2]["error"]["code"], receipts[2]["error"]["retryable"]) == ("overloaded", True)
    server.server.service.start()
    assert isinstance(client.answered("request-2"), Prediction)


def test_an_answer_survives_a_reconnect(running: RunningServer, start_server: StartServer, join: Join) -> None:
    server = start_server(answering=False)
    before = ClientApp(server.url, server.token())
    before.predict(asked())
    before.close()
    after = join(to=server)
    server.server.service.start()
    assert after.answered("request-1").client_id == "Client-1"
