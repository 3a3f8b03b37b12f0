"""The server as a process of its own, started as a person would start it."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

from config.secrets import PROJECT_ROOT
from tests.support.raw_socket import WAIT_SECONDS

START_SECONDS = 60.0
STOP_SECONDS = 10.0
TOKENS = {
    "SERVER_SECRET_KEY": "a-secret-key-of-this-test",
    "OPERATOR_TOKEN": "the-operators-token-of-this-test",
    "ADMINISTRATOR_TOKEN": "the-administrators-token-of-this-test",
    "CLIENT_1_TOKEN": "the-token-of-client-1",
    "CLIENT_2_TOKEN": "the-token-of-client-2",
    "CLIENT_3_TOKEN": "the-token-of-client-3",
}


@dataclass
class Process:
    """A server process, and everything it has written."""

    running: "subprocess.Popen[str]"
    url: str
    written: list[str]
    first_line: "Queue[str]"
    readers: list[threading.Thread]

    def wait_until_started(self) -> str:
        return self.first_line.get(timeout=START_SECONDS)

    def end(self, signal_number: int = signal.SIGTERM, *, seconds: float = STOP_SECONDS) -> int:
        self.running.send_signal(signal_number)
        return self.wait(seconds)

    def wait(self, seconds: float = START_SECONDS) -> int:
        code = self.running.wait(seconds)
        for reader in self.readers:
            reader.join(WAIT_SECONDS)
        return code

    @property
    def text(self) -> str:
        return "".join(self.written)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def end_all(started: list[Process]) -> None:
    """Kill what still runs, and close what was read from it."""
    for process in started:
        with suppress(ProcessLookupError):
            process.running.kill()
        process.wait()
        for stream in (process.running.stdout, process.running.stderr):
            if stream is not None:
                stream.close()


def environment_of(folder: Path, model_dir: Path, async_mode: str) -> dict[str, str]:
    """Everything a server needs to work in a folder of its own, whatever .env says."""
    return (
        os.environ
        | TOKENS
        | {
            "SOCKETIO_ASYNC_MODE": async_mode,
            "PORT": str(free_port()),
            "PUBLIC_URL": "",
            "DATA_DIR": str(folder / "data?50%"),
            "SECRETS_DIR": str(folder / "secrets"),
            "MODEL_DIR": str(model_dir),
            "DATABASE_URL": f"sqlite:///{folder}/server/predictions.sqlite",
            "LLM_MODEL": "off",
            "LOG_LEVEL": "DEBUG",
            "PYTHONUNBUFFERED": "1",
        }
    )


def run(
    processes: list[Process],
    environment: dict[str, str],
    folder: str = "server",
    *,
    program: Sequence[str] = ("app.py",),
) -> Process:
    running = subprocess.Popen(
        [sys.executable, *program],
        cwd=PROJECT_ROOT / folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    process = Process(running, f"http://127.0.0.1:{environment['PORT']}", [], Queue(), [])

    def read(stream: object, first: "Queue[str] | None") -> None:
        for line in stream:  # type: ignore[attr-defined]
            process.written.append(line)
            if first is not None:
                first.put(line)

    for stream, first in ((running.stdout, process.first_line), (running.stderr, None)):
        process.readers.append(threading.Thread(target=read, args=(stream, first), daemon=True))
        process.readers[-1].start()
    processes.append(process)
    return process
