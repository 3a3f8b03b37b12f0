"""An endpoint over TLS: asked only if an authority that is trusted vouches for it, on threads and on eventlet."""

import ssl
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from config.secrets import ConfigurationError
from server.explanation.endpoint import NOT_TRUSTED
from server.explanation.llama import LlamaWriter, NarrativeError, asked_but
from tests.integration.server.conftest import StartServer
from tests.support.llm_server import LanguageModel, says
from tests.support.made_requests import request
from tests.support.narratives import GOOD_TEXT, facts
from tests.support.speaking import ClientApp, Connection
from tests.support.truthful import explains
from tests.support.writing import writer_at

LONG_AGO = datetime(2020, 1, 2, tzinfo=UTC)
AUTHORITY = trustme.CA()


@pytest.fixture
def ca_file(tmp_path: Path) -> Path:
    AUTHORITY.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    return tmp_path / "authority.pem"


def proving(certificate: trustme.LeafCert) -> LanguageModel:
    """Return a model behind TLS with a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return LanguageModel(says(GOOD_TEXT), tls=context)


def refused(writer: LlamaWriter) -> str:
    with pytest.raises(NarrativeError) as raised:
        writer.write(facts(), time.monotonic() + 10)
    return str(raised.value)


def test_the_whole_system_gets_its_explanation_from_an_endpoint_whose_authority_is_named(
    ca_file: Path, start_server: StartServer, connections: list[Connection]
) -> None:
    with proving(AUTHORITY.issue_cert("127.0.0.1")) as model:
        model.script = explains
        running = start_server(llm_base_url=model.url, llm_ca_file=ca_file, llm_timeout_seconds=20)
        connections.append(client := ClientApp(running.url, running.token()))
        client.predict(request(1).to_wire())
        entry = client.entry(lambda one: one["kind"] == "explanation_finished")
        assert entry["explanation"]["source"] == "llm"


@pytest.mark.parametrize(
    ("certificate", "is_named"),
    [
        (trustme.CA().issue_cert("127.0.0.1"), True),
        (AUTHORITY.issue_cert("127.0.0.1"), False),
        (AUTHORITY.issue_cert("llama.hospital.example"), True),
        (AUTHORITY.issue_cert("127.0.0.1", not_after=LONG_AGO), True),
    ],
    ids=["unknown authority", "no authority named", "another name", "another time"],
)
def test_a_certificate_that_is_not_trusted_is_told_nothing_and_left_alone(
    certificate: trustme.LeafCert, is_named: bool, ca_file: Path
) -> None:
    with proving(certificate) as model:
        writer = writer_at(model.url, llm_ca_file=ca_file if is_named else None)
        assert refused(writer) == asked_but(NOT_TRUSTED)
        assert model.received.empty()
    assert (writer.circuit.state, writer.circuit.reason) == ("open", NOT_TRUSTED)


def test_an_endpoint_that_does_not_speak_tls_is_told() -> None:
    with LanguageModel(says(GOOD_TEXT)) as model:
        writer = writer_at(model.url.replace("http:", "https:"))
        assert refused(writer) == asked_but("it could not be reached (ConnectError)")


@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN CERTIFICATE-----\nnot one\n-----END CERTIFICATE-----\n"])
def test_a_file_without_certificates_is_refused_at_the_start(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "authority.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError, match="LLM_CA_FILE must name a file of PEM certificates"):
        writer_at("https://127.0.0.1:9/v1", llm_ca_file=file)
