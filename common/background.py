"""The apps as background processes: started, known by their process ids, and ended. Standard library only."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from config.secrets import PROJECT_ROOT, make_folder

ON_WINDOWS = os.name == "nt"
LOCAL = PROJECT_ROOT / ".local"
STOP_SECONDS = 15
SHOWN_LOG_LINES = 20
DETACHED = getattr(subprocess, "DETACHED_PROCESS", 0) | getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)


@dataclass(frozen=True)
class App:
    """One of the four apps: where it listens, where people reach it, and the settings of its own process."""

    name: str
    host: str
    port: int
    url: str
    environment: Mapping[str, str]
    fingerprint: str = ""


def app_file(name: str) -> Path:
    return PROJECT_ROOT / name.partition("-")[0] / "app.py"


def log_file(name: str) -> Path:
    return LOCAL / "logs" / f"{name}.log"


def pid_file(name: str) -> Path:
    return LOCAL / "run" / f"{name}.pid"


def launch(app: App) -> "subprocess.Popen[bytes]":
    """Start an app in a session of its own, so that it outlives this program and its terminal."""
    log, pid = log_file(app.name), pid_file(app.name)
    make_folder(log.parent)
    make_folder(pid.parent)
    pid.write_text("", encoding="ascii")  # while nothing runs yet that a locked file would leave without one
    if log.exists():
        log.replace(log.with_suffix(".log.1"))
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as written:
        process = subprocess.Popen(
            [sys.executable, str(app_file(app.name))],
            cwd=app_file(app.name).parent,
            env=os.environ | app.environment,
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=written,
            start_new_session=True,
            creationflags=DETACHED,
        )
    pid.write_text(f"{process.pid}\n{app.fingerprint}\n", encoding="ascii")
    while process.poll() is None and not is_running(app.name):
        time.sleep(0.01)  # a process that was made just now has no command line for a moment
    return process


def why_ended(app: App) -> str | None:
    """Say why a process will not become ready, or ``None`` while it still may."""
    if is_running(app.name):
        return None
    log = log_file(app.name)
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-SHOWN_LOG_LINES:]
    return "\n".join([f"{app.name} ended. The last lines of its log, {log}:", "", *lines])


def is_running(name: str) -> bool:
    return pid_file(name).exists() and str(app_file(name)) in command_line(started(name)[0])


def started(name: str) -> tuple[int, str]:
    """Return the process id that an app was started with, and the fingerprint of its settings; 0 if unknown."""
    pid, settings, *_ = [*pid_file(name).read_text(encoding="ascii", errors="replace").split(), "", ""]
    return int(pid) if pid.isdecimal() else 0, settings


def command_line(pid: int) -> str:
    """Return the command line of a process, empty if it ended: a process id may belong to another program by now."""
    if ON_WINDOWS:
        query = f"(Get-CimInstance Win32_Process -Filter 'ProcessId={pid}').CommandLine"
        return output(["powershell", "-NoProfile", "-Command", query])
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):  # it ended, or this is a Mac
        return output(["ps", "-ww", "-o", "command=", "-p", str(pid)])


def end_processes(names: Sequence[str], seconds: float = STOP_SECONDS) -> None:
    """Ask the processes to end, and end those that do not within the bounded wait."""
    for name in names:
        send_signal(name, signal.SIGTERM)
    deadline = time.monotonic() + seconds
    for name in names:
        while is_running(name) and time.monotonic() < deadline:
            time.sleep(0.1)
        if is_running(name) and not ON_WINDOWS:
            print(f"{name} did not stop within {seconds:g} seconds and was stopped by force.")
            send_signal(name, signal.SIGKILL)
        pid_file(name).unlink()


def send_signal(name: str, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
        os.kill(started(name)[0], number)


def output(command: Sequence[str]) -> str:
    """Return what a command prints in the project's folder; empty if it is missing, fails, or takes over 30 seconds."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        return subprocess.run(
            command, cwd=PROJECT_ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=True
        ).stdout
    return ""
