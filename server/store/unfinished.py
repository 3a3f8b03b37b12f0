"""Folders for files that are not whole yet: removed in the end, and those of killed commands by the next one."""

import logging
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from config.secrets import ConfigurationError, make_folder
from server.store.database_lock import DatabaseLock, lock_file

log = logging.getLogger(__name__)

PREFIX: Final = ".record-unfinished-"


@contextmanager
def own_folder(beside: Path) -> Iterator[Path]:
    """Make a folder for its owner alone, and remove it with all that is left in it, and what killed commands left.

    Raises
    ------
    OSError
        If it cannot be made.
    """
    make_folder(beside)
    _remove_left_behind(beside)
    folder = beside / f"{PREFIX}{secrets.token_hex(8)}"
    lock = _lock(folder)  # before the folder is there: nobody ever sees it free
    try:
        folder.mkdir(mode=0o700)
        yield folder
    finally:
        _remove(folder, lock)


def _remove_left_behind(beside: Path) -> None:
    """Remove such folders that nobody holds; what cannot be locked is left as it is."""
    for folder in beside.glob(f"{PREFIX}*"):
        if folder.is_dir() and (lock := _lock(folder)):
            _remove(folder, lock)


def _lock(folder: Path) -> DatabaseLock | None:
    """Hold a folder, also over the end of this process; ``None`` if another does, or the file system has no locks."""
    with suppress(ConfigurationError, PermissionError):
        return DatabaseLock(folder, alone=True)
    return None


def _remove(folder: Path, lock: DatabaseLock | None) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        log.warning("%s could not be removed and may hold patients' data: delete it", folder)
    if lock:
        lock.release()
    with suppress(OSError):  # an empty file, which another process may be looking at
        lock_file(folder).unlink()
