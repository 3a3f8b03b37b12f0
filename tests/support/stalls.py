"""How long the event loop stands still while another program holds what the app wants."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

MOST_SECONDS: Final = 0.9
"""A busy time-out of SQLite, 0.5 s, and what a loaded machine adds; two of them are more."""

TICK: Final = 0.01

_HOLD_DATABASE: Final = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def database_held(path: Path) -> Iterator[None]:
    """Hold an SQLite database in another process, so that no other process can read or write it."""
    command = [sys.executable, "-c", _HOLD_DATABASE, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        try:
            yield
        finally:
            holder.kill()


class LoopWatch:
    """Wakes every 10 ms, on eventlet on the very loop, and notes by how much it was late at worst."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._is_over = False
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "LoopWatch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        self._thread.join()

    def _watch(self) -> None:
        while not self._is_over:
            began = time.monotonic()
            time.sleep(TICK)
            self.longest = max(self.longest, time.monotonic() - began - TICK)
