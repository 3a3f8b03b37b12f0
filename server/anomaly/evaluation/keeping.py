"""Results of folds, kept under the hash of all that they follow from, so that nothing is worked out twice."""

import hashlib
import json
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from config.errors import ConfigurationError
from server.anomaly.evaluation.folds import FoldResult

_CODE = Path(__file__).resolve().parents[1]
_PACKAGES = ("numpy", "pandas", "scikit-learn", "shap")


class KeptResults:
    """A folder of results for one combination of data, settings and code."""

    def __init__(self, directory: Path, made_of: dict[str, Any]) -> None:
        packages = {name: version(name) for name in _PACKAGES}
        described = json.dumps(made_of | {"code": code_hash(_CODE), "packages": packages}, sort_keys=True)
        self._directory = directory / hashlib.sha256(described.encode()).hexdigest()[:16]

    def read(self, name: str) -> FoldResult | None:
        """Return a kept result; ``None`` when there is none, or its file is damaged."""
        try:
            return FoldResult.model_validate_json(self._path(name).read_bytes())
        except (OSError, ValidationError):
            return None

    def write(self, name: str, result: FoldResult) -> None:
        """Keep a result; its file appears as a whole or not at all.

        Raises
        ------
        ConfigurationError
            When the folder cannot be written.
        """
        path = self._path(name)
        unfinished = path.with_suffix(f".{os.getpid()}")
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            unfinished.write_text(result.model_dump_json())
            unfinished.replace(path)
        except OSError as error:
            raise ConfigurationError(
                f"Results cannot be kept in {self._directory} ({error.strerror}): set DATA_DIR to another folder."
            ) from error

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}.json"


def code_hash(directory: Path) -> str:
    """Return the sha256 over the names and contents of all Python files in a folder."""
    digest = hashlib.sha256()
    for path in sorted(directory.rglob("*.py")):
        digest.update(path.relative_to(directory).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
