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
    host, _, port = urlsplit(process.url).netloc.partition(":")
    with ExitStack() as attack:
        for _ in range(2 * FILES):
            peer = attack.enter_context(socket.create_connection((host, int(port)), WAIT_SECONDS))
            peer.sendall(b"GET /livez HTTP/1.1\r\n")
        if limited == "before the start":
            client.predict(request(1).to_wire())  # files are left for the record
            assert client.answered("request-1").client_id == "Client-1"
    assert Browser(process.url).get("/readyz").status == 200
    client.close()
    assert process.end() == 0
