"""The parts of a running system that can be broken; the links between them are in ``proxy``."""

import resource
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from tests.support.processes import STOP_SECONDS, Process

SIGNALS: Final = {"kill": signal.SIGKILL, "restart": signal.SIGTERM, "pause": signal.SIGSTOP}


class Part(Protocol):
    """A part that a fault of some kind can be begun of."""

    def begin(self, fault: str) -> None:
        """Begin it; it lasts until ``heal``."""

    def heal(self) -> None:
        """End it."""


class FaultyProcess(Process):
    """A program that each of ``SIGNALS`` can break, and a full disk: ``database``, a file, can then grow no more."""

    database: Path
    _fault = ""

    def begin(self, fault: str) -> None:
        self._fault = fault
        if fault == "full disk":
            self._limit_files(self.database.stat().st_size)
        else:
            self.running.send_signal(SIGNALS[fault])

    def heal(self) -> None:
        """End a fault; raises ``TimeoutExpired`` when the process does not end that was told to."""
        if self._fault == "full disk":
            self._limit_files(resource.RLIM_INFINITY)
        elif self._fault == "pause":
            self.running.send_signal(signal.SIGCONT)
        else:
            self.wait(STOP_SECONDS)
            self.start()

    def _limit_files(self, size: int) -> None:
        """Let none of its files grow beyond a size: writes then fail, as on a full disk."""
        with suppress(ProcessLookupError):
            resource.prlimit(self.running.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
