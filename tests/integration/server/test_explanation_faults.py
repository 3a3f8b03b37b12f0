"""Whatever an endpoint does, an explanation ends by its deadline with a named reason, on threads and on eventlet."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from queue import Queue

import pytest
import trustme

from config.secrets import ConfigurationError
from server.explanation.endpoint import NOT_TRUSTED
from server.explanation.llama import LlamaWriter, NarrativeError
from tests.support.llm_faults import FAULTS, LATE, stalls_in_mid_stream
from tests.support.llm_server import LanguageModel, Script, says
from tests.support.narratives import GOOD_TEXT, GOOD_TEXT_FILLED, facts
from tests.support.writing import asked_but, writer_at

SECONDS = 0.5
"""What a call has that is never answered; the others have ``ENOUGH``, also on a busy machine."""

ENOUGH = 10.0
LATEST = 10.0
"""Seconds after its deadline by which an explanation has ended on a busy machine, where half a second is promised."""

NOT_REACHED = asked_but("it could not be reached (ConnectError)")
AUTHORITY = trustme.CA()


@pytest.fixture
def model() -> Iterator[LanguageModel]:
    with LanguageModel(says(GOOD_TEXT)) as model:
        yield model


def ended(writer: LlamaWriter, seconds: float = ENOUGH) -> str:
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
    ("script", "number", "seconds", "said"),
    [(stalls_in_mid_stream, 30, 1.0, asked_but(LATE)), (says(GOOD_TEXT), 20, 30.0, GOOD_TEXT_FILLED)],
)
def test_many_at_once_all_end_in_time_and_do_not_mix(
    model: LanguageModel, script: Script, number: int, seconds: float, said: str
) -> None:
    model.script = script
    endings: Queue[str] = Queue()
    for writer in [writer_at(model.url) for _ in range(number)]:
        threading.Thread(target=lambda writer=writer: endings.put(ended(writer, seconds)), daemon=True).start()
    assert {endings.get(timeout=60) for _ in range(number)} == {said}


def test_nobody_listening_and_an_endpoint_that_does_not_speak_tls_are_told(model: LanguageModel) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert ended(writer_at(f"http://127.0.0.1:{port}/v1")) == NOT_REACHED
    assert ended(writer_at(model.url.replace("http:", "https:"))) == NOT_REACHED


def test_a_name_that_is_never_resolved_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()

    def unanswered(*_: object, **__: object) -> socket.socket:  # it heeds no time-out, as a resolver does not
        stop.wait(20)
        raise socket.gaierror

    monkeypatch.setattr(socket, "create_connection", unanswered)
    assert ended(writer_at("https://llama.hospital.example/v1"), SECONDS) == asked_but(LATE)
    stop.set()


@pytest.mark.parametrize(
    ("certificate", "is_named", "is_trusted"),
    [
        (AUTHORITY.issue_cert("127.0.0.1"), True, True),
        (trustme.CA().issue_cert("127.0.0.1"), True, False),
        (AUTHORITY.issue_cert("127.0.0.1"), False, False),
        (AUTHORITY.issue_cert("llama.hospital.example"), True, False),
    ],
    ids=["trusted", "unknown authority", "no authority named", "another name"],
)
def test_an_endpoint_is_asked_if_its_certificate_is_trusted_and_told_nothing_otherwise(
    certificate: trustme.LeafCert, is_named: bool, is_trusted: bool, tmp_path: Path
) -> None:
    context, ca_file = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), tmp_path / "authority.pem"
    certificate.configure_cert(context)
    AUTHORITY.cert_pem.write_to_path(str(ca_file))
    with LanguageModel(says(GOOD_TEXT), tls=context) as model:
        writer = writer_at(model.url, llm_ca_file=ca_file if is_named else None)
        assert ended(writer) == (GOOD_TEXT_FILLED if is_trusted else asked_but(NOT_TRUSTED))
        assert model.received.empty() != is_trusted
    assert writer.circuit.reason == (None if is_trusted else NOT_TRUSTED)


@pytest.mark.parametrize("content", [None, b"-----BEGIN CERTIFICATE-----\nnot one\n-----END CERTIFICATE-----\n"])
def test_a_file_without_certificates_is_refused_at_the_start(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "authority.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError, match="LLM_CA_FILE must name a file of PEM certificates"):
        writer_at("https://127.0.0.1:9/v1", llm_ca_file=file)
