"""What an attacker tried by hand and got nothing by; each attack is the whole one, on a server as it runs."""

import json
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from flask import Flask
from flask.sessions import SecureCookieSessionInterface

from common.messages import CLIENTS_NAMESPACE
from tests.integration.server.conftest import Join, RunningServer
from tests.support.made_requests import request
from tests.support.processes import TOKENS, Process, end_all, environment_of, run
from tests.support.raw_socket import RawSocket
from tests.support.serving import ASYNC_MODE
from tests.support.speaking import WAIT_SECONDS, Browser, ClientApp, handshake

if sys.platform != "win32":
    import resource

FILES = 256


@pytest.fixture
def processes() -> Iterator[list[Process]]:
    started: list[Process] = []
    yield started
    end_all(started)


def opened(url: str, most: int) -> Iterator[socket.socket]:
    """Open connections that stay, until one is not answered any more."""
    address = urlsplit(url)
    lines = [
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1",
        f"Host: {address.netloc}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]
    for _ in range(most):
        peer = socket.create_connection((address.hostname, address.port), WAIT_SECONDS)
        peer.settimeout(3)
        peer.sendall("\r\n".join([*lines, "", ""]).encode())
        try:
            is_answered = bool(peer.recv(64))
        except (TimeoutError, ConnectionError):
            is_answered = False
        if not is_answered:
            peer.close()
            return
        yield peer


@pytest.mark.skipif(sys.platform != "linux", reason="limits of another process can be set on Linux only")
@pytest.mark.parametrize("limited", ["before the start", "while it runs"])
def test_whoever_opens_more_sockets_than_there_are_files_ends_nothing(
    processes: list[Process], tmp_path: Path, detector_dir: Path, limited: str
) -> None:
    process = run(processes, environment_of(tmp_path, detector_dir, ASYNC_MODE))
    if limited == "before the start":  # it reads the limit after its imports, some seconds from now
        resource.prlimit(process.running.pid, resource.RLIMIT_NOFILE, (FILES, FILES))
    process.wait_until_started()
    if limited == "while it runs":
        resource.prlimit(process.running.pid, resource.RLIMIT_NOFILE, (FILES, FILES))
    client = ClientApp(process.url, TOKENS["CLIENT_1_TOKEN"])
    with ExitStack() as attack:
        held = [attack.enter_context(peer) for peer in opened(process.url, FILES)]
        assert FILES // 3 < len(held) < FILES
        if limited == "before the start":
            client.predict(request(1).to_wire())  # files are left for the record
            assert client.answered("request-1").client_id == "Client-1"
    assert Browser(process.url).get("/readyz").status == 200
    client.close()
    assert process.end() == 0


REDIRECTED = b"GET //api//status HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
SPLIT = b"GET /api/predictions/a%0d%0aX-Evil:%201 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
SMUGGLED = (
    b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"0\r\n\r\nGET /livez HTTP/1.1\r\nHost: localhost\r\nX: MARKER\r\nConnection: close\r\n\r\n"
)


@pytest.mark.parametrize(
    "sent",
    [
        REDIRECTED,
        SPLIT,
        SMUGGLED,
        b"MARKER\x1b[31m of a patient\r\n\r\n",
        b"MARKER\x00 / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: MARKER.example\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost@MARKER\r\nConnection: close\r\n\r\n",
        b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Length: -MARKER\r\nConnection: close\r\n\r\n",
        b"GET /ui/base.css HTTP/1.1\r\nHost: localhost\r\nRange: bytes=-9,MARKER\r\nConnection: close\r\n\r\n",
    ],
)
def test_no_bad_request_is_answered_with_what_it_said(
    running: RunningServer, caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    """Nor logged, led elsewhere, or taken for two."""
    address = urlsplit(running.url)
    with socket.create_connection((address.hostname, address.port), WAIT_SECONDS) as peer:
        peer.sendall(sent)
        with peer.makefile("rb") as stream:
            answer = stream.read()
    assert answer
    for secret in (b"MARKER", b"evil.example", b"X-Evil", b'"alive"', b"Traceback"):
        assert secret not in answer
    assert "MARKER" not in caplog.text


def forged(key: str, content: object) -> str:
    app = Flask("attacker")
    app.secret_key = key
    serializer = SecureCookieSessionInterface().get_signing_serializer(app)
    assert serializer is not None
    made: str = serializer.dumps(content)
    return made


def test_no_cookie_but_the_one_that_was_given_is_good(running: RunningServer, signed_in: Browser) -> None:
    """Not one edited, signed with another key, or, by somebody who has the key, for a session nobody began."""
    given = signed_in.cookies["hads_server"]
    content, moment, signature = given.rsplit(".", 2)
    key = running.settings.secrets.secret_key
    made_up: list[object] = ["", "x", None, 1, [], {"a": 1}, "x" * 3000]
    tried = [
        f"{content}.{moment}.{'A' * len(signature)}",
        f"{content}.AAAAAA.{signature}",
        content,
        f"{content}..",
        forged("an older key", {"key": "x"}),
        *(forged(key, {"key": one}) for one in made_up),
    ]
    stranger = Browser(running.url)
    assert {stranger.get("/api/status", Cookie=f"hads_server={cookie}").status for cookie in tried} == {401}
    assert stranger.get("/api/status", Cookie=f"hads_server={given}").status == 200


def test_the_csrf_token_of_another_session_is_none(running: RunningServer, signed_in: Browser) -> None:
    stranger = Browser(running.url)
    for token in (stranger.csrf_token(), "", "x", None):
        assert signed_in.post("/sign-out", {}, X_CSRFToken=token).status == 400
    assert signed_in.get("/api/status").status == 200


ENTER = f"40{CLIENTS_NAMESPACE},"


@pytest.mark.parametrize(
    "packet",
    [
        '454-/clients,9["predict",'
        + json.dumps([{"_placeholder": True, "num": number} for number in range(1000)])
        + "]",
        '45999999999-/clients,9["predict",{"_placeholder":true,"num":0}]',
        '42/clients,9["predict",' + "[" * 30_000 + "]" * 30_000 + "]",
        '42/clients,9["predict",' + "9" * 60_000 + "]",
        "42/clients," + "9" * 5000 + '["predict",1]',
        '42/clients,9["predict",NaN]',
        "4" + "a" * 70_000,
        "9",
    ],
    ids=["placeholders", "attachments", "deep", "huge number", "huge id", "NaN", "oversized", "unknown packet"],
)
def test_a_packet_that_breaks_the_protocol_ends_its_own_connection_alone(
    running: RunningServer, join: Join, packet: str
) -> None:
    other = join("Client-2")
    with RawSocket(running.url) as peer:
        assert peer.receive()
        peer.send(ENTER + json.dumps(handshake(running.token())))
        assert (peer.receive() or b"").startswith(ENTER.encode())
        with suppress(ConnectionError):
            peer.send(packet)
            for _ in range(4):  # the attachments of those that announce some
                peer.send(b"a")
        assert peer.has_ended()
    other.predict(request(1).to_wire())
    assert other.answered("request-1").client_id == "Client-2"
