"""The scripts for people: each finds a fitting Python and ends with the launcher's exit code."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from config.secrets import PROJECT_ROOT

COMMANDS = {"start_system": "start", "stop_system": "stop", "run_tests": "test"}

WINDOWS_PYTHON = """@echo off
echo %*>>"%~dp0calls.txt"
if not "%1"=="-3.12" exit /b 9
if "%2"=="launcher.py" exit /b 7
exit /b 0
"""
"""A ``py`` that knows no Python but 3.12, whose launcher fails."""


@pytest.mark.parametrize("name", COMMANDS)
def test_a_shell_script_hands_on_arguments_and_exit_code(name: str, tmp_path: Path) -> None:
    script = shutil.copy(PROJECT_ROOT / f"{name}.sh", tmp_path)
    (python := tmp_path / "python3.12").write_text('#!/bin/sh\n[ "$1" = -c ] || { echo "$*"; exit 7; }\n')
    python.chmod(0o755)
    (tmp_path / "dirname").symlink_to("/usr/bin/dirname")
    for is_there, expected in ((True, (7, f"launcher.py {COMMANDS[name]} -x a b\n")), (False, (1, ""))):
        if not is_there:
            python.unlink()
        command = [script, "-x", "a b"]
        done = subprocess.run(command, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == expected
        assert ("Python 3.11, 3.12 or 3.13 is needed" in done.stderr) != is_there
    assert ("docker compose up --build" in done.stderr) == (name == "start_system")


@pytest.fixture(scope="module")
def wine(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Set up Wine in a folder of its own, which takes about ten seconds; return its environment."""
    if not shutil.which("wine"):
        pytest.skip("the batch files are tried with Debian's wine, which is not installed")
    folder = tmp_path_factory.mktemp("wine")
    return os.environ | {"WINEPREFIX": str(folder), "WINEDEBUG": "-all", "DISPLAY": ""}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_batch_file_hands_on_arguments_and_exit_code(name: str, wine: dict[str, str], tmp_path: Path) -> None:
    script = shutil.copy(PROJECT_ROOT / f"{name}.bat", tmp_path)
    (python := tmp_path / "py.bat").write_text(WINDOWS_PYTHON, newline="\r\n")
    command = ["wine", "cmd", "/c", f"Z:{script}".replace("/", "\\"), "-x", "a b"]
    done = subprocess.run(command, env=wine, capture_output=True, timeout=120, check=False)
    assert done.returncode == 7
    *tried, called = (tmp_path / "calls.txt").read_text().splitlines()
    assert [call.split()[0] for call in tried] == ["-3.13", "-3.12"]
    assert called.strip() == f'-3.12 launcher.py {COMMANDS[name]} -x "a b"'
    if name == "start_system":
        python.unlink()
        done = subprocess.run(command, env=wine, capture_output=True, timeout=120, check=False)
        assert done.returncode == 1
        assert b"Python 3.11, 3.12 or 3.13 is needed" in done.stdout
