"""Real disks for tests: small ones that can be filled to the last byte, and emptied again."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CHUNK = 4096
MEGABYTES = 64
"""What an ext4 with a journal needs, and room for a few predictions."""


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


@contextmanager
def small_disk(folder: Path, *, kilobytes: int) -> Iterator[SmallDisk]:
    options = f"size={kilobytes}k,mode=0700,uid={os.geteuid()}"
    with _mounted(folder, ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder]):
        yield SmallDisk(folder)


class FailingDisk:
    """A file system that Linux takes out of use under open files, as it does when the disk below it fails."""

    def __init__(self, folder: Path, image: Path) -> None:
        self._folder = folder
        self._image = image

    def turn_read_only(self) -> None:
        _run("mount", "-o", "remount,abort", self._folder)

    def mend(self) -> None:
        """Check it and mount it again; no file of it may be open."""
        _run("umount", self._folder)
        _run("e2fsck", "-p", self._image, allowed=(0, 1))
        _run("mount", "-o", "loop", self._image, self._folder)


@contextmanager
def failing_disk(folder: Path) -> Iterator[FailingDisk]:
    image = folder.with_suffix(".ext4")
    with image.open("wb") as file:
        file.truncate(MEGABYTES * 1024 * 1024)
    with _mounted(folder, ["mkfs.ext4", "-q", image], ["mount", "-o", "loop", image, folder]):
        yield FailingDisk(folder, image)


@contextmanager
def _mounted(folder: Path, *commands: list[str | Path]) -> Iterator[None]:
    """Mount a disk on a new folder by these commands; where that cannot be done the test is skipped."""
    folder.mkdir(parents=True)
    for command in commands:
        if shutil.which(command[0]) is None or subprocess.run(command, check=False, capture_output=True).returncode:
            pytest.skip("only root may mount a disk for this test, and some only where there are loop devices")
    try:
        yield
    finally:
        _run("umount", "-l", folder)


def _run(*command: str | Path, allowed: tuple[int, ...] = (0,)) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode in allowed, done.stdout + done.stderr
