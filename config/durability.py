"""What puts files and folders on disk, so that a loss of power does not take them back. Standard library only."""

import os
from contextlib import suppress
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


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
