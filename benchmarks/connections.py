"""Connections held, refused and dropped: ``python -m benchmarks.connections [--held 1000] [--cycles 20000]``.

The server is a process of its own. After the cycles its memory and threads have to be where they were.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress

from benchmarks.running import RunningServer, our_servers
from common.messages import CLIENTS_NAMESPACE, PROTOCOL_VERSION
from tests.support.speaking import Connection, RefusedError

WARM_UP = 2_000
REST_SECONDS = 25.0
"""By then the server has put out everybody who was never let in."""
MOST_GROWTH_MB = 5.0
MOST_OF_AN_ADDRESS = 900


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what was measured; return 1 when the server kept more than it may."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--held", type=int, default=1000, help="client apps connected at once")
    parser.add_argument("--cycles", type=int, default=20_000, help="connections made and dropped")
    parser.add_argument("--mode", choices=("eventlet", "threading"), default="eventlet")
    asked = parser.parse_args(arguments)
    limits = {
        "MAX_CONNECTIONS": str(asked.held),
        "ADDRESS_REQUESTS_PER_MINUTE": "10000000",
        "REQUESTS_PER_MINUTE": "1000000",
        "SOCKETIO_ASYNC_MODE": asked.mode,
    }
    with our_servers(1, asked.held + 1, **limits) as (server,):
        _hold(server, asked.held)
        _run_cycles(server, WARM_UP)
        # Only after a warm-up: what Python takes once and keeps is no leak.
        memory, threads = server.figures()
        print(f"after these and {WARM_UP} more to warm up: {memory:.1f} MB, {threads} threads", flush=True)
        began = time.monotonic()
        _run_cycles(server, asked.cycles)
        took = time.monotonic() - began - REST_SECONDS
        memory_after, threads_after = server.figures()
    growth = memory_after - memory
    print(f"{asked.cycles} connected, refused and dropped, {asked.cycles / took:.0f} a second")
    print(f"after them: {memory_after:.1f} MB ({growth:+.1f}), {threads_after} threads ({threads_after - threads:+d})")
    return 0 if growth < MOST_GROWTH_MB and threads_after <= threads else 1


def _connect(server: RunningServer, token: str, source: str = "127.0.0.1") -> Connection:
    auth = {"protocol": PROTOCOL_VERSION, "instance": "benchmark", "attempt": time.monotonic_ns()}
    headers = {"Authorization": f"Bearer {token}"}
    return Connection(server.url, CLIENTS_NAMESPACE, auth=auth, headers=headers, source=source)


def _hold(server: RunningServer, count: int) -> None:
    """Hold as many following client apps as there may be, find the next one refused, and let all go."""
    before, _ = server.figures()
    with ExitStack() as stack:
        for number, token in enumerate(server.tokens[:count]):
            # From several loopback addresses: one may hold fewer connections than the server as a whole.
            client = _connect(server, token, f"127.0.0.{1 + number // MOST_OF_AN_ADDRESS}")
            stack.callback(client.close)
            client.follow()
        memory, threads = server.figures()
        try:
            _connect(server, server.tokens[count], "127.0.0.99").close()
            said = "NOT refused"
        except RefusedError as refused:
            said = f"refused with {refused.said}"
    each = (memory - before) * 1024 / count
    print(f"{count} held: {memory:.1f} MB, {each:.0f} kB each, {threads} threads; the next one was {said}", flush=True)


def _run_cycles(server: RunningServer, count: int) -> None:
    """Connect and drop, in turn: with a wrong token, without any, and twice with the right one; then rest."""
    for number in range(count):
        with suppress(RefusedError):
            _connect(server, ("wrong", "", *server.tokens[:2])[number % 4]).close()
    time.sleep(REST_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
