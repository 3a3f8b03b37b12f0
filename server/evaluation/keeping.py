"""Results of folds, kept under the hash of all that they follow from, so that nothing is worked out twice."""

import ast
import hashlib
import json
import platform
import secrets
import shutil
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from config.secrets import PROJECT_ROOT, ConfigurationError
from server.anomaly.dataset import Dataset

_Result = TypeVar("_Result", bound=BaseModel)

MOST_KEPT = 5
"""Combinations of data, settings and code whose results stay; those written to longest ago go."""

_PACKAGES = ("numpy", "pandas", "scikit-learn", "scipy", "shap")


class KeptResults(Generic[_Result]):
    """A folder of results for one combination of data, settings and code.

    ``worked_out_in`` is the module that works them out, and ``packages`` what it needs besides numpy and its like.
    """

    def __init__(
        self,
        directory: Path,
        made_of: dict[str, Any],
        kind: type[_Result],
        *,
        worked_out_in: str,
        packages: Iterable[str] = (),
    ) -> None:
        software = {name: version(name) for name in (*_PACKAGES, *packages)} | {"python": platform.python_version()}
        described = json.dumps(made_of | {"code": code_hash(worked_out_in), "software": software}, sort_keys=True)
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
        unfinished = path.with_suffix(f".{secrets.token_hex(8)}")
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


def data_hash(dataset: Dataset) -> str:
    """Return the sha256 over the values and labels of patients as they are used, whatever file they were read from."""
    digest = hashlib.sha256(str(dataset.values.shape).encode())
    digest.update(dataset.values.tobytes())
    digest.update(dataset.has_disease.tobytes())
    return digest.hexdigest()


def code_hash(module: str, *, root: Path = PROJECT_ROOT) -> str:
    """Return the sha256 over a module of the project and all of the project that it imports, directly or not.

    Comments, docstrings and layout do not count.
    """
    digest = hashlib.sha256()
    for name, tree in sorted(imported_code(module, root=root).items()):
        digest.update(name.encode() + b"\0" + ast.dump(_WithoutDocstrings().visit(tree)).encode() + b"\0")
    return digest.hexdigest()


def imported_code(module: str, *, root: Path = PROJECT_ROOT) -> dict[str, ast.Module]:
    """Return the syntax trees, by name, of a module under a folder and of all there that it imports."""
    found: dict[str, ast.Module] = {}
    open_names = [module]
    while open_names:
        name = open_names.pop()
        path = _file_of(name, root)
        if path is not None and name not in found:
            found[name] = ast.parse(path.read_bytes())
            open_names += [*_imports(found[name]), name.rpartition(".")[0]]
    return found


def _file_of(module: str, root: Path) -> Path | None:
    place = root.joinpath(*module.split("."))
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if module and path.is_file()), None)


def _imports(tree: ast.Module) -> Iterator[str]:
    """Name what is imported, and whatever is imported from it, which may be a module too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


class _WithoutDocstrings(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        """Drop a constant that stands for itself: a docstring, of whatever it may be."""
        return None if isinstance(node.value, ast.Constant) else node
