"""Folders for files that are not whole yet: removed in the end, and those of killed commands by the next one."""

import logging
import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from common.file_lock import locked
from config.secrets import make_folder

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
    for left in beside.glob(f"{PREFIX}*"):
        if left.is_dir():
            with suppress(OSError), ExitStack() as held:
                held.enter_context(locked(_lock_file(left), 0, private=True))
                _remove(left, held)
    folder = beside / f"{PREFIX}{secrets.token_hex(8)}"
    with ExitStack() as held:
        with suppress(OSError):  # some file systems have no locks
            # before the folder is there: nobody ever sees it free
            held.enter_context(locked(_lock_file(folder), 0, private=True))
        try:
            folder.mkdir(mode=0o700)
            yield folder
        finally:
            _remove(folder, held)


def _lock_file(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _remove(folder: Path, held: ExitStack) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        log.warning("%s could not be removed and may hold patients' data: delete it", folder)
    held.close()
    with suppress(OSError):  # an empty file, which another process may be looking at
        _lock_file(folder).unlink()
