"""A prediction from a client app's question to its answer on disk."""

import json
from typing import Any

from common.messages import Prediction
from tests.integration.server.conftest import Join, StartServer
from tests.support.llm_faults import stalls
from tests.support.llm_server import LanguageModel
from tests.support.made_requests import record, request
from tests.support.speaking import Browser


def asked(number: int = 1, **changes: object) -> dict[str, Any]:
    return request(number).to_wire() | changes


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


MALFORMED: tuple[tuple[str, list[Any], set[str]], ...] = (
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
    ("withdraw", [{"request_id": "MARKER id"}], {"request_id"}),
    ("no_such_event", [asked()], set()),
    ("predict", [asked(record=record(1).model_dump() | {"age": "MARKER", "st_slope": 0})], {"age", "st_slope"}),
    ("connect", [{"token": "x"}, {}], {"message"}),
    ("trigger_event", ["client disconnect"], set()),
)


def test_a_message_of_another_form_is_refused_and_the_connection_stays(join: Join) -> None:
    client = join()
    for number, (event, arguments, fields) in enumerate(MALFORMED):
        receipt = client.ask(event, *arguments)
        code = "invalid_record" if "age" in fields else "invalid_message"
        assert (receipt["status"], receipt["error"]["code"]) == ("refused", code), arguments
        assert set(receipt["error"]["fields"]) == fields
        assert "MARKER" not in json.dumps(receipt)
        assert client.predict(asked(number))["status"] == "accepted"
        client.answered(f"request-{number}")


def test_too_many_waiting_are_refused_as_retryable(start_server: StartServer, join: Join) -> None:
    server = start_server(answering=False, max_waiting=2)
    client = join(to=server)
    receipts = [client.predict(asked(number)) for number in (1, 2, 3)]
    assert [receipt["status"] for receipt in receipts] == ["accepted", "accepted", "refused"]
    assert (receipts[2]["error"]["code"], receipts[2]["error"]["retryable"]) == ("overloaded", True)
    server.server.service.start()
    assert isinstance(client.answered("request-2"), Prediction)


def test_predictions_wait_for_no_language_model(start_server: StartServer, join: Join) -> None:
    with LanguageModel(stalls) as model:
        server = start_server(llm_base_url=model.url)
        client = join(to=server)
        for number in range(1, 9):
            client.predict(asked(number))
        for number in range(1, 9):
            assert client.answered(f"request-{number}").awaits_explanation
        assert Browser(server.url).get("/readyz").status == 200
