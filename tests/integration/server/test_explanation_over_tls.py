"""An endpoint over TLS: asked only if an authority that is trusted vouches for it, on threads and on eventlet."""

import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from config.secrets import ConfigurationError
from server.explanation.endpoint import NOT_TRUSTED
from server.explanation.llama import NarrativeError
from tests.integration.server.conftest import StartServer
from tests.support.llm_server import LanguageModel, says
from tests.support.made_requests import request
from tests.support.narratives import GOOD_TEXT, GOOD_TEXT_FILLED, facts
from tests.support.speaking import ClientApp, Connection
from tests.support.truthful import explains
from tests.support.writing import writer_at

SECONDS = 10
LONG_AGO = datetime(2020, 1, 2, tzinfo=UTC)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    file = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(file))
    return file


@pytest.fixture
def model(authority: trustme.CA) -> Iterator[LanguageModel]:
    with LanguageModel(says(GOOD_TEXT), tls=proving(authority.issue_cert("127.0.0.1"))) as model:
        yield model


def proving(certificate: trustme.LeafCert) -> ssl.SSLContext:
    """Return the server side of TLS with a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def write(url: str, ca_file: Path | None) -> str:
    writer = writer_at(url, llm_ca_file=ca_file)
    return writer.write(facts(), time.monotonic() + SECONDS)


def refused(url: str, ca_file: Path | None) -> str:
    with pytest.raises(NarrativeError) as raised:
        write(url, ca_file)
    return str(raised.value)


def test_an_endpoint_whose_authority_is_named_is_asked(model: LanguageModel, ca_file: Path) -> None:
    assert write(model.url, ca_file) == GOOD_TEXT_FILLED
    assert model.received.qsize() == 1


def test_the_whole_system_gets_its_explanation_over_tls(
    model: LanguageModel, ca_file: Path, start_server: StartServer, connections: list[Connection]
) -> None:
    model.script = explains
    running = start_server(llm_base_url=model.url, llm_ca_file=ca_file, llm_timeout_seconds=20)
    client = ClientApp(running.url, running.token())
    connections.append(client)
    client.predict(request(1).to_wire())
    entry = client.entry(lambda one: one["kind"] == "explanation_finished")
    assert entry["explanation"]["source"] == "llm"


def test_an_endpoint_of_an_unknown_authority_is_told_nothing_and_left_alone_with_what_to_do(
    model: LanguageModel, tmp_path: Path
) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    for trusted in (None, other):
        assert refused(model.url, trusted) == f"The language model was asked, but {NOT_TRUSTED}."
    assert model.received.empty()


def test_an_untrusted_certificate_opens_the_circuit(model: LanguageModel) -> None:
    writer = writer_at(model.url)
    with pytest.raises(NarrativeError):
        writer.write(facts(), time.monotonic() + SECONDS)
    assert (writer.circuit.state, writer.circuit.reason) == ("open", NOT_TRUSTED)


def test_a_certificate_for_another_name_or_of_another_time_is_not_trusted(authority: trustme.CA, ca_file: Path) -> None:
    elsewhere = authority.issue_cert("llama.hospital.example")
    expired = authority.issue_cert("127.0.0.1", not_after=LONG_AGO)
    for certificate in (elsewhere, expired):
        with LanguageModel(says(GOOD_TEXT), tls=proving(certificate)) as model:
            assert NOT_TRUSTED in refused(model.url, ca_file)
            assert model.received.empty()


@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN CERTIFICATE-----\nnot one\n-----END CERTIFICATE-----\n"])
def test_a_file_without_certificates_is_refused_at_the_start(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "authority.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError, match="LLM_CA_FILE must name a file of PEM certificates"):
        writer_at("https://127.0.0.1:9/v1", llm_ca_file=file)
