"""A lock between processes: one at a time does what must not be done by two."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[bytes]) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
else:
    import fcntl

    def _lock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX)


@contextmanager
def locked(lock_file: Path) -> Iterator[None]:
    """Hold a lock on an empty file, made if it is missing; it is given back however the process ends."""
    number = os.open(lock_file, os.O_RDONLY | os.O_CREAT, 0o644)  # reading is what another user may do
    with os.fdopen(number, "rb") as file:
        _lock(file)  # closing the file gives it back
        yield
