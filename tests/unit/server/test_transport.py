"""The way to an endpoint: to that host alone, at an address that was checked, and nothing of the environment."""

import socket
import threading
import time
from collections.abc import Callable

import pytest
from huggingface_hub import constants, get_session

from config.hosts import is_private
from server.explanation import endpoint
from tests.support.llm_faults import drips_headers
from tests.support.llm_server import LanguageModel, says
from tests.support.writing import settings_for

TOKEN = "hf_a_token_of_this_test"
NAME = "llama.hospital.example"


def ask(url: str, seconds: float = 10, **changes: object) -> str:
    hello = [{"role": "user", "content": "Hello"}]
    return endpoint.Endpoint(settings_for(url, **changes)).ask(hello, {}, deadline=time.monotonic() + seconds)


@pytest.fixture
def lead_here(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[str]]:
    """Have every name lead to a port of this machine, and return what is looked up."""

    def lead(port: int) -> list[str]:
        asked: list[str] = []
        resolve = socket.getaddrinfo

        def look_up(host: str, to: int, *more: object, **named: object) -> list[object]:
            asked.append(host)
            return resolve("127.0.0.1", port, *more, **named)  # type: ignore[return-value, arg-type]

        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        return asked

    return lead


def test_a_name_is_looked_up_once_and_nothing_is_sent_in_the_clear_to_a_public_address(
    lead_here: Callable[[int], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with LanguageModel(says("Hello.")) as model:
        asked = lead_here(port := int(model.url.split(":")[2].removesuffix("/v1")))
        assert ask(f"http://{NAME}:{port}/v1") == "Hello."
        assert model.received.get(timeout=10).headers["host"] == f"{NAME}:{port}"
        assert asked == [NAME]
        monkeypatch.setattr(endpoint, "is_private", {"127.0.0.1": False}.get)  # as if this address were public
        with pytest.raises(endpoint.EndpointError, match="neither on this machine nor private; use https in LLM_BASE_"):
            ask(f"http://{NAME}:{port}/v1")
        assert model.received.empty()


def test_the_router_is_asked_over_tls_and_no_other_name_is_looked_up(lead_here: Callable[[int], list[str]]) -> None:
    hello = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            connection, _ = server.accept()
            with connection:
                hello.extend(connection.recv(65536))

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        asked = lead_here(server.getsockname()[1])
        with pytest.raises(endpoint.EndpointError, match="could not be reached"):
            ask("", huggingface_api_token=TOKEN, llm_api_key="other", llm_model="a/model:nscale")
        thread.join(10)
    assert asked == ["router.huggingface.co"]
    assert hello[0] == 0x16  # a TLS handshake, and nothing before it
    assert b"router.huggingface.co" in hello
    assert TOKEN.encode() not in hello


def test_a_call_whose_headers_drip_leaves_no_thread_behind() -> None:
    with LanguageModel(drips_headers) as model:
        before = set(threading.enumerate())
        with pytest.raises(endpoint.EndpointError, match="did not answer in time"):
            ask(model.url, seconds=0.5)
        for thread in set(threading.enumerate()) - before:
            if thread.name == "language-model-call":
                thread.join(10)
                assert not thread.is_alive()


def test_the_library_asks_this_endpoint_alone_and_reports_on_its_use_to_nobody() -> None:
    assert constants.HF_HUB_DISABLE_TELEMETRY
    with LanguageModel(says("Hello.")) as model:
        with pytest.raises(LookupError):
            get_session().get(model.url)  # outside of a call nothing is sent
        assert model.received.empty()
        assert ask(model.url) == "Hello."
        assert "hf_hub/" in model.received.get(timeout=10).headers["user-agent"]


def test_an_address_is_private_or_not() -> None:
    private = ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.1.1", "::1", "fd00::1", "fe80::1%1"]
    private += ["::ffff:10.1.2.3"]
    public = ["8.8.8.8", "172.32.0.1", "100.64.0.1", "2606:4700::1111", "::ffff:8.8.8.8"]
    assert [address for address in private + public if is_private(address)] == private
