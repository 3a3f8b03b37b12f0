"""The server as a process of its own: how it starts, stops, comes back, and what it writes to its log."""

import json
import signal

import pytest

from tests.integration.server.conftest import StartProcess
from tests.support.made_requests import request
from tests.support.processes import TOKENS, Process, run
from tests.support.raw_socket import RawSocket
from tests.support.speaking import WAIT_SECONDS, Browser


def test_a_stop_answers_or_at_least_stores_what_was_accepted(start_process: StartProcess) -> None:
    process, client = start_process()
    asked = [request(number).to_wire() for number in range(1, 201)]
    request_ids: dict[str | int, str] = {client.send("predict", one): one["request_id"] for one in asked}
    first = client.hear(WAIT_SECONDS)
    assert process.end() == 0
    receipts = filter(None, [first, *client.unread()])
    client.close()
    restarted, _ = start_process()
    stored = stored_at(restarted.url)
    taken = {request_ids[number] for number, said in receipts if number in request_ids and said["status"] == "accepted"}
    assert taken
    assert taken <= stored
    assert restarted.end(signal.SIGINT) == 0
    assert "Traceback" not in process.text + restarted.text


def stored_at(url: str) -> set[str]:
    stored: set[str] = set()
    after, has_more = 0, True
    while has_more:
        path = f"/api/changes?limit=500&after={after}"
        page = Browser(url).get(path, Authorization=f"Bearer {TOKENS['CLIENT_1_TOKEN']}").json
        stored |= {entry["request_id"] for entry in page["entries"]}
        after, has_more = page["next_after"], page["has_more"]
    return stored


def test_a_secret_that_was_made_is_printed_as_a_link_once(
    processes: list[Process], environment: dict[str, str]
) -> None:
    process = run(processes, environment | {"OPERATOR_TOKEN": ""})
    line = process.wait_until_started()
    if "#token=" not in line:
        pytest.skip("this machine's .env gives the operators' token")
    token = line.rpartition("#token=")[2].strip()
    assert Browser(process.url).sign_in(token).status == 204
    assert process.end() == 0
    assert process.text.count(token) == 1


def test_nothing_of_a_patient_is_in_the_log_at_any_level(start_process: StartProcess) -> None:
    """Accepted, refused, repeated and impossible messages; the log is at DEBUG."""
    process, client = start_process()
    assert f"Open {process.url}\n" in process.written
    record = request(1).record.model_dump() | {"resting_bp": 173.28125, "cholesterol": 487.53125}
    good = request(1).to_wire() | {"record": record, "patient_reference": "REFERENCE-MARKER"}
    receipts = [
        client.predict(good),
        client.predict(good),
        client.predict(good | {"record": record | {"resting_bp": 173173}}),
        client.predict(good | {"patient_reference": "REFERENCE-MARKER" * 9}),
        client.predict(good | {"record": record | {"FIELD-MARKER": "VALUE-MARKER"}}),
        client.predict(["VALUE-MARKER"]),
        client.predict(b"VALUE-MARKER"),
        client.ask("EVENT-MARKER", good),
    ]
    answer = client.answered("request-1")
    client.predict(good | {"record": record | {"cholesterol": 486.53125}})
    refusal = client.refused("request-1")
    with RawSocket(process.url, token="TOKEN-MARKER") as stranger:
        assert stranger.status == 401
    browser = Browser(process.url)
    browser.sign_in("TOKEN-MARKER")
    browser.get("/nowhere/PATH-MARKER")
    browser.get("/api/changes?after=QUERY-MARKER")
    browser.sign_in(TOKENS["OPERATOR_TOKEN"])
    browser.get("/api/predictions")
    client.close()
    assert process.end() == 0
    for said in (process.text, json.dumps(receipts), json.dumps(refusal)):
        assert "MARKER" not in said
        for value in ("173.28", "487.53", "486.53", "173173", answer.explanation.text[:40]):
            assert value not in said
    assert not [token for token in TOKENS.values() if token in process.text]
    assert "Client-1 connected" in process.text


def test_a_client_app_that_was_connected_may_come_back_after_a_restart(start_process: StartProcess) -> None:
    process, client = start_process()
    client.predict(request(1).to_wire())
    first = client.answered("request-1")
    process.running.kill()
    assert client.has_ended()
    client.close()
    process.wait()
    _, again = start_process()
    again.predict(request(1).to_wire())
    assert again.answered("request-1") == first
