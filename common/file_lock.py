"""A lock between processes: one holds it alone, or many share it."""

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

    _PLACES: Final = 64

    def _lock(file: IO[bytes], *, shared: bool) -> None:
        """Hold all of many places, or one of them to share: there are no shared locks."""
        for place in range(_PLACES if shared else 1):
            os.lseek(file.fileno(), place, os.SEEK_SET)
            try:
                return msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1 if shared else _PLACES)
            except PermissionError:
                continue
        raise BlockingIOError
else:
    import fcntl

    def _lock(file: IO[bytes], *, shared: bool) -> None:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)


WAIT_SECONDS: Final = 5.0
LOOK_SECONDS: Final = 0.01


@contextmanager
def locked(
    lock_file: Path, seconds: float = WAIT_SECONDS, *, shared: bool = False, private: bool = False
) -> Iterator[None]:
    """Hold a lock on an empty file, made if it is missing; it is released however the process ends.

    Raises
    ------
    TimeoutError
        If another process holds it for longer than so many seconds.
    OSError
        If the file cannot be made or locked.
    """
    # Unless it is private, another user may have made the file: to open it for reading is enough for a lock.
    flags, mode = (os.O_RDWR, 0o600) if private else (os.O_RDONLY, 0o644)
    with os.fdopen(os.open(lock_file, flags | os.O_CREAT, mode), "rb") as file:
        deadline = time.monotonic() + seconds
        while True:
            try:
                _lock(file, shared=shared)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)) from None
            time.sleep(LOOK_SECONDS)  # a lock that is waited for in the system would stop eventlet's loop
        yield  # closing the file releases it
