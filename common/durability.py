"""What puts files and folders on disk, so that a loss of power does not take them back. Standard library only."""

import os
from contextlib import ExitStack
from pathlib import Path

from config.secrets import sync


def sync_file(path: Path) -> None:
    """Put a file's content on disk."""
    sync(path, os.O_RDWR)


def move_to_free_name(file: Path, name: Path) -> None:
    """Give a file another name in the same file system, which no other file has; the folder is not synced.

    An empty file holds the name until the other takes its place: hard links, which need no such, are not everywhere.

    Raises
    ------
    OSError
        When that cannot be done; ``FileExistsError`` when there is such a file, which stays as it is.
    """
    os.close(os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    with ExitStack() as undo:
        undo.callback(name.unlink)
        file.replace(name)
        undo.pop_all()
