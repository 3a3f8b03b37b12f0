"""What puts files and folders on disk, so that a loss of power does not take them back. Standard library only."""

import os
from contextlib import ExitStack, suppress
from pathlib import Path


def make_folder(folder: Path) -> None:
    """Make a folder for its owner alone, and those above it, unless they are there; their names are on disk then."""
    missing = [above for above in folder.parents if not above.exists()]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for made in missing:
        sync_folder(made.parent)
    with suppress(PermissionError):  # nobody reads the folder above one that was given to us
        sync_folder(folder.parent)  # also if it is there: a start that was cut off may have made it


def sync_folder(folder: Path) -> None:
    """Put the names in a folder on disk; Windows does so by itself."""
    if os.name == "posix":
        _sync(folder, os.O_RDONLY)


def sync_file(path: Path) -> None:
    """Put a file's content on disk."""
    _sync(path, os.O_RDWR)


def move_to_free_name(file: Path, name: Path) -> None:
    """Give a file another name in the same file system, which no other file has; the folder is not synced.

    Where there are no hard links, an empty file holds the name until the other takes its place.

    Raises
    ------
    OSError
        When that cannot be done; ``FileExistsError`` when there is such a file, which stays as it is.
    """
    try:
        os.link(file, name)  # unlike a renaming, it never takes another file's place
    except FileExistsError:
        raise
    except OSError:
        os.close(os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        with ExitStack() as undo:
            undo.callback(name.unlink)
            file.replace(name)
            undo.pop_all()
    else:
        file.unlink()


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
