"""The way to an endpoint: to that host alone, to no other, and to none without limits."""

import os
import socket
import threading
import time
from collections.abc import Iterator

import httpx2
import pytest

from config.settings import is_private
from server.explanation.endpoint import CALL, EndpointError
from server.explanation.transport import (
    ForbiddenAnswerError,
    Limits,
    limits_of_call,
    make_http_client,
    trusted_authorities,
)
from tests.support.llm_server import LanguageModel, says
from tests.support.writing import endpoint_at

TOKEN = "hf_a_token_of_this_test"


@pytest.fixture
def model() -> Iterator[LanguageModel]:
    with LanguageModel(says("Hello.")) as model:
        yield model


def test_nothing_is_sent_without_limits(model: LanguageModel) -> None:
    with make_http_client(trusted_authorities(None)) as client, pytest.raises(LookupError):
        client.post(model.url, json={})
    assert model.received.empty()


def test_nothing_is_sent_to_another_host(model: LanguageModel) -> None:
    given = limits_of_call.set(Limits(time.monotonic() + 10, 1000, "llama.example", is_encrypted=False))
    try:
        with (
            make_http_client(trusted_authorities(None)) as client,
            pytest.raises(ForbiddenAnswerError, match="another host"),
        ):
            client.post(model.url, json={})
    finally:
        limits_of_call.reset(given)
    assert model.received.empty()


def test_no_more_is_read_than_allowed(model: LanguageModel) -> None:
    url = httpx2.URL(model.url)
    given = limits_of_call.set(Limits(time.monotonic() + 10, 50, url.host, is_encrypted=False))
    try:
        with (
            make_http_client(trusted_authorities(None)) as client,
            pytest.raises(ForbiddenAnswerError, match="too long"),
        ):
            client.post(model.url, json={})
    finally:
        limits_of_call.reset(given)


def test_the_library_asks_nobody_else_before_the_first_call() -> None:
    assert os.environ["HF_HUB_DISABLE_TELEMETRY"] == "1"


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
        endpoint = endpoint_at("", huggingface_api_token=TOKEN, llm_model="a/model:nscale")
        with pytest.raises(EndpointError, match="could not be reached"):
            list(endpoint.stream([{"role": "user", "content": "Hello"}], deadline=time.monotonic() + 10))
        thread.join(10)
    assert asked == ["router.huggingface.co", "127.0.0.1"]
    assert hello[0] == 0x16  # a TLS handshake, and nothing before it
    assert b"router.huggingface.co" in hello
    assert TOKEN.encode() not in hello
    for left in threading.enumerate():
        if left.name == CALL:
            left.join(10)


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
