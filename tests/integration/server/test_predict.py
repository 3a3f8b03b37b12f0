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


MALFORMED: tuple[tuple[str, list[Any], set[str]], ...] = (
    ("predict", [], {"message"}),
    ("predict", [asked(), asked()], {"message"}),
    ("predict", [b"MARKER"], {"message"}),
    ("predict", [asked(patient_reference=b"MARKER")], {"patient_reference"}),
    ("predict", [asked(request_id="MARKER id")], {"request_id"}),
    ("predict", [asked(entered_at="2026-01-01T00:00:00")], {"entered_at"}),
    ("predict", [asked(entered_at=1_700_000_000)], {"entered_at"}),
    ("predict", [asked(client_id="Client-2")], {"unknown field"}),
    ("withdraw", [{}], {"request_id"}),
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


def test_what_waits_in_the_batcher_is_withdrawn_for_good_and_another_client_apps_is_not(
    start_server: StartServer, join: Join
) -> None:
    server = start_server(answering=False)
    client, other = join(to=server), join("Client-2", to=server)
    for number in (1, 2):
        assert client.predict(asked(number))["status"] == "accepted"
    for one, number in ((other, 2), (client, 1), (client, 1)):
        assert one.ask("withdraw", {"request_id": f"request-{number}"}) == {"status": "stored", "error": None}
    tombstone = client.entry()
    assert (tombstone["kind"], tombstone["request_id"]) == ("prediction_erased", "request-1")
    server.server.service.start()
    client.answered("request-2")
    assert server.server.service.store.end().totals.predictions == 1
    assert client.predict(asked(1))["error"]["code"] == "erased"  # which arrives late
