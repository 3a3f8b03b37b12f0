"""A copy of the project in a folder of its own, which can be set up with the packages of this environment."""

import shutil
import subprocess
import sys
from pathlib import Path

from config.secrets import PROJECT_ROOT

LEFT = (".git", ".venv", ".env", ".local", ".*cache", "__pycache__", "node_modules", "saved_models", "tests", "docs")

STAMP = "import launcher as l; l.STAMP.write_text(f'{l.installation()} {l.SERVER_LOCK}')"
"""Says that nothing is left to install."""


def copy_project(folder: Path) -> Path:
    """Copy what the product consists of, without settings, data and what is installed."""
    return Path(shutil.copytree(PROJECT_ROOT, folder, ignore=shutil.ignore_patterns(*LEFT)))


def set_up(folder: Path) -> None:
    """Give a copy its own virtual environment and browser libraries, as the launcher would leave them."""
    (folder / "node_modules").symlink_to(PROJECT_ROOT / "node_modules")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / ".venv"], check=True)
    (site_packages,) = (folder / ".venv").glob("lib/python*/site-packages")
    packages = [path for path in sys.path if path.endswith("site-packages")]
    (site_packages / "installation.pth").write_text("\n".join([str(folder), *packages]))
    subprocess.run([sys.executable, "-c", STAMP], cwd=folder, check=True)
