"""What an attacker tried by hand and got nothing by; each attack is the whole one, on a server as it runs."""

import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.integration.server.conftest import ASYNC_MODE
from tests.integration.server.processes import TOKENS, Process, end_all, environment_of, run
from tests.integration.server.speaking import WAIT_SECONDS, Browser, ClientApp
from tests.unit.client.made import request

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
