"""The server, a client app or another program of the project as a process, started as a person would start it."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from random import SystemRandom
from tempfile import TemporaryDirectory

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

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

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

    def restart(self, signal_number: int = signal.SIGTERM) -> None:
        """End it, start it again, and wait until it answers."""
        self.end(signal_number)
        self.start()
        self.wait_until_started()

    def wait_until_started(self) -> str:
        """Wait until it answers, and return the line that it then prints; fails when it ends instead."""

        def opened() -> list[str]:
            said = self._log.read_bytes()[self._log_begins :].decode(errors="replace")
            return re.findall(r"^Open .*\n", said, re.MULTILINE)

        wait_until(lambda: opened() or not self.is_running, START_SECONDS)
        assert opened(), f"It did not start. It said:\n{self.text[-4000:]}"
        return opened()[0]

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
    def text(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")


@contextmanager
def started(command: Sequence[str], folder: Path, **settings: object) -> Iterator[Process]:
    """Run a program until the block ends, which begins when it answers; a port is chosen if none is given."""
    with TemporaryDirectory() as logs:
        process = Process(command, folder, {"PORT": free_ports(1)[0]} | settings, log=Path(logs, "log"))
        try:
            process.wait_until_started()
            yield process
            process.end()
        finally:
            process.end(signal.SIGKILL)  # which does nothing to what has ended


def free_ports(count: int) -> list[int]:
    """Return ports that are free now, below those that the system gives to whoever asks for any."""
    found: set[int] = set()
    while len(found) < count:
        port = SystemRandom().randrange(10_000, 32_768)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            found.add(port)
    return list(found)


def listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def has_ipv6() -> bool:
    with suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


def environment_of(folder: Path, model_dir: Path, async_mode: str = "eventlet") -> dict[str, str]:
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
