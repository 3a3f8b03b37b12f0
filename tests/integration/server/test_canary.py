"""Marked patients: whatever the language model does, no marker is in a log, a figure, an error or a prompt."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.llm_faults import cuts, floods_with_one_line, sends, stalls_in_mid_stream
from tests.support.llm_server import LanguageModel, Reply, Script, answers, says
from tests.support.made_requests import request
from tests.support.processes import TOKENS, Process, end_all, environment_of, run
from tests.support.serving import ASYNC_MODE
from tests.support.speaking import Browser, ClientApp
from tests.support.truthful import explains

MARKED = {"resting_bp": 137.48213, "cholesterol": 263.91737, "max_heart_rate": 151.62943, "st_depression": 2.718283}
REFERENCE = "REFERENCE-CANARY"
REQUEST_ID = "request-canary"
KEY = "key-canary"
OF_THE_RECORD = [str(value) for value in MARKED.values()] + [f"{value:g}" for value in MARKED.values()]


def tells_back(reply: Reply) -> None:
    """Put what it was told, and markers, into its answer and its error."""
    said = f"{reply.body['messages']} {OF_THE_RECORD}"
    says(said)(reply)


def refuses_with_everything(reply: Reply) -> None:
    reply.begin(500, "application/json")
    reply.raw(json.dumps({"error": f"cannot explain {OF_THE_RECORD} {reply.body['messages']}"}))


FAILURES: tuple[Script, ...] = (
    refuses_with_everything,
    sends(f'data: {{"error": "cannot explain {OF_THE_RECORD[0]}"}}\n\n'),
    sends(f"data: {{{OF_THE_RECORD[0]}\n\n"),
    tells_back,
    cuts,
    stalls_in_mid_stream,
    floods_with_one_line,
    answers(401),
)
"""In an order in which five in a row never leave the endpoint alone before the last."""


@pytest.fixture
def model() -> Iterator[LanguageModel]:
    with LanguageModel(explains) as model:
        yield model


@pytest.fixture
def process(tmp_path: Path, detector_dir: Path, model: LanguageModel) -> Iterator[Process]:
    environment = environment_of(tmp_path, detector_dir, ASYNC_MODE)
    asked = {"LLM_MODEL": "a/model", "LLM_BASE_URL": model.url, "LLM_TIMEOUT_SECONDS": "2", "LLM_API_KEY": KEY}
    started: list[Process] = []
    process = run(started, environment | asked)
    process.wait_until_started()
    yield process
    end_all(started)


def marked(number: int, **changes: object) -> dict[str, object]:
    """Return a request of a marked patient."""
    record = request(number).record.model_dump() | MARKED | changes
    return request(number).to_wire() | {
        "request_id": f"{REQUEST_ID}-{number}",
        "patient_reference": REFERENCE,
        "record": record,
    }


def is_explained(entry: Any) -> bool:
    return entry["explanation"] is not None


def test_no_marker_is_in_a_log_a_figure_an_error_or_a_prompt(process: Process, model: LanguageModel) -> None:
    client = ClientApp(process.url, TOKENS["CLIENT_1_TOKEN"])
    operator = Browser(process.url)
    operator.sign_in(TOKENS["OPERATOR_TOKEN"])
    client.predict(marked(1))
    ids = [client.answered(f"{REQUEST_ID}-1").prediction_id]
    assert client.entry(is_explained)["explanation"]["source"] == "llm"
    said = [operator.get("/api/status").body.decode()]
    for number, script in enumerate(FAILURES, start=2):
        model.script = script
        client.predict(marked(number, thallium_scan=None))
        ids.append(client.answered(f"{REQUEST_ID}-{number}").prediction_id)
        said.append(client.entry(is_explained)["explanation"]["reason"])
        said.append(operator.get("/api/status").body.decode())
    said.append(json.dumps(client.predict(marked(1, resting_bp=9137.48213))))
    client.close()
    assert process.end() == 0
    asked = [str((reply.path, reply.headers, reply.body)) for reply in list(model.received.queue)]
    assert len(asked) > len(FAILURES)
    assert "keeps the deterministic explanation" in process.text
    for marker in [*OF_THE_RECORD, REFERENCE, REQUEST_ID, KEY]:
        assert marker not in process.text + str(said)
    for marker in [*OF_THE_RECORD, REFERENCE, REQUEST_ID, *ids, "Client-1"]:
        assert marker not in str(asked)
