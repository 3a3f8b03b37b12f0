"""The server as a process of its own: how it starts, stops, comes back, and what it writes to its log."""

import signal

import pytest

from tests.integration.server.conftest import StartProcess
from tests.integration.server.test_change_log import bearer, pages
from tests.support.made_requests import request
from tests.support.processes import TOKENS, Process, run
from tests.support.speaking import Browser
from tests.support.waiting import WAIT_SECONDS


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
    read = pages(Browser(url), "", **bearer(TOKENS["CLIENT_1_TOKEN"]))
    return {entry.request_id for page in read for entry in page.entries}


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
