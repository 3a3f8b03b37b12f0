"""A prediction from a client app's question to its answer on disk."""

import json
import math
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import event

from common.messages import CLIENTS_NAMESPACE, Prediction
from common.patient import FIELDS
from server.anomaly.detector import Detector
from tests.integration.server.conftest import Join, RunningServer, StartServer
from tests.support.made_requests import record, request
from tests.support.recording import paced
from tests.support.speaking import Browser, ClientApp

Edit = Callable[[dict[str, Any]], object]


def asked(number: int = 1, **changes: object) -> dict[str, Any]:
    return request(number).to_wire() | changes


def changed_record(**values: object) -> dict[str, Any]:
    return asked(record=record(1).model_dump() | values)


def test_a_receipt_is_no_answer(join: Join) -> None:
    assert join().predict(asked()) == {"status": "accepted", "error": None}


def test_an_answer_carries_all_there_is_to_know(join: Join, detector: Detector) -> None:
    client = join()
    client.predict(asked(2, patient_reference="Bed 7"))
    answer = client.answered("request-2")
    sent = request(2)
    assert (answer.request_id, answer.patient_reference) == ("request-2", "Bed 7")
    assert (answer.client_id, answer.record, answer.entered_at) == ("Client-1", sent.record, sent.entered_at)
    assert answer.made_at.utcoffset() is not None
    assert answer.thresholds == detector.thresholds
    assert answer.model_version == detector.model_version
    assert answer.is_anomaly == (answer.risk_level == "High") == (answer.anomaly_score >= detector.thresholds.high)
    assert 0 <= answer.anomaly_score <= 1
    assert [part.field for part in answer.contributions] == list(FIELDS)
    assert math.isclose(
        answer.base_value + sum(part.contribution for part in answer.contributions),
        math.log2(answer.raw_score),
        abs_tol=1e-9,
    )
    sizes = {part.field: abs(part.contribution) for part in answer.contributions}
    assert answer.top_factors == sorted(answer.top_factors, key=lambda name: -sizes[name])
    assert answer.imputed == sent.record.imputed()
    assert answer.extrapolated == sent.record.extrapolated()
    assert answer.explanation.text.startswith(f"Risk level {answer.risk_level}")
    assert answer.explanation.source == "template"
    assert {"waiting", "scoring", "explaining"} <= set(answer.timings_ms)
    assert all(milliseconds >= 0 for milliseconds in answer.timings_ms.values())


def test_what_was_answered_is_on_disk(join: Join, running: RunningServer) -> None:
    client = join()
    for number in range(1, 6):
        client.predict(asked(number))
        wire = client.entry()["prediction"]
        with closing(sqlite3.connect(running.database)) as other:
            row = other.execute("SELECT body FROM predictions WHERE request_id = ?", (f"request-{number}",)).fetchone()
        assert json.loads(row[0]) == wire


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


def test_requests_sent_together_are_all_answered(join: Join) -> None:
    client = join()
    for number in range(1, 61):
        client.client.emit("predict", asked(number), namespace=CLIENTS_NAMESPACE)
    assert {client.entry()["request_id"] for _ in range(60)} == {f"request-{number}" for number in range(1, 61)}


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
        ({"age": 121}, {"age"}),
        ({"age": None}, {"age"}),
        ({"age": "MARKER-54"}, {"age"}),
        ({"age": 54.5}, {"age"}),
        ({"age": True}, {"age"}),
        ({"sex": 2}, {"sex"}),
        ({"resting_bp": 301}, {"resting_bp"}),
        ({"thallium_scan": 5, "st_slope": 0, "cholesterol": 10_000}, {"thallium_scan", "st_slope", "cholesterol"}),
        ({"MARKER-FIELD": 1}, {"unknown field"}),
    ],
)
def test_every_field_of_a_bad_record_is_named_and_nothing_of_it_repeated(
    join: Join, values: dict[str, object], fields: set[str]
) -> None:
    client = join()
    receipt = client.predict(changed_record(**values))
    assert receipt["status"] == "refused"
    assert receipt["error"]["code"] == "invalid_record"
    assert set(receipt["error"]["fields"]) == fields
    assert not receipt["error"]["retryable"]
    assert "MARKER" not in json.dumps(receipt)
    assert "10000" not in json.dumps(receipt)
    assert client.predict(asked())["status"] == "accepted"


def without(message: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in message.items() if key != name}


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ([], "message"),
        ([asked(), asked()], "message"),
        (["MARKER"], "message"),
        ([None], "message"),
        ([[asked()]], "message"),
        ([7], "message"),
        ([b"MARKER"], "message"),
        ([asked(patient_reference=b"MARKER")], "patient_reference"),
        ([asked(patient_reference="MARKER" * 20)], "patient_reference"),
        ([asked(patient_reference="MARKER\n")], None),
        ([asked(patient_reference="MAR\x00KER")], "patient_reference"),
        ([asked(request_id="MARKER id")], "request_id"),
        ([asked(request_id="")], "request_id"),
        ([asked(entered_at="MARKER")], "entered_at"),
        ([asked(entered_at="2026-01-01T00:00:00")], "entered_at"),
        ([asked(entered_at=1_700_000_000)], "entered_at"),
        ([asked(record=None)], "record"),
        ([asked(client_id="Client-2")], "unknown field"),
        ([without(asked(), "record")], "record"),
        ([without(asked(), "entered_at")], "entered_at"),
    ],
)
def test_a_message_of_another_form_is_refused_and_the_connection_stays(
    join: Join, arguments: list[object], field: str | None
) -> None:
    client = join()
    receipt = client.ask("predict", *arguments)
    if field is None:
        assert receipt["status"] == "accepted"
        return
    assert receipt["status"] == "refused"
    assert receipt["error"]["code"] == "invalid_message" if field != "record" else True
    assert set(receipt["error"]["fields"]) == {field}
    assert "MARKER" not in json.dumps(receipt)
    assert client.predict(asked(9))["status"] == "accepted"
    client.answered("request-9")


@pytest.mark.parametrize("name", ["no_such_event", "connect", "message", "__class__", "trigger_event"])
def test_an_unknown_event_is_refused_and_the_connection_stays(join: Join, running: RunningServer, name: str) -> None:
    client = join()
    for arguments in ([], [asked()], [{"token": "x"}, {}], ["client disconnect"]):
        assert client.ask(name, *arguments)["error"]["code"] == "invalid_message"
    client.predict(asked())
    client.answered("request-1")


def test_what_cannot_be_stored_is_refused_for_now_and_answered_once_there_is_room(
    running: RunningServer, join: Join, signed_in: Browser
) -> None:
    limit = {"pages": 1}  # SQLite takes it for the size the file has now

    @event.listens_for(running.engine, "checkout")
    def _limit_size(connection: Any, *_: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {limit['pages']}").close()

    client = join()
    sent = 1
    for _ in paced():  # what room there is in the file is used up
        if (receipt := client.predict(asked(sent)))["status"] == "refused":
            break
        sent += 1
    error = receipt["error"]
    assert (error["code"], error["retryable"]) == ("store_unavailable", True)
    not_ready = signed_in.get("/readyz")
    assert (not_ready.status, not_ready.error["code"]) == (503, "store_unavailable")
    assert signed_in.get("/livez").status == 200
    status = signed_in.get("/api/status").json
    assert (status["status"], status["ready"], status["store"]["ok"]) == ("not_ready", False, False)
    assert "database or disk is full" in status["store"]["reason"]
    assert Browser(running.url).get("/api/status").json == {"status": "not_ready", "ready": False}
    stored = status["cursor"]
    assert stored < sent
    limit["pages"] = 2**30
    for _ in paced():
        if client.predict(asked(sent))["status"] != "refused":
            break
    client.answered(f"request-{sent}")
    assert running.server.service.store.end().after == stored + 1
    assert signed_in.get("/api/status").json["store"]["ok"] is True


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
