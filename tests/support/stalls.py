"""How long the event loop stands still while another program holds what the app wants."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

MOST_SECONDS: Final = 0.9
"""A busy time-out of SQLite, 0.5 s, and what a loaded machine adds; two of them are more."""

TICK: Final = 0.01


@contextmanager
def database_held(path: Path) -> Iterator[None]:
    """Hold an SQLite database, so that nobody else can read or write it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        yield


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
