"""A server or client app that runs on a disk of its own while everything it does to that disk is written down."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from queue import Queue
from typing import Final

from tests.power_loss.model import Contents
from tests.power_loss.recording import Recording, contents_of, record
from tests.power_loss.tracing import command

START_SECONDS: Final = 120.0
STOP_SECONDS: Final = 30.0

_PROBE_SECONDS: Final = 20.0


def why_not() -> str | None:
    """Return why processes cannot be traced here, ``None`` if they can."""
    if shutil.which("strace") is None:
        return "strace is not installed: apt install strace"
    try:
        probe = [*command(Path(os.devnull)), "true"]
        done = subprocess.run(probe, capture_output=True, text=True, timeout=_PROBE_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"strace did not trace anything within {_PROBE_SECONDS:.0f} s"
    return f"strace cannot trace here: {done.stderr.strip()}" if done.returncode else None


class Traced:
    """A traced Python program, on the disk that is in ``disk``."""

    def __init__(self, folder: Path, program: Sequence[str | Path], settings: Mapping[str, object]) -> None:
        self.disk = folder / "disk"
        self.disk.mkdir(parents=True, exist_ok=True)
        self._initial: Contents = contents_of(self.disk)
        self._trace = folder / "trace.txt"
        self._log = folder / "log.txt"
        self._lines: Queue[str | None] = Queue()
        # What Python itself writes beside its modules is no part of the product's disk.
        environment = os.environ | {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        self._strace = subprocess.Popen(
            [*command(self._trace), sys.executable, *map(str, program)],
            env=environment | {name: str(value) for name, value in settings.items()},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def line(self, beginning: str) -> str:
        """Wait for a line that it prints.

        Raises
        ------
        RuntimeError
            When it ended without; its last words are told.
        queue.Empty
            When it prints nothing for ``START_SECONDS``.
        """
        while (line := self._lines.get(timeout=START_SECONDS)) is not None:
            if line.startswith(beginning):
                return line.rstrip()
        raise RuntimeError(f"{self._log.parent.name} ended:\n{self._log.read_text()[-2000:]}")

    def end(self) -> Recording:
        """Ask it to end, and return what it did."""
        self._signal(signal.SIGTERM)
        return self.ended()

    def ended(self) -> Recording:
        """Wait until it ends by itself, and return what it did."""
        self._strace.wait(STOP_SECONDS)
        self._close()
        return record(self._trace, self.disk, self._initial)

    def kill(self) -> None:
        """End it at once, if it still runs."""
        if self._strace.poll() is None:
            self._signal(signal.SIGKILL)
            self._strace.wait(STOP_SECONDS)
        self._close()

    def _signal(self, number: signal.Signals) -> None:
        """Signal the traced process: strace itself would let go of it, and what followed would not be written down."""
        children = Path(f"/proc/{self._strace.pid}/task/{self._strace.pid}/children").read_text().split()
        for pid in children:
            os.kill(int(pid), number)

    def _read(self) -> None:
        assert self._strace.stdout is not None
        with self._log.open("w") as log:
            for line in self._strace.stdout:
                log.write(line)
                log.flush()
                self._lines.put(line)
        self._lines.put(None)

    def _close(self) -> None:
        self._reader.join(STOP_SECONDS)
        if self._strace.stdout is not None:
            self._strace.stdout.close()
