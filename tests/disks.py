"""Real disks for tests: small ones that can be filled to the last byte, and emptied again."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CHUNK = 4096


class SmallDisk:
    """A file system of its own, of a given size."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "something-else"

    def fill(self) -> None:
        """Leave no room at all."""
        with self._filler.open("ab", buffering=0) as file:
            for size in (CHUNK, 1):
                try:
                    while file.write(b"." * size) == size:
                        pass
                except OSError:
                    continue

    def make_room(self) -> None:
        self._filler.unlink()

    def forbid_writing(self) -> None:
        """Mount it anew, read-only; nobody may have a file of it open for writing."""
        subprocess.run(["mount", "-o", "remount,ro", self.folder], check=True)


@contextmanager
def small_disk(folder: Path, *, kilobytes: int) -> Iterator[SmallDisk]:
    """Mount one on a folder; where that is not allowed the test is skipped."""
    folder.mkdir(parents=True)
    options = f"size={kilobytes}k,mode=0700,uid={os.geteuid()}"
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("only root may mount a disk for this test")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
