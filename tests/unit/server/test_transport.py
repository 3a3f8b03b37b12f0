"""The way to an endpoint: to that host alone, at an address that was checked, and nothing of the environment."""

import socket
import threading
import time

import pytest
from huggingface_hub import constants, get_session

from config.settings import is_private
from server.explanation.endpoint import CALL, MAX_BYTES, Endpoint, EndpointError
from tests.support.llm_server import LanguageModel, Reply, says
from tests.support.writing import settings_for

TOKEN = "hf_a_token_of_this_test"
HELLO = [{"role": "user", "content": "Hello"}]


def test_no_more_is_read_than_allowed() -> None:
    def floods(reply: Reply) -> None:
        reply.begin()
        reply.raw("x" * (2 * MAX_BYTES))

    with LanguageModel(floods) as model, pytest.raises(EndpointError, match="too long"):
        Endpoint(settings_for(model.url)).ask(HELLO, {}, deadline=time.monotonic() + 10)


def test_a_name_is_looked_up_once_and_what_was_checked_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    resolve = socket.getaddrinfo

    def once(host: str, *more: object, **named: object) -> object:
        asked.append(host)
        local = "127.0.0.1" if len(asked) < 3 else "8.8.8.8"  # the second look-up is of the checked address itself
        return resolve(local, *more, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", once)
    with LanguageModel(says("Hello.")) as model:
        port = model.url.split(":")[2].removesuffix("/v1")
        endpoint = Endpoint(settings_for(f"http://llama.hospital.example:{port}/v1"))
        assert endpoint.ask(HELLO, {}, deadline=time.monotonic() + 10) == "Hello."
        assert model.received.get(timeout=10).headers["host"] == f"llama.hospital.example:{port}"
    assert asked == ["llama.hospital.example", "127.0.0.1"]


def test_the_next_address_is_tried_where_nobody_answers_at_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve = socket.getaddrinfo

    def two(host: str, *more: object, **named: object) -> list[object]:
        hosts = ["127.0.0.2", "127.0.0.1"] if host == "llama.hospital.example" else [host]
        return [entry for address in hosts for entry in resolve(address, *more, **named)]  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", two)
    with LanguageModel(says("Hello.")) as model:
        port = model.url.split(":")[2].removesuffix("/v1")
        endpoint = Endpoint(settings_for(f"http://llama.hospital.example:{port}/v1"))
        assert endpoint.ask(HELLO, {}, deadline=time.monotonic() + 10) == "Hello."


def test_the_router_is_asked_over_tls_and_no_other_name_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    hello = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def resolve(host: str, *_: object, **__: object) -> list[object]:
            asked.append(host)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", server.getsockname())]

        def listen() -> None:
            connection, _ = server.accept()
            with connection:
                hello.extend(connection.recv(65536))

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        endpoint = Endpoint(settings_for("", huggingface_api_token=TOKEN, llm_model="a/model:nscale"))
        with pytest.raises(EndpointError, match="could not be reached"):
            endpoint.ask(HELLO, {}, deadline=time.monotonic() + 10)
        thread.join(10)
    assert asked == ["router.huggingface.co", "127.0.0.1"]
    assert hello[0] == 0x16  # a TLS handshake, and nothing before it
    assert b"router.huggingface.co" in hello
    assert TOKEN.encode() not in hello


def test_a_call_whose_headers_drip_leaves_no_thread_behind() -> None:
    def drips(reply: Reply) -> None:
        reply.raw("HTTP/1.0 200 OK\r\nX-Long: ")
        while not reply.stall(0.05):
            reply.raw("x")

    with LanguageModel(drips) as model:
        with pytest.raises(EndpointError, match="did not answer in time"):
            Endpoint(settings_for(model.url)).ask(HELLO, {}, deadline=time.monotonic() + 0.5)
        for thread in threading.enumerate():
            if thread.name == CALL:
                thread.join(10)
                assert not thread.is_alive()


def test_the_library_makes_the_request_and_reports_on_its_use_to_nobody() -> None:
    assert constants.HF_HUB_DISABLE_TELEMETRY
    with LanguageModel(says("Hello.")) as model:
        assert Endpoint(settings_for(model.url)).ask(HELLO, {}, deadline=time.monotonic() + 10) == "Hello."
        assert "hf_hub/" in model.received.get(timeout=10).headers["user-agent"]


def test_outside_of_a_call_the_library_sends_nothing() -> None:
    with LanguageModel(says("Hello.")) as model:
        with pytest.raises(LookupError):
            get_session().get(model.url)
        assert model.received.empty()


@pytest.mark.parametrize(
    ("address", "private"),
    [
        ("127.0.0.1", True),
        ("10.1.2.3", True),
        ("172.16.0.1", True),
        ("192.168.1.1", True),
        ("169.254.1.1", True),
        ("::1", True),
        ("fd00::1", True),
        ("fe80::1%1", True),
        ("::ffff:10.1.2.3", True),
        ("8.8.8.8", False),
        ("172.32.0.1", False),
        ("100.64.0.1", False),
        ("2606:4700::1111", False),
        ("::ffff:8.8.8.8", False),
    ],
)
def test_an_address_is_private_or_not(address: str, private: bool) -> None:
    assert is_private(address) is private
