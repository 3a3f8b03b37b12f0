"""A link on which each answer takes its time: ``PORT=8000 python -m benchmarks.delay TARGET_PORT MILLISECONDS``."""

import asyncio
import os
import selectors
import sys
from contextlib import suppress

READ_BYTES = 65_536


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    """Write what is read so much later, to the end; all of it takes equally long, so that the order stays."""
    with suppress(OSError):
        while data := await reader.read(READ_BYTES):
            asyncio.get_running_loop().call_later(seconds, writer.write, data)
    asyncio.get_running_loop().call_later(seconds, writer.close)


async def _serve(port: int, target: int, seconds: float) -> None:
    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", target)
        await asyncio.gather(_pump(reader, back, seconds / 2), _pump(there, writer, seconds / 2))

    server = await asyncio.start_server(carry, "127.0.0.1", port)
    print(f"Open 127.0.0.1:{port}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    # Not epoll, which counts whole milliseconds.
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    loop.run_until_complete(_serve(int(os.environ["PORT"]), int(sys.argv[1]), float(sys.argv[2]) / 1000))
