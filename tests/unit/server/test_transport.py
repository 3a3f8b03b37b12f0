"""The way to an endpoint: to that host alone, at an address that was checked, and nothing of the environment."""

import socket
import threading
import time
from collections.abc import Callable

import pytest
from huggingface_hub import constants, get_session

from config.settings import is_private
from server.explanation.endpoint import CALL, Endpoint, EndpointError
from tests.support.llm_faults import drips_headers
from tests.support.llm_server import LanguageModel, says
from tests.support.writing import settings_for

TOKEN = "hf_a_token_of_this_test"
NAME = "llama.hospital.example"


def ask(url: str, seconds: float = 10, **changes: object) -> str:
    hello = [{"role": "user", "content": "Hello"}]
    return Endpoint(settings_for(url, **changes)).ask(hello, {}, deadline=time.monotonic() + seconds)


@pytest.fixture
def resolved(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Have a name lead to these addresses, at its first look-up, and return what was looked up."""

    def lead(*addresses: str, port: int | None = None) -> list[str]:
        asked: list[str] = []
        resolve = socket.getaddrinfo

        def look_up(host: str, to: int, *more: object, **named: object) -> list[object]:
            asked.append(host)
            there = [host] if host in addresses else addresses if asked.count(host) == 1 else ["8.8.8.8"]
            return [entry for one in there for entry in resolve(one, port or to, *more, **named)]  # type: ignore[arg-type]

        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        return asked

    return lead


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["127.0.0.2", "127.0.0.1"]])
def test_a_name_is_looked_up_once_and_what_was_checked_is_connected_to(
    resolved: Callable[..., list[str]], addresses: list[str]
) -> None:
    asked = resolved(*addresses)  # nobody answers at the first of two
    with LanguageModel(says("Hello.")) as model:
        port = model.url.split(":")[2].removesuffix("/v1")
        assert ask(f"http://{NAME}:{port}/v1") == "Hello."
        assert model.received.get(timeout=10).headers["host"] == f"{NAME}:{port}"
    assert asked == [NAME, *addresses]


def test_plain_http_to_a_public_address_is_refused_before_anything_is_sent(
    resolved: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    resolved("8.8.8.8")
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: pytest.fail("a connection was made"))
    with pytest.raises(EndpointError, match="neither on this machine nor private; use https in LLM_BASE_URL"):
        ask(f"http://{NAME}/v1")


def test_the_router_is_asked_over_tls_and_no_other_name_is_looked_up(resolved: Callable[..., list[str]]) -> None:
    hello = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            connection, _ = server.accept()
            with connection:
                hello.extend(connection.recv(65536))

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        asked = resolved("127.0.0.1", port=server.getsockname()[1])
        with pytest.raises(EndpointError, match="could not be reached"):
            ask("", huggingface_api_token=TOKEN, llm_api_key="other", llm_model="a/model:nscale")
        thread.join(10)
    assert asked == ["router.huggingface.co", "127.0.0.1"]
    assert hello[0] == 0x16  # a TLS handshake, and nothing before it
    assert b"router.huggingface.co" in hello
    assert TOKEN.encode() not in hello


def test_a_call_whose_headers_drip_leaves_no_thread_behind() -> None:
    with LanguageModel(drips_headers) as model:
        with pytest.raises(EndpointError, match="did not answer in time"):
            ask(model.url, seconds=0.5)
        for thread in threading.enumerate():
            if thread.name == CALL:
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


@pytest.mark.parametrize(
    ("private", "addresses"),
    [
        (True, ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.1.1", "::1", "fd00::1", "fe80::1%1"]),
        (True, ["::ffff:10.1.2.3"]),
        (False, ["8.8.8.8", "172.32.0.1", "100.64.0.1", "2606:4700::1111", "::ffff:8.8.8.8"]),
    ],
)
def test_an_address_is_private_or_not(private: bool, addresses: list[str]) -> None:
    assert [address for address in addresses if is_private(address) is not private] == []
