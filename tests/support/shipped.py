"""Other programs of this machine, with the configurations that are shipped for them."""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.processes import listens
from tests.support.waiting import wait_until


def edited(shipped: Path, edits: Mapping[str, str]) -> str:
    """Return a shipped configuration in which only ports, names, paths and the like are others."""
    text = shipped.read_text(encoding="utf-8")
    for old, new in edits.items():
        assert old in text, f"{shipped} no longer says: {old}"
        text = text.replace(old, new)
    return text


@contextmanager
def program(command: Sequence[str], port: int, log: Path) -> Iterator[None]:
    """Run a program until the block ends, which begins when it listens at its port."""
    with log.open("wb") as file, subprocess.Popen(command, stdout=file, stderr=file) as process:
        try:
            wait_until(lambda: listens(port))
            yield
        finally:
            process.terminate()
