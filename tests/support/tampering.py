"""Altering the files of a model as somebody might who wants another one believed."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from server.anomaly.manifest import Manifest
from server.registry.artifact import MANIFEST_FILE, active_folder

Change = Callable[[dict[str, Any]], object]


def change_manifest(directory: Path, change: Change, *, seal: bool = True) -> None:
    """Alter the active version's manifest and, if so asked, make it vouch for the alteration."""
    path = active_folder(directory) / MANIFEST_FILE
    content = json.loads(path.read_bytes())
    change(content)
    if seal:
        content["model_version"] = Manifest.model_validate_json(json.dumps(content)).expected_version()
    path.write_text(json.dumps(content))


def replace_and_vouch(directory: Path, name: str, content: bytes) -> None:
    (active_folder(directory) / name).write_bytes(content)
    change_manifest(directory, lambda manifest: manifest["files"].update({name: hashlib.sha256(content).hexdigest()}))


def manifest_in(directory: Path) -> Manifest:
    return Manifest.model_validate_json((active_folder(directory) / MANIFEST_FILE).read_bytes())


def sign(directory: Path, key: SecretStr) -> None:
    """Sign the model as a training with that key would have."""
    signed = manifest_in(directory).sealed(key)
    (active_folder(directory) / MANIFEST_FILE).write_text(signed.model_dump_json())


class Trap:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._mark,)
