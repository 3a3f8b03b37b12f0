"""Connections held, refused and dropped: ``python -m benchmarks.connections [--held 1000] [--cycles 100000]``.

The server is a process of its own. After the cycles its memory and threads have to be where they were.
"""

import argparse
import json
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.running import our_server
from common.messages import PROTOCOL_VERSION

WARM_UP = 2_000
REST_SECONDS = 25.0
MOST_GROWTH_MB = 5.0
FRAME = 0x81
MASK = bytes(4)


def main(arguments: Sequence[str]) -> int:
    """Print what was measured; return 1 when the server kept more than it may."""
    asked = _options(arguments)
    limits = {
        "MAX_CONNECTIONS": str(asked.held),
        "ADDRESS_REQUESTS_PER_MINUTE": "10000000",
        "REQUESTS_PER_MINUTE": "1000000",
        "SOCKETIO_ASYNC_MODE": asked.mode,
    }
    with our_server(1, **limits) as server:
        url, token, watched = server.url, server.tokens[0], _Watched(server.process.pid)
        print(_hold(url, asked.held, watched), flush=True)
        _run_cycles(url, token, WARM_UP)
        _rest()
        before = watched.figures()
        print(f"after these and {WARM_UP} more to warm up: {before[0]:.1f} MB, {before[1]} threads", flush=True)
        began = time.monotonic()
        _run_cycles(url, token, asked.cycles)
        took = time.monotonic() - began
        _rest()
        after = watched.figures()
    growth = after[0] - before[0]
    print(f"{asked.cycles} connected, refused and dropped, {asked.cycles / took:.0f} a second")
    print(f"after them: {after[0]:.1f} MB ({growth:+.1f}), {after[1]} threads ({after[1] - before[1]:+d})")
    return 0 if growth < MOST_GROWTH_MB and after[1] <= before[1] else 1


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--held", type=int, default=1000, help="connections held at once")
    parser.add_argument("--cycles", type=int, default=100_000, help="connections made and dropped")
    parser.add_argument("--mode", choices=("eventlet", "threading"), default="eventlet")
    return parser.parse_args(arguments)


class _Watched:
    """Memory and threads of a process, as Linux counts them."""

    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")

    def figures(self) -> tuple[float, int]:
        """Return resident memory in MB, and the number of threads."""
        lines = dict(line.split(":", 1) for line in self._status.read_text().splitlines())
        return int(lines["VmRSS"].split()[0]) / 1024, int(lines["Threads"])


def _rest() -> None:
    """Wait until the server has put out everybody who was never let in."""
    time.sleep(REST_SECONDS)


def _hold(url: str, count: int, watched: _Watched) -> str:
    """Hold as many connections as there may be, find the next one refused, and let all go."""
    before, _ = watched.figures()
    with ExitStack() as stack:
        for _ in range(count):
            if not _upgraded(stack.enter_context(_socket(url)), url):
                sys.exit("A connection below the ceiling was refused.")
        with _socket(url) as one_too_many:
            refused = not _upgraded(one_too_many, url)
        memory, threads = watched.figures()
    each = (memory - before) * 1024 / count
    said = "refused" if refused else "NOT refused"
    return f"{count} held: {memory:.1f} MB, {each:.0f} kB each, {threads} threads; the next one was {said}"


def _run_cycles(url: str, token: str, count: int) -> None:
    """Connect and drop, in turn: without a word, with a wrong token, with the right one, and by polling."""
    good = _handshake(token)
    wrong = _handshake("wrong")
    for number in range(count):
        with _socket(url) as peer, suppress(ConnectionError):
            if number % 4 == 3:
                _poll(peer, url)
                continue
            if _upgraded(peer, url) and number % 4:
                peer.sendall(_frame(good if number % 4 == 1 else wrong))
                peer.recv(4096)


@contextmanager
def _socket(url: str) -> Iterator[socket.socket]:
    address = urlsplit(url)
    with socket.create_connection((address.hostname or "", address.port or 80), timeout=30) as peer:
        yield peer


def _upgraded(peer: socket.socket, url: str) -> bool:
    """Begin a websocket and read the first packet; return whether that was let in."""
    host = urlsplit(url).netloc
    lines = [
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]
    peer.sendall("\r\n".join([*lines, "", ""]).encode())
    answer = b""
    while b'"maxPayload"' not in answer and (more := peer.recv(4096)):
        answer += more
        if answer.startswith(b"HTTP/1.1 5"):
            return False
    return answer.startswith(b"HTTP/1.1 101")


def _poll(peer: socket.socket, url: str) -> None:
    host = urlsplit(url).netloc
    peer.sendall(f"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    peer.recv(4096)


def _handshake(token: str) -> bytes:
    auth = json.dumps({"protocol": PROTOCOL_VERSION, "token": token, "waiting": 0})
    return f"40/clients,{auth}".encode()


def _frame(payload: bytes) -> bytes:
    """Frame a text of up to 64 KB as a client does; a mask of zeros changes nothing."""
    return bytes([FRAME, 0x80 | 126]) + len(payload).to_bytes(2, "big") + MASK + payload


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
