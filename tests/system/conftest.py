"""A system that the launcher itself started, from a copy of the project in a folder of its own."""

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

import launcher
from config.secrets import PROJECT_ROOT
from tests.support.system_parts import free_ports

COPIED = (
    ".env.example",
    "launcher.py",
    "train_model.py",
    "pyproject.toml",
    "requirements.txt",
    "package.json",
    "package-lock.json",
)
COPIED_FOLDERS = ("client", "common", "config", "data", "node_modules", "server")
APPS = ("server", "client-1", "client-2", "client-3")


@dataclass(frozen=True)
class Installation:
    """A copy of the project that is set up to run from ``folder``."""

    folder: Path
    model_dir: Path

    def launcher(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        # another project name, so that no containers but its own are seen
        environment = os.environ | {"MODEL_DIR": str(self.model_dir), "COMPOSE_PROJECT_NAME": "hads-test-processes"}
        environment.pop("PYTHONPATH", None)  # it would put another copy of the project before this one
        command = [sys.executable, str(self.folder / "launcher.py"), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=110, check=False)

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
        python = self.folder / ".venv" / "bin" / "python"
        done = subprocess.run(
            [python, "-m", *module, *arguments], cwd=self.folder, capture_output=True, text=True, check=True
        )
        return done.stdout

    def pid(self, name: str) -> int:
        return int((self.folder / ".local" / "run" / f"{name}.pid").read_text().split()[0])


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory, detector_dir: Path) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("installation")
    for name in COPIED:
        shutil.copy(PROJECT_ROOT / name, folder)
    for name in COPIED_FOLDERS:
        shutil.copytree(PROJECT_ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    make_environment(folder)
    names = ("SERVER_PORT", "CLIENT_1_PORT", "CLIENT_2_PORT", "CLIENT_3_PORT")
    settings = "".join(f"{name}={port}\n" for name, port in zip(names, free_ports(4), strict=True))
    (folder / ".env").write_text(f"# chosen by hand\n{settings}OPERATOR_TOKEN=chosen-by-hand\n")
    installation = Installation(folder, detector_dir)
    yield installation
    installation.launcher("stop")


def make_environment(folder: Path) -> None:
    """Give the copy the packages of this environment, and the stamps that say that nothing is left to install."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / ".venv"], check=True)
    (site_packages,) = (folder / ".venv").glob("lib/python*/site-packages")
    (site_packages / "installation.pth").write_text(f"{folder}\n{sysconfig.get_path('purelib')}\n")
    here = hashlib.sha256(str(folder).encode()).hexdigest()
    (folder / ".venv" / "installed.txt").write_text(f"{here} {launcher.fingerprint(launcher.SERVER_LOCK)}")
    (folder / "node_modules" / ".installed").write_text(launcher.fingerprint(PROJECT_ROOT / "package-lock.json"))
