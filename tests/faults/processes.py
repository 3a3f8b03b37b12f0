"""One process of the system as a person would start it, and everything that can be done to it from outside."""

import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

START_SECONDS: Final = 120.0
STOP_SECONDS: Final = 60.0
STARTED: Final = "Open http"


class App:
    """The server or a client app of a copied tree, started again and again with the same settings."""

    def __init__(self, name: str, folder: Path, environment: Mapping[str, str], database: Path, log: Path) -> None:
        self.name = name
        self.database = database
        self.port = int(environment["PORT"])
        self._folder = folder
        self._environment = dict(environment)
        self._log = log
        self._running: subprocess.Popen[str] | None = None
        self._started = threading.Event()
        self._reader: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def is_running(self) -> bool:
        return self._running is not None and self._running.poll() is None

    def start(self) -> None:
        """Start it unless it runs; ``wait_until_started`` tells when it answers."""
        if self.is_running:
            return
        self._reap()
        self._started = threading.Event()
        self._running = subprocess.Popen(
            [sys.executable, "app.py"],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self._running, self._started), daemon=True)
        self._reader.start()

    def wait_until_started(self) -> None:
        """Wait until it says where it is reached.

        Raises
        ------
        RuntimeError
            When it ended instead, or said nothing within ``START_SECONDS``.
        """
        if not self._started.wait(START_SECONDS) or not self.is_running:
            raise RuntimeError(f"{self.name} did not start. Its last words are in {self._log}.")

    def kill(self) -> None:
        if self._running is not None:
            self._running.kill()
            self._reap()

    def terminate(self) -> None:
        """Ask it to end; ``wait_until_ended`` waits for it."""
        self._signal(signal.SIGTERM)

    def wait_until_ended(self) -> None:
        """Wait for the end that was asked for.

        Raises
        ------
        subprocess.TimeoutExpired
            When it does not come within ``STOP_SECONDS``.
        """
        if self._running is not None:
            self._running.wait(STOP_SECONDS)
            self._reap()

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)

    def fill_disk(self) -> None:
        """Let no file of the process grow beyond what its database has now; writes then fail, as on a full disk."""
        self._limit_files(self.database.stat().st_size)

    def free_disk(self) -> None:
        self._limit_files(resource.RLIM_INFINITY)

    def _limit_files(self, size: int) -> None:
        if self._running is not None:
            with suppress(ProcessLookupError):
                resource.prlimit(self._running.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def _signal(self, number: int) -> None:
        if self._running is not None:
            self._running.send_signal(number)

    def _read(self, running: "subprocess.Popen[str]", started: threading.Event) -> None:
        with self._log.open("a") as log:
            for line in running.stdout or ():
                log.write(line)
                log.flush()
                if line.startswith(STARTED):
                    started.set()
        started.set()

    def _reap(self) -> None:
        if self._running is None:
            return
        self._running.wait(STOP_SECONDS)
        if self._reader is not None:
            self._reader.join(STOP_SECONDS)
        if self._running.stdout is not None:
            self._running.stdout.close()
        self._running = None


def environment(**settings: object) -> dict[str, str]:
    """Return this process's environment with settings of a process of the system."""
    return os.environ | {"PYTHONUNBUFFERED": "1"} | {name: str(value) for name, value in settings.items()}
