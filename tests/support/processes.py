"""The server, a client app or another program of the project as a process, started as a person would start it."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from random import SystemRandom

from config.secrets import CLIENT_IDS, PROJECT_ROOT, env_prefix
from tests.support.waiting import wait_until

START_SECONDS = 120.0
STOP_SECONDS = 60.0
TOKENS = {
    "SERVER_SECRET_KEY": "a-secret-key-of-this-test",
    "OPERATOR_TOKEN": "the-operators-token-of-this-test",
    "ADMINISTRATOR_TOKEN": "the-administrators-token-of-this-test",
    **{f"{env_prefix(client_id)}_TOKEN": f"the-token-of-{client_id.lower()}" for client_id in CLIENT_IDS},
}


class Process:
    """A program that runs, and can be started again with the same settings; ``log`` is the file of what it writes."""

    def __init__(self, command: Sequence[str], folder: Path, settings: Mapping[str, object], *, log: Path) -> None:
        self.url = f"http://127.0.0.1:{settings['PORT']}"
        self._log = log
        self._command = [sys.executable, *command]
        self._folder = folder
        self._environment = os.environ | {name: str(value) for name, value in settings.items()}
        self.start()

    def start(self) -> None:
        """Start it, again if it has ended; ``wait_until_started`` returns when it answers."""
        with self._log.open("ab") as log:
            self._log_begins = log.tell()
            self.running = subprocess.Popen(
                self._command, cwd=self._folder, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    @property
    def is_running(self) -> bool:
        return self.running.poll() is None

    def wait_until_started(self) -> str:
        """Wait until it answers, and return the line that it then prints; fails when it ends instead."""
        wait_until(lambda: self._lines_of_start() or not self.is_running, START_SECONDS)
        assert self._lines_of_start(), f"It did not start. It said:\n{self.text[-4000:]}"
        return self._lines_of_start()[0]

    def _lines_of_start(self) -> list[str]:
        return [
            line
            for line in self.text_since_start.splitlines(keepends=True)
            if line.startswith("Open ") and line.endswith("\n")
        ]

    def end(self, signal_number: int = signal.SIGTERM, *, seconds: float = STOP_SECONDS) -> int:
        self.running.send_signal(signal_number)
        return self.wait(seconds)

    def wait(self, seconds: float = START_SECONDS) -> int:
        """Return its exit code; raises ``TimeoutExpired`` when it has not ended in time."""
        return self.running.wait(seconds)

    @property
    def written(self) -> list[str]:
        return self.text.splitlines(keepends=True)

    @property
    def text_since_start(self) -> str:
        return self._log.read_bytes()[self._log_begins :].decode(errors="replace")

    @property
    def text(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")


def free_ports(count: int) -> list[int]:
    """Return ports that are free now, below those that the system gives to whoever asks for any."""
    found: set[int] = set()
    while len(found) < count:
        port = SystemRandom().randrange(10_000, 32_768)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            found.add(port)
    return list(found)


def has_ipv6() -> bool:
    with suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


def environment_of(folder: Path, model_dir: Path, async_mode: str) -> dict[str, str]:
    """Everything a server needs to work in a folder of its own, whatever .env says."""
    return (
        os.environ
        | TOKENS
        | {
            "SOCKETIO_ASYNC_MODE": async_mode,
            "PORT": str(free_ports(1)[0]),
            "PUBLIC_URL": "",
            "DATA_DIR": str(folder / "data?50%"),
            "SECRETS_DIR": str(folder / "secrets"),
            "MODEL_DIR": str(model_dir),
            "DATABASE_URL": f"sqlite:///{folder}/server/predictions.sqlite",
            "LLM_MODEL": "off",
            "LOG_LEVEL": "DEBUG",
        }
    )


def run(
    processes: list[Process],
    environment: dict[str, str],
    folder: str = "server",
    *,
    program: Sequence[str] = ("app.py",),
) -> Process:
    """Start a program of the project in one of its folders."""
    log = Path(environment["SECRETS_DIR"]).with_name(f"said-{len(processes)}.log")
    processes.append(Process(program, PROJECT_ROOT / folder, environment, log=log))
    return processes[-1]


def end_all(started: list[Process]) -> None:
    """Kill what still runs."""
    for process in started:
        process.end(signal.SIGKILL)
