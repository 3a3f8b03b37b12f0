"""TCP links that can be cut, half-opened, stalled, slowed and duplicated, each a proxy on a port of its own.

As a program it is one on which each answer takes its time: ``PORT=8000 python -m tests.faults.proxy TARGET SECONDS``.
"""

import os
import socket
import struct
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import Final

READ_BYTES: Final = 65_536
SLOW_BYTES: Final = 512
SLOW_SECONDS: Final = 0.02
MOST_REPLAYED: Final = 4_000_000
CONNECT_SECONDS: Final = 5.0
UPGRADE: Final = b"upgrade: websocket"


class _Pair:
    """One connection through a link: the side that dialled, the side that was reached, and what the first has said."""

    def __init__(self, dialled: socket.socket, reached: socket.socket | None) -> None:
        self.dialled = dialled
        self.sides = [dialled] if reached is None else [dialled, reached]
        self.said = bytearray()
        self.is_lossy = reached is None
        for side in self.sides:
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # nothing but the delay asked for

    def end(self, *, reset: bool) -> None:
        """Have both sides end, after what was written or at once with a reset; who carries the connection closes it."""
        for side in self.sides:
            with suppress(OSError):
                if reset:
                    side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                side.shutdown(socket.SHUT_RD if reset else socket.SHUT_RDWR)


class FaultyLink:
    """Forwards every connection to its port to the target port, with the fault that was begun.

    A fault lasts until ``heal``. What a half-open link swallowed is gone, so ``heal`` resets the connections it had;
    what a stalled or a slow one held up arrives late but whole. Without a fault, too, a question and its answer take
    ``delay`` seconds longer.
    """

    def __init__(self, target_port: int, *, port: int = 0, delay: float = 0.0) -> None:
        self._target = "127.0.0.1", target_port
        self._pause = delay / 2
        self._fault = ""
        self._pairs: list[_Pair] = []
        self._twins: list[socket.socket] = []
        self._flows = threading.Event()
        self._flows.set()
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = int(self._listener.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def begin(self, fault: str) -> None:
        """Begin a fault of one of the kinds of ``schedules.LINK_FAULTS``."""
        self._fault = fault
        if fault == "stall":
            self._flows.clear()
        if fault == "duplicate":
            self._duplicate()
        if fault in {"reset", "close"}:
            for pair in list(self._pairs):
                pair.end(reset=fault == "reset")

    def heal(self) -> None:
        """End the fault."""
        self._fault = ""
        self._flows.set()
        for pair in list(self._pairs):
            if pair.is_lossy:
                pair.end(reset=True)
        while self._twins:
            self._twins.pop().close()

    def close(self) -> None:
        self.heal()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join(CONNECT_SECONDS)  # it closes the listener: on eventlet a close elsewhere would not wake it
        for pair in list(self._pairs):
            pair.end(reset=True)

    def _duplicate(self) -> None:
        """Say everything again, on a second connection, that the newest websocket's dialling side has said."""
        said = [bytes(pair.said) for pair in list(self._pairs) if UPGRADE in bytes(pair.said[:2000]).lower()]
        if said and len(said[-1]) < MOST_REPLAYED:
            with suppress(OSError):
                self._twins.append(socket.create_connection(self._target, CONNECT_SECONDS))
                self._twins[-1].sendall(said[-1])

    def _accept(self) -> None:
        with suppress(OSError), closing(self._listener):
            while True:
                threading.Thread(target=self._carry, args=(self._listener.accept()[0],), daemon=True).start()

    def _carry(self, dialled: socket.socket) -> None:
        """Carry one connection until it ends on either side."""
        reached, swallows = None, self._fault == "half-open"
        if self._fault not in {"reset", "close", "half-open"}:
            with suppress(OSError):
                reached = socket.create_connection(self._target, CONNECT_SECONDS)
                reached.settimeout(None)
        pair = _Pair(dialled, reached)
        if reached or swallows:
            self._pairs.append(pair)
            back = threading.Thread(target=self._pump, args=(pair, reached, dialled), daemon=True)
            back.start()
            self._pump(pair, dialled, reached)
            back.join()
            self._pairs.remove(pair)
        else:
            pair.end(reset=True)
        for side in pair.sides:
            side.close()

    def _pump(self, pair: _Pair, source: socket.socket | None, sink: socket.socket | None) -> None:
        with ThreadPoolExecutor(1) as late, suppress(OSError):
            while source and (data := source.recv(SLOW_BYTES if self._fault == "slow" else READ_BYTES)):
                self._flows.wait()
                if self._fault == "slow":
                    time.sleep(SLOW_SECONDS)
                pair.is_lossy = pair.is_lossy or self._fault == "half-open"
                if sink is None or pair.is_lossy:
                    continue
                if source is pair.dialled and len(pair.said) < MOST_REPLAYED:
                    pair.said += data
                if self._pause:  # not slept here: what comes next is due as long after it came
                    late.submit(_send_at, time.monotonic() + self._pause, sink, data)
                else:
                    sink.sendall(data)
        if source and not (pair.is_lossy and self._fault == "half-open"):  # the end of a half-open link is not heard
            pair.end(reset=False)


def _send_at(due: float, sink: socket.socket, data: bytes) -> None:
    time.sleep(max(0.0, due - time.monotonic()))
    sink.sendall(data)


if __name__ == "__main__":
    link = FaultyLink(int(sys.argv[1]), port=int(os.environ["PORT"]), delay=float(sys.argv[2]))
    print(f"Open {link.url}", flush=True)
    threading.Event().wait()
