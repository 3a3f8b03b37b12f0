"""Whatever an endpoint does, an explanation ends by its deadline with a named reason, on threads and on eventlet."""

import socket
import struct
import threading
import time
from collections.abc import Iterator
from queue import Queue

import pytest

from server.explanation.llama import LlamaWriter, NarrativeError, asked_but
from tests.support.llm_faults import CUT, FAULTS, LATE, stalls, stalls_in_mid_stream
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


def ended(writer: LlamaWriter, seconds: float = ENOUGH) -> tuple[str, float]:
    """Return why an explanation was not written, and how long after its deadline it ended."""
    deadline = time.monotonic() + seconds
    with pytest.raises(NarrativeError) as raised:
        writer.write(facts(), deadline)
    return str(raised.value), time.monotonic() - deadline


@pytest.mark.parametrize(("script", "reason"), FAULTS.values(), ids=FAULTS)
def test_every_fault_ends_in_time_with_its_reason(model: LanguageModel, script: Script, reason: str) -> None:
    model.script = script
    why, late = ended(writer_at(model.url), SECONDS if reason == LATE else ENOUGH)
    assert why.startswith(asked_but(reason).removesuffix("."))
    assert late < LATEST


@pytest.mark.parametrize("script", [stalls, stalls_in_mid_stream])
def test_150_at_once_all_end_in_time(model: LanguageModel, script: Script) -> None:
    model.script = script
    endings: Queue[tuple[str, float]] = Queue()
    for writer in [writer_at(model.url) for _ in range(150)]:
        threading.Thread(target=lambda writer=writer: endings.put(ended(writer, 4.0)), daemon=True).start()
    told = [endings.get(timeout=20) for _ in range(150)]
    assert {reason for reason, _ in told} == {asked_but(LATE)}
    assert max(late for _, late in told) < LATEST


def test_50_streams_at_once_do_not_mix(model: LanguageModel) -> None:
    texts: Queue[str] = Queue()

    def write() -> None:
        deadline = time.monotonic() + 20
        texts.put(writer_at(model.url).write(facts(), deadline))

    for _ in range(50):
        threading.Thread(target=write, daemon=True).start()
    assert {texts.get(timeout=20) for _ in range(50)} == {GOOD_TEXT_FILLED}


def test_nobody_listening_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    why, late = ended(writer_at(f"http://127.0.0.1:{port}/v1"))
    assert why == "The language model was asked, but it could not be reached (ConnectError)."
    assert late < 0


def test_a_connection_that_is_never_taken_ends_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()[:2]
        with socket.create_connection(address), socket.socket() as second:
            second.setblocking(False)
            second.connect_ex(address)  # now the queue is full, and a third one is not even answered
            why, late = ended(writer_at(f"http://127.0.0.1:{address[1]}/v1"), SECONDS)
    assert why == asked_but(LATE)
    assert late < LATEST


def test_a_connection_that_is_reset_in_mid_stream_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def reset() -> None:
            for _ in range(2):  # it is tried once more
                connection, _ = server.accept()
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: here\n\n")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.close()

        thread = threading.Thread(target=reset, daemon=True)
        thread.start()
        why, late = ended(writer_at(f"http://127.0.0.1:{server.getsockname()[1]}/v1"))
        thread.join(20)
    assert why in {
        asked_but("the connection to it broke (ReadError)"),
        asked_but(CUT),
    }  # eventlet reads a reset as the end
    assert late < 0


def test_a_tls_handshake_that_drips_ends_in_time() -> None:
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"\x16\x03\x03\x3f\xff")  # a handshake record of 16,383 bytes follows
                while not stop.wait(0.1):
                    connection.sendall(b"\x00")

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        why, late = ended(writer_at(f"https://127.0.0.1:{server.getsockname()[1]}/v1"), SECONDS)
        stop.set()
        thread.join(20)
    assert why == asked_but(LATE)
    assert late < LATEST


def test_a_name_that_is_never_resolved_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, stop = threading.Event(), threading.Event()

    def unanswered(*_: object, **__: object) -> list[object]:
        asked.set()
        stop.wait(20)
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", unanswered)
    why, late = ended(writer_at("https://llama.hospital.example/v1"), SECONDS)
    stop.set()
    assert asked.is_set()
    assert why == asked_but(LATE)
    assert late < LATEST


def test_plain_http_to_a_public_address_is_refused_before_anything_is_sent(
    model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *more, **named: resolve("8.8.8.8", *more, **named))
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: pytest.fail("a connection was made"))
    why, _ = ended(writer_at("http://llama.hospital.example/v1"))
    assert "its address is neither on this machine nor private; use https in LLM_BASE_URL" in why


def test_an_endpoint_that_does_not_speak_tls_is_told(model: LanguageModel) -> None:
    why, _ = ended(writer_at(model.url.replace("http:", "https:")))  # it does not speak TLS at all
    assert why == asked_but("it could not be reached (ConnectError)")
