"""Results of folds, kept under the hash of all that they follow from, so that nothing is worked out twice."""

import hashlib
import json
import os
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from config.errors import ConfigurationError

_Result = TypeVar("_Result", bound=BaseModel)

MOST_KEPT = 5
"""Combinations of data, settings and code whose results stay; those written to longest ago go."""

_CODE = Path(__file__).resolve().parents[1]
_PACKAGES = ("numpy", "pandas", "scikit-learn", "shap")


class KeptResults(Generic[_Result]):
    """A folder of results for one combination of data, settings and code."""

    def __init__(self, directory: Path, made_of: dict[str, Any], kind: type[_Result]) -> None:
        packages = {name: version(name) for name in _PACKAGES}
        described = json.dumps(made_of | {"code": code_hash(_CODE), "packages": packages}, sort_keys=True)
        self._directory = directory / hashlib.sha256(described.encode()).hexdigest()[:16]
        self._kind = kind

    def read(self, name: str) -> _Result | None:
        """Return a kept result; ``None`` when there is none, or its file is damaged."""
        try:
            return self._kind.model_validate_json(self._path(name).read_bytes())
        except (OSError, ValidationError):
            return None

    def write(self, name: str, result: _Result) -> None:
        """Keep a result; its file appears as a whole or not at all.

        Raises
        ------
        ConfigurationError
            When the folder cannot be written.
        """
        path = self._path(name)
        unfinished = path.with_suffix(f".{os.getpid()}")
        try:
            self._make_room()
            unfinished.write_text(result.model_dump_json())
            unfinished.replace(path)
        except OSError as error:
            raise ConfigurationError(
                f"Results cannot be kept in {self._directory} ({error.strerror}): set DATA_DIR to another folder."
            ) from error

    def _make_room(self) -> None:
        if self._directory.exists():
            return
        self._directory.mkdir(parents=True, exist_ok=True)
        folders = (path for path in self._directory.parent.iterdir() if path.is_dir())
        kept = sorted(folders, key=lambda path: path.stat().st_mtime, reverse=True)
        for outdated in kept[MOST_KEPT:]:
            shutil.rmtree(outdated)

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}.json"


def code_hash(directory: Path) -> str:
    """Return the sha256 over the names and contents of all Python files in a folder."""
    digest = hashlib.sha256()
    for path in sorted(directory.rglob("*.py")):
        digest.update(path.relative_to(directory).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
