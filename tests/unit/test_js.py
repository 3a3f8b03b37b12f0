"""The pages' pure logic, run by Node's own test runner."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = sorted((Path(__file__).parent / "js").glob("*.test.mjs"))
PLACES = os.pathsep.join([os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)])
NODE = shutil.which("node", path=PLACES)  # without a system's own, the one that the environment brings


@pytest.mark.skipif(NODE is None, reason="Node is not installed; the pages' logic is tested with it")
def test_the_pages_logic_passes_its_own_tests() -> None:
    assert TESTS
    assert NODE is not None
    run = subprocess.run([NODE, "--test", *map(str, TESTS)], capture_output=True, text=True, timeout=100, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
