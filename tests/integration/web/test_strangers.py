"""What strangers tried and got nothing by: each attack is the whole one, on a process as it runs."""

import socket
import sys
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from queue import Queue
from urllib.parse import urlsplit

import pytest

from tests.integration.web.conftest import Running
from tests.support.processes import TOKENS, Process
from tests.support.raw_socket import RawSocket
from tests.support.serving import ASYNC_MODE
from tests.support.speaking import Browser, ClientApp, Connection
from tests.support.waiting import WAIT_SECONDS

if sys.platform != "win32":
    import resource

FILES = 256
PAGE_BYTES = 4096


def memory_of(process: Process) -> int:
    return int(Path(f"/proc/{process.running.pid}/statm").read_text().split()[1]) * PAGE_BYTES


@pytest.mark.skipif(sys.platform != "linux", reason="the memory of another process can be read on Linux only")
def test_strangers_websockets_and_fragments_reach_nothing(process: Process) -> None:
    process.wait_until_started()
    browser = Browser(process.url)
    assert browser.get("/livez").status == 200
    before, answers, slowest = memory_of(process), Queue[int](), 0.0
    fragments = b"".join(bytes([0 if n else 1, 0x81, 0, 0, 0, 0, 97]) for n in range(100_000))

    def attack() -> None:
        for _ in range(30):
            with RawSocket(process.url, origin=None) as peer, suppress(ConnectionError):
                answers.put(peer.status)
                peer.socket.sendall(fragments)

    attackers = [threading.Thread(target=attack) for _ in range(4)]
    for one in attackers:
        one.start()
    while any(one.is_alive() for one in attackers):
        began = time.monotonic()
        assert browser.get("/livez").status == 200
        slowest = max(slowest, time.monotonic() - began)
    statuses = [answers.get() for _ in range(answers.qsize())]
    assert set(statuses) == {401}
    assert len(statuses) > 60
    assert memory_of(process) - before < 40_000_000
    assert slowest < 10


@pytest.mark.skipif(sys.platform != "linux", reason="limits of another process can be set on Linux only")
@pytest.mark.parametrize("limited", ["before the start", "while it runs"])
def test_whoever_opens_more_sockets_than_there_are_files_ends_nothing(
    process: Process, connections: list[Connection], limited: str
) -> None:
    if limited == "before the start":  # it reads the limit after its imports
        resource.prlimit(process.running.pid, resource.RLIMIT_NOFILE, (FILES, FILES))
    process.wait_until_started()
    if limited == "while it runs":
        resource.prlimit(process.running.pid, resource.RLIMIT_NOFILE, (FILES, FILES))
    connections.append(client := ClientApp(process.url, TOKENS["CLIENT_1_TOKEN"]))
    address = urlsplit(process.url)
    with ExitStack() as attack:
        for _ in range(FILES + 50):
            attack.enter_context(socket.create_connection((address.hostname, address.port), WAIT_SECONDS))
        if limited == "before the start":  # files are left for what the process opens itself
            assert client.predict({"a": 1})["status"] == "accepted"
    assert Browser(process.url).get("/readyz").status == 200
    client.close()
    assert process.end() == 0


QUOTED_BY_EVENTLET = [b"MARKER\x1b[31m of a patient\r\n\r\n", b"MARKER\x00 / HTTP/9.9\r\n\r\n"]
"""As SECURITY.md says: to whoever sent it, and nowhere else."""


@pytest.mark.parametrize(
    "sent",
    [
        *QUOTED_BY_EVENTLET,
        b"GET //livez HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
        b"GET /livez%0d%0aX-Evil:%201 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"0\r\n\r\nGET /livez HTTP/1.1\r\nHost: localhost\r\nX: MARKER\r\nConnection: close\r\n\r\n",
        b"GET /ui/base.css HTTP/1.1\r\nHost: localhost\r\nRange: bytes=-9,MARKER\r\nConnection: close\r\n\r\n",
    ],
)
def test_no_bad_request_is_answered_with_what_it_said(
    running: Running, caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    """Nor logged, led elsewhere, or taken for two."""
    address = urlsplit(running.url)
    with socket.create_connection((address.hostname, address.port), WAIT_SECONDS) as peer:
        peer.sendall(sent)
        with peer.makefile("rb") as stream:
            answer = stream.read()
    assert answer
    for secret in (b"evil.example", b"X-Evil", b'"alive"', b"Traceback"):
        assert secret not in answer
    assert b"MARKER" not in answer or (ASYNC_MODE == "eventlet" and sent in QUOTED_BY_EVENTLET)
    assert "MARKER" not in caplog.text
