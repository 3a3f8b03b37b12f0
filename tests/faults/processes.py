"""One process of the system as a person would start it, and everything that can be done to it from outside."""

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.request import ProxyHandler, build_opener

START_SECONDS: Final = 120.0
STOP_SECONDS: Final = 60.0
LOOK_SECONDS: Final = 0.1


class App:
    """The server or a client app, started again and again with the same settings."""

    def __init__(
        self, command: Sequence[str], folder: Path, settings: Mapping[str, object], *, database: Path, log: Path
    ) -> None:
        self.database = database
        self.url = f"http://127.0.0.1:{settings['PORT']}"
        self._command = [sys.executable, *command]
        self._folder = folder
        self._environment = os.environ | {name: str(value) for name, value in settings.items()}
        self._log = log
        self._running: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        return self._running is not None and self._running.poll() is None

    def start(self) -> None:
        """Start it unless it runs; ``wait_until_started`` tells when it answers."""
        if not self.is_running:
            with self._log.open("ab") as log:
                self._running = subprocess.Popen(
                    self._command,
                    cwd=self._folder,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )

    def wait_until_started(self) -> None:
        """Wait until it is ready.

        Raises
        ------
        RuntimeError
            When it ended instead, or was not ready within ``START_SECONDS``.
        """
        deadline, pace, opener = time.monotonic() + START_SECONDS, threading.Event(), build_opener(ProxyHandler({}))
        while self.is_running and time.monotonic() < deadline:
            with suppress(OSError):
                opener.open(f"{self.url}/readyz", timeout=5).close()
                return
            pace.wait(LOOK_SECONDS)
        raise RuntimeError(f"An app did not start. Its last words are in {self._log}.")

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.wait_until_ended()

    def wait_until_ended(self) -> None:
        """Wait for the end that was asked for; raises ``TimeoutExpired`` when it does not come in ``STOP_SECONDS``."""
        if self._running is not None:
            self._running.wait(STOP_SECONDS)

    def signal(self, number: int) -> None:
        if self._running is not None:
            self._running.send_signal(number)

    def fill_disk(self) -> None:
        """Let no file of the process grow beyond what its database has now; writes then fail, as on a full disk."""
        self._limit_files(self.database.stat().st_size)

    def free_disk(self) -> None:
        self._limit_files(resource.RLIM_INFINITY)

    def _limit_files(self, size: int) -> None:
        if self._running is not None:
            with suppress(ProcessLookupError):
                resource.prlimit(self._running.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
