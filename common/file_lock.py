"""A lock between processes: one at a time does what must not be done by two."""

import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[bytes]) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


WAIT_SECONDS: Final = 5.0
LOOK_SECONDS: Final = 0.01


@contextmanager
def locked(lock_file: Path, seconds: float = WAIT_SECONDS) -> Iterator[None]:
    """Hold a lock on an empty file, made if it is missing; it is given back however the process ends.

    Raises
    ------
    OSError
        If another process holds it for longer than so many seconds, or the file cannot be made.
    """
    number = os.open(lock_file, os.O_RDONLY | os.O_CREAT, 0o644)  # reading is what another user may do
    with os.fdopen(number, "rb") as file:
        deadline = time.monotonic() + seconds
        while not _is_locked(file):
            if time.monotonic() > deadline:
                raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
            time.sleep(LOOK_SECONDS)  # a lock that is waited for in the system would stop eventlet's loop
        yield  # closing the file gives it back


def _is_locked(file: IO[bytes]) -> bool:
    try:
        _lock(file)
    except (BlockingIOError, PermissionError):
        return False
    return True
