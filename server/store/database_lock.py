"""Who uses a database file: many at once, or one alone that puts another in its place."""

import os
import sys
from pathlib import Path
from typing import Final

from config.secrets import ConfigurationError

if sys.platform == "win32":
    import msvcrt

    _PLACES: Final = 64

    def _share(descriptor: int) -> None:
        """Hold one of many places; there are no shared locks."""
        for place in range(_PLACES):
            os.lseek(descriptor, place, os.SEEK_SET)
            try:
                return msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            except OSError:
                if place == _PLACES - 1:
                    raise
        return None

    def _take(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, _PLACES)
else:
    import fcntl

    def _share(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)

    def _take(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class DatabaseLock:
    """Held from its making until ``release``, or until the process ends however it ends.

    Raises
    ------
    ConfigurationError
        When somebody else holds what stands in the way.
    """

    def __init__(self, database: Path, *, alone: bool) -> None:
        self._descriptor: int | None = os.open(lock_file(database), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            (_take if alone else _share)(self._descriptor)
        except OSError:
            self.release()
            raise ConfigurationError(_IN_USE if alone else _BEING_RESTORED) from None

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def lock_file(database: Path) -> Path:
    """Return the empty file that the lock is on."""
    return database.with_name(f"{database.name}.lock")


_IN_USE: Final = (
    "A server or another command uses the database. Stop it first, and nothing is lost: client apps keep queueing."
)
_BEING_RESTORED: Final = "The database is being restored from a backup. Wait until that has ended, and start again."
