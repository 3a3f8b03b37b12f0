"""A system that the launcher itself started, from a copy of the project in a folder of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

import launcher
from common import background
from config.secrets import env_prefix
from tests.support.processes import free_ports
from tests.support.project_copy import copy_project, set_up

APPS = launcher.NAMES


def ports() -> dict[str, str]:
    """Return settings with a free port for each app."""
    return {f"{env_prefix(name)}_PORT": str(port) for name, port in zip(APPS, free_ports(len(APPS)), strict=True)}


def run_launcher(folder: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the launcher of a copy of the project."""
    given = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # which leads to another copy
    command = [sys.executable, str(folder / "launcher.py"), *arguments]
    return subprocess.run(command, env=given | environment, capture_output=True, text=True, timeout=110, check=False)


@dataclass(frozen=True)
class Installation:
    """A copy of the project that is set up to run from ``folder``."""

    folder: Path
    model_dir: Path

    def launcher(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        # another project name, so that no containers but its own are seen
        return run_launcher(
            self.folder, *arguments, MODEL_DIR=str(self.model_dir), COMPOSE_PROJECT_NAME="hads-test-processes"
        )

    def start(self) -> Sequence[str]:
        """Start what is missing; return the links of the operators and of the three desks that were printed."""
        done = self.launcher("start", "--local")
        assert done.returncode == 0, done.stdout + done.stderr
        operators, administrators, *desks = [word for word in done.stdout.split() if "/sign-in#token=" in word]
        assert administrators.partition("#")[0] == operators.partition("#")[0]
        return [operators, *desks]

    def access(self, app: str, *arguments: str) -> str:
        """Run the command that manages accounts as a person would; return what it says."""
        module = ["server.access"] if app == "server" else ["client.access", app]
        command = [str(self.folder / ".venv" / "bin" / "python"), "-m", *module, *arguments]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=True).stdout

    def pid(self, name: str) -> int:
        return int((self.folder / ".local" / "run" / f"{name}.pid").read_text().split()[0])

    def is_running(self, name: str) -> bool:
        return bool(background.command_line(self.pid(name)))


@contextmanager
def installed(folder: Path, model_dir: Path, **settings: str) -> Iterator[Installation]:
    """Set a copy of the project up in a new folder; what it has started is stopped in the end."""
    set_up(copy_project(folder))
    lines = "".join(f"{name}={value}\n" for name, value in (ports() | settings).items())
    (folder / ".env").write_text(f"# chosen by hand\n{lines}OPERATOR_TOKEN=chosen-by-hand\n")
    installation = Installation(folder, model_dir)
    yield installation
    installation.launcher("stop")


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory, detector_dir: Path) -> Iterator[Installation]:
    with installed(tmp_path_factory.mktemp("installation") / "project", detector_dir) as installation:
        yield installation
