"""TCP links that can be cut, half-opened, stalled, slowed and duplicated, each a proxy on a port of its own."""

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Final

READ_BYTES: Final = 65_536
SLOW_BYTES: Final = 512
SLOW_SECONDS: Final = 0.02
MOST_REPLAYED: Final = 4_000_000
CONTROL_SECONDS: Final = 10.0
UPGRADE: Final = b"upgrade: websocket"

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Loop:
    """An event loop on a thread of its own, where the links live."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="links", daemon=True)
        self._thread.start()

    def call(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine there and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(CONTROL_SECONDS)

    def close(self) -> None:
        """End the loop; links must have been closed before."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CONTROL_SECONDS)
        self._loop.close()


class _Pair:
    """One connection through a link: the side that dialled, and the side that was reached."""

    def __init__(self, dialled: Ends, reached: Ends | None) -> None:
        self.dialled = dialled
        self.reached = reached
        self.replayable = bytearray()
        self.swallows = reached is None

    def end(self, *, reset: bool) -> None:
        for _, writer in filter(None, (self.dialled, self.reached)):
            _close(writer, reset=reset)


class FaultyLink:
    """Forwards every connection to its port to the target port, as well as it is told to; safe to steer on any thread.

    The faults last until ``heal``. What a half-open link swallowed is gone, so ``heal`` resets the connections it had;
    what a stalled or a slow one held up arrives late but whole.
    """

    def __init__(self, loop: Loop, target_port: int) -> None:
        self._loop = loop
        self._target_port = target_port
        self._pairs: list[_Pair] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._refuses = self._swallows = self._is_slow = False
        self._twins: list[asyncio.StreamWriter] = []
        self.port: int = loop.call(self._listen())

    def begin(self, fault: str) -> None:
        """Begin a fault of one of the kinds of ``schedules.LINK_FAULTS``."""
        self._loop.call(self._begin(fault))

    def heal(self) -> None:
        """End every fault."""
        self._loop.call(self._heal())

    def close(self) -> None:
        self._loop.call(self._close())

    async def _listen(self) -> int:
        self._flows = asyncio.Event()
        self._flows.set()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def _begin(self, fault: str) -> None:
        if fault in {"reset", "close"}:
            self._refuses = True
            for pair in list(self._pairs):
                self._end(pair, reset=fault == "reset")
        elif fault == "half-open":
            self._swallows = True
        elif fault == "stall":
            self._flows.clear()
        elif fault == "slow":
            self._is_slow = True
        elif fault == "duplicate":
            await self._duplicate()
        else:
            raise ValueError(fault)

    async def _heal(self) -> None:
        self._refuses = self._swallows = self._is_slow = False
        self._flows.set()
        for pair in [pair for pair in self._pairs if pair.swallows]:
            self._end(pair, reset=True)
        for twin in self._twins:
            _close(twin, reset=False)
        self._twins.clear()

    async def _close(self) -> None:
        await self._heal()
        self._server.close()
        for pair in list(self._pairs):
            self._end(pair, reset=True)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def _end(self, pair: _Pair, *, reset: bool) -> None:
        pair.end(reset=reset)
        if pair in self._pairs:
            self._pairs.remove(pair)

    async def _duplicate(self) -> None:
        """Say everything again, on a second connection, that the newest websocket's dialling side has said."""
        said = [pair.replayable for pair in self._pairs if UPGRADE in bytes(pair.replayable[:2000]).lower()]
        if not said or len(said[-1]) >= MOST_REPLAYED:
            return
        with suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", self._target_port)
            self._twins.append(writer)
            writer.write(bytes(said[-1]))
            self._follow(self._drain(reader))

    @staticmethod
    async def _drain(reader: asyncio.StreamReader) -> None:
        with suppress(OSError):
            while await reader.read(READ_BYTES):
                pass

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses:
            _close(writer, reset=True)
            return
        reached = None
        try:
            if not self._swallows:
                reached = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            _close(writer, reset=True)
            return
        pair = _Pair((reader, writer), reached)
        self._pairs.append(pair)
        self._follow(self._pump(pair, reader, reached[1] if reached else None, replayable=True))
        if reached:
            self._follow(self._pump(pair, reached[0], writer, replayable=False))

    def _follow(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _pump(
        self, pair: _Pair, reader: asyncio.StreamReader, writer: asyncio.StreamWriter | None, *, replayable: bool
    ) -> None:
        try:
            while data := await reader.read(SLOW_BYTES if self._is_slow else READ_BYTES):
                await self._flows.wait()
                if self._is_slow:
                    await asyncio.sleep(SLOW_SECONDS)
                pair.swallows = pair.swallows or self._swallows
                if writer is None or pair.swallows:
                    continue
                if replayable and len(pair.replayable) < MOST_REPLAYED:
                    pair.replayable += data
                writer.write(data)
                await writer.drain()
        except OSError:
            pass  # the other pump has ended the pair, or a peer has
        finally:
            if not pair.swallows or not self._swallows:
                self._end(pair, reset=False)


def _close(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    """Close after what was written, or at once with a reset."""
    if not reset:
        writer.close()
        return
    connection = writer.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
