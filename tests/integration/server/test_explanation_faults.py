"""Whatever an endpoint does, an explanation ends by its deadline with a named reason, on threads and on eventlet."""

import socket
import threading
import time
from collections.abc import Iterator
from queue import Queue

import pytest

from server.explanation.llama import LlamaWriter, NarrativeError, asked_but
from tests.support.llm_faults import FAULTS, LATE, stalls_in_mid_stream
from tests.support.llm_server import LanguageModel, Script, says
from tests.support.narratives import GOOD_TEXT, GOOD_TEXT_FILLED, facts
from tests.support.writing import writer_at

SECONDS = 1.0
"""What a call has that is never answered; the others have ``ENOUGH``, also on a busy machine."""

ENOUGH = 10.0
LATEST = 5 * 0.5
"""Seconds after its deadline by which an explanation has ended here: five times what is promised."""


@pytest.fixture
def model() -> Iterator[LanguageModel]:
    with LanguageModel(says(GOOD_TEXT)) as model:
        yield model


def ended(writer: LlamaWriter, seconds: float = SECONDS) -> str:
    """Return the text, or why there is none, which comes in time."""
    deadline = time.monotonic() + seconds
    try:
        return writer.write(facts(), deadline)
    except NarrativeError as error:
        assert time.monotonic() - deadline < LATEST
        return str(error)


@pytest.mark.parametrize(("script", "reason"), FAULTS.values(), ids=FAULTS)
def test_every_fault_ends_in_time_with_its_reason(model: LanguageModel, script: Script, reason: str) -> None:
    model.script = script
    why = ended(writer_at(model.url), SECONDS if reason == LATE else ENOUGH)
    assert why.startswith(asked_but(reason).removesuffix("."))


@pytest.mark.parametrize(
    ("script", "number", "said"),
    [
        (stalls_in_mid_stream, 50, asked_but(LATE)),
        (says(GOOD_TEXT), 20, GOOD_TEXT_FILLED),
    ],
)
def test_many_at_once_all_end_in_time_and_do_not_mix(
    model: LanguageModel, script: Script, number: int, said: str
) -> None:
    model.script = script
    endings: Queue[str] = Queue()
    for writer in [writer_at(model.url) for _ in range(number)]:
        threading.Thread(target=lambda writer=writer: endings.put(ended(writer, 4.0)), daemon=True).start()
    assert {endings.get(timeout=20) for _ in range(number)} == {said}


def test_nobody_listening_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert ended(writer_at(f"http://127.0.0.1:{port}/v1"), ENOUGH) == asked_but(
        "it could not be reached (ConnectError)"
    )


def test_a_name_that_is_never_resolved_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()

    def unanswered(*_: object, **__: object) -> list[object]:
        stop.wait(20)
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", unanswered)
    assert ended(writer_at("https://llama.hospital.example/v1")) == asked_but(LATE)
    stop.set()
