"""Ask for known vulnerabilities of every locked package: ``python -m tests.vulnerabilities``; needs the internet.

Exit code 0: none is known. 1: some are, or nothing could be learned; the last line says which.
"""

import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from config.secrets import PROJECT_ROOT

LOCKS = (
    "requirements.txt",
    "server/requirements.txt",
    "client/requirements.txt",
    "common/ui/npm-requirements.txt",
    "tests/llama/requirements.txt",
)


def main() -> int:
    """Ask for every lock; return the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        pip_audit = Path(folder) / "bin" / "pip-audit"
        _run([str(Path(folder) / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", "pip-audit"])
        unknown = [name for name in LOCKS if _is_unknown(name, [str(pip_audit)])]
    npm = _run(["npm", "audit", "--omit=dev", "--json"])
    if "vulnerabilities" not in _json(npm.stdout):
        unknown.append("package-lock.json")
        print(npm.stderr)
    if unknown:
        print(f"NOT KNOWN for {', '.join(unknown)}: no vulnerability service answered for every package. Ask again.")
    return 1 if unknown or npm.returncode or FOUND else 0


FOUND: list[str] = []


def _is_unknown(name: str, command: list[str]) -> bool:
    """Audit one lock; without ``--strict`` packages that the service does not know would pass for clean."""
    options = ["--strict", "--require-hashes", "--disable-pip", "--format", "json", "--progress-spinner", "off"]
    done = _run([*command, *options, "-r", name])
    packages = _json(done.stdout).get("dependencies", [])
    found = [f"{one['name']} {one['version']}: {bug['id']}" for one in packages for bug in one.get("vulns", [])]
    FOUND.extend(found)
    if packages:
        print(f"{name}: {', '.join(found) or 'nothing is known'} ({len(packages)} packages)")
    else:
        print(f"{name}: not answered. {done.stderr.strip().splitlines()[-1]}")
    return not packages


def _json(text: str) -> dict[str, list[dict[str, list[dict[str, str]]]]]:
    return dict(json.loads(text)) if text.startswith("{") else {}


def _run(command: list[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False, timeout=600)


if __name__ == "__main__":
    sys.exit(main())
