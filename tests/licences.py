"""The licences of everything that runs at a user's, from the metadata of the locked packages."""

import json
import re
from collections.abc import Mapping
from importlib.metadata import PackageMetadata, metadata

from config.secrets import PROJECT_ROOT

SERVER_LOCK = PROJECT_ROOT / "server" / "requirements.txt"
NPM_LOCK = PROJECT_ROOT / "package-lock.json"

NOT_HERE: Mapping[str, str] = {"brotlicffi": "MIT", "colorama": "BSD-3-Clause", "httpx2-jsfetch": "BSD-3-Clause"}
"""Packages that are locked for other systems than this one may be (Windows, WebAssembly, PyPy), as they say."""

STATED_ELSEWHERE: Mapping[str, str] = {
    "blinker": "MIT",
    "cloudpickle": "BSD-3-Clause",
    "deprecated": "MIT",
    "eventlet": "MIT",
    "flask-socketio": "MIT",
    "flask-wtf": "BSD-3-Clause",
    "h11": "MIT",
    "huggingface-hub": "Apache-2.0",
    "itsdangerous": "BSD-3-Clause",
    "jinja2": "BSD-3-Clause",
    "numba": "BSD-2-Clause",
    "ordered-set": "MIT",
    "pyyaml": "MIT",
    "scipy": "BSD-3-Clause",
    "shap": "MIT",
    "simple-websocket": "MIT",
    "slicer": "MIT",
    "wtforms": "BSD-3-Clause",
    "xmlhttprequest-ssl": "MIT",
}
"""Where the metadata names a family of licences or none: the identifier of the licence's text in the package."""

EXPECTED = frozenset(
    {
        "0BSD",
        "Apache-2.0",
        "Apache-2.0 WITH LLVM-exception",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "CC0-1.0",
        "ISC",
        "MIT",
        "MIT-0",
        "MPL-2.0",
        "PSF-2.0",
        "Zlib",
    }
)
"""SPDX identifiers that anybody may use and pass on; MPL-2.0 asks for the source of changes to its own files."""


def licences() -> dict[str, str]:
    """Return the SPDX expression of every package that the server or a page has; client apps have fewer."""
    names = re.findall(r"^([a-z0-9-]+)==", SERVER_LOCK.read_text(encoding="utf-8"), re.M)
    python = {name: NOT_HERE[name] if name in NOT_HERE else _stated(name, metadata(name)) for name in names}
    return python | _of_npm()


def _of_npm() -> dict[str, str]:
    locked: Mapping[str, Mapping[str, str]] = json.loads(NPM_LOCK.read_text(encoding="utf-8"))["packages"]
    names = {path.removeprefix("node_modules/"): package for path, package in locked.items() if path}
    return {f"{name} (npm)": package.get("license") or STATED_ELSEWHERE[name] for name, package in names.items()}


def _stated(name: str, package: PackageMetadata) -> str:
    said = package.json
    plain = str(said.get("license_expression") or said.get("license") or "")
    return plain if parts(plain) <= EXPECTED and plain else STATED_ELSEWHERE[name]


def parts(expression: str) -> set[str]:
    """Return the single licences of an SPDX expression."""
    return {part.strip("() ") for part in re.split(r" AND | OR ", expression) if part.strip("() ")}


def table_rows() -> list[tuple[str, str]]:
    """Return each licence with the packages under it."""
    under: dict[str, list[str]] = {}
    for name, licence in licences().items():
        under.setdefault(licence, []).append(name)
    return [(licence, ", ".join(sorted(names))) for licence, names in sorted(under.items())]


def family_of(name: str) -> str:
    """Return what the metadata of a package says of its licence besides an expression: classifiers and free text."""
    said = metadata(name).json
    classifiers = [text for text in said.get("classifier", []) if text.startswith("License ::")]
    return f"{' '.join(classifiers)} {said.get('license', '')}"


if __name__ == "__main__":
    print("| licence | packages |\n| --- | --- |")
    for licence, packages in table_rows():
        print(f"| {licence} | {packages} |")
