"""A lock between processes: one at a time does what must not be done by two, or many share what one may take alone."""

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
    """Hold a lock on an empty file, made if it is missing; it is given back however the process ends.

    Raises
    ------
    TimeoutError
        If another process holds it for longer than so many seconds.
    OSError
        If the file cannot be made or locked.
    """
    flags, mode = (os.O_RDWR, 0o600) if private else (os.O_RDONLY, 0o644)  # reading is what another user may do
    with os.fdopen(os.open(lock_file, flags | os.O_CREAT, mode), "rb") as file:
        deadline = time.monotonic() + seconds
        while not _is_locked(file, shared=shared):
            if time.monotonic() >= deadline:
                raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
            time.sleep(LOOK_SECONDS)  # a lock that is waited for in the system would stop eventlet's loop
        yield  # closing the file gives it back


def _is_locked(file: IO[bytes], *, shared: bool) -> bool:
    try:
        _lock(file, shared=shared)
    except BlockingIOError:
        return False
    return True
