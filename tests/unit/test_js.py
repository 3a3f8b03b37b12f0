"""The pages' pure logic, run by Node's own test runner."""

import shutil
import subprocess
from pathlib import Path

import pytest

TESTS = sorted((Path(__file__).parent / "js").glob("*.test.mjs"))


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed; the pages' logic is tested with it")
def test_the_pages_logic_passes_its_own_tests() -> None:
    assert TESTS
    run = subprocess.run(["node", "--test", *map(str, TESTS)], capture_output=True, text=True, timeout=100, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
