"""The server as a process of its own: how it starts, stops, comes back, and what it writes to its log."""

import re
import signal

from tests.integration.server.conftest import StartProcess
from tests.integration.server.test_change_log import bearer, pages
from tests.support.made_requests import request
from tests.support.processes import TOKENS
from tests.support.speaking import Browser
from tests.support.waiting import WAIT_SECONDS


def test_a_stop_answers_or_at_least_stores_what_was_accepted(
    start_process: StartProcess, environment: dict[str, str]
) -> None:
    """And a secret that was made is printed as a link, once."""
    environment |= {"OPERATOR_TOKEN": ""}
    process, client = start_process()
    made = re.findall(r"#token=(\S+)", process.wait_until_started())  # none where this machine's .env gives it
    assert all(Browser(process.url).sign_in(token).status == 204 for token in made)
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
    assert all(process.text.count(token) == 1 for token in made)
    assert "Traceback" not in process.text + restarted.text


def stored_at(url: str) -> set[str]:
    read = pages(Browser(url), "", **bearer(TOKENS["CLIENT_1_TOKEN"]))
    return {entry.request_id for page in read for entry in page.entries}
