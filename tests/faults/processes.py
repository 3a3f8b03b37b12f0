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
    """The server or a client app, started again and again with the same settings; what it writes goes to ``log``."""

    def __init__(self, command: Sequence[str], folder: Path, settings: Mapping[str, object], *, log: Path) -> None:
        self.url = f"http://127.0.0.1:{settings['PORT']}"
        self.log = log
        self._command = [sys.executable, *command]
        self._folder = folder
        self._environment = os.environ | {name: str(value) for name, value in settings.items()}
        self._running: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of its process, 0 if none runs."""
        return self._running.pid if self._running and self._running.poll() is None else 0

    def start(self) -> None:
        """Start it unless it runs; ``wait_until_started`` tells when it answers."""
        if not self.pid:
            with self.log.open("ab") as log:
                self._running = subprocess.Popen(
                    self._command, cwd=self._folder, env=self._environment, stdin=-3, stdout=log, stderr=log
                )

    def wait_until_started(self) -> None:
        """Wait until it is ready; raises ``RuntimeError`` when it ends instead, or is not within ``START_SECONDS``."""
        deadline, pause, opener = time.monotonic() + START_SECONDS, threading.Event(), build_opener(ProxyHandler({}))
        while self.pid and time.monotonic() < deadline:
            with suppress(OSError):
                opener.open(f"{self.url}/readyz", timeout=5).close()
                return
            pause.wait(LOOK_SECONDS)
        raise RuntimeError(f"An app did not start. It said:\n{self.log.read_text(errors='replace')[-4000:]}")

    def signal(self, number: int) -> None:
        if self._running is not None:
            self._running.send_signal(number)

    def wait_until_ended(self) -> None:
        """Wait for the end that was asked for; raises ``TimeoutExpired`` when it does not come in ``STOP_SECONDS``."""
        if self._running is not None:
            self._running.wait(STOP_SECONDS)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.wait_until_ended()

    def limit_files(self, size: int = resource.RLIM_INFINITY) -> None:
        """Let no file of the process grow beyond a size: writes then fail, as on a full disk."""
        if self.pid:
            with suppress(ProcessLookupError):
                resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
