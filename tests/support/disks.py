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

    def forbid_writing(self) -> None:
        """Mount it anew, read-only; nobody may have a file of it open for writing."""
        _run("mount", "-o", "remount,ro", self.folder)


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
        _run("umount", "-l", folder)


class FailingDisk:
    """A file system that Linux takes out of use under open files, as it does when the disk below it fails."""

    def __init__(self, folder: Path, image: Path) -> None:
        self._folder = folder
        self._image = image

    def turn_read_only(self) -> None:
        _run("mount", "-o", "remount,abort", self._folder)

    def mend(self) -> None:
        """Check it and mount it anew; nobody may have a file of it open."""
        _run("umount", self._folder)
        _run("e2fsck", "-p", self._image, allowed=(0, 1))
        _run("mount", "-o", "loop", self._image, self._folder)


@contextmanager
def failing_disk(folder: Path) -> Iterator[FailingDisk]:
    """Mount one on a folder; where that cannot be done the test is skipped."""
    folder.mkdir(parents=True)
    image = folder.with_suffix(".ext4")
    with image.open("wb") as file:
        file.truncate(MEGABYTES * 1024 * 1024)
    for command in (["mkfs.ext4", "-q", str(image)], ["mount", "-o", "loop", str(image), str(folder)]):
        if shutil.which(command[0]) is None or subprocess.run(command, check=False, capture_output=True).returncode:
            pytest.skip("only root may mount a disk for this test, and only where there are loop devices")
    try:
        yield FailingDisk(folder, image)
    finally:
        _run("umount", "-l", folder)


def _run(*command: str | Path, allowed: tuple[int, ...] = (0,)) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode in allowed, done.stdout + done.stderr
