"""How long the event loop stands still while another program holds what the app wants."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from eventlet import patcher

MOST_WAITS: Final = 5
"""As many statements may each wait their turn before the loop goes on; the time-out on threads is ten of these."""

TICK: Final = 0.01


class Held:
    """What it takes to wait once for a database that somebody holds: 0.5 s, and what a loaded machine adds to it."""

    def __init__(self, path: Path) -> None:
        self.one_wait = 0.0
        self._path = path
        self.is_over = False

    def wait_again_and_again(self) -> None:
        """Wait as the app does, on a thread that the event loop does not hold up; note the longest time."""
        while not self.is_over:
            began = time.monotonic()
            with closing(sqlite3.connect(self._path, timeout=0.5, isolation_level=None)) as other:
                try:
                    other.execute("BEGIN IMMEDIATE")
                except sqlite3.OperationalError:
                    self.one_wait = max(self.one_wait, time.monotonic() - began)


@contextmanager
def database_held(path: Path) -> Iterator[Held]:
    """Hold an SQLite database, so that nobody else can read or write it."""
    held = Held(path)
    waiting = patcher.original("threading").Thread(target=held.wait_again_and_again, daemon=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        waiting.start()
        try:
            yield held
        finally:
            held.is_over = True
            while waiting.is_alive():  # no join: on eventlet it would stop the loop
                time.sleep(TICK)


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
