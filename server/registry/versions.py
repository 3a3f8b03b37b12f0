"""The versions of the model in a folder: each whole in one of its own, and the active one's files on top as well."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from pydantic import SecretStr

from common.errors import ArtifactError, NoModelError
from common.rendered_card import VERSION_NAME
from server.anomaly.detector import Detector
from server.anomaly.manifest import Manifest
from server.registry.artifact import CARD_FILE, MANIFEST_FILE, card_file, detector_of, read_files, read_manifest

VERSIONS_FOLDER = "versions"

_MAKE_ONE = "python train_model.py --data FILE"


@dataclass(frozen=True)
class StoredVersion:
    """A version in the folder: its manifest, or the sentence that says why it cannot be used."""

    name: str
    is_active: bool
    manifest: Manifest | None
    refused: str | None = None
    has_own_card: bool = True


def load_active(directory: Path, *, key: SecretStr | None = None) -> Detector:
    """Load the active version from the files on top; a refusal says what to run.

    Raises
    ------
    NoModelError
        When nothing was ever trained here: there is neither a manifest nor a stored version.
    OutdatedModelError, ArtifactError
        As ``load_detector`` does.
    """
    try:
        manifest, contents = read_files(directory, key=key)
    except NoModelError as error:
        if not version_names(directory):
            raise NoModelError(f"{error.message} Run: python train_model.py") from None
        _refuse(f"{directory / MANIFEST_FILE} is missing, and versions are stored. {what_to_run(directory, key)}")
    except ArtifactError as error:
        raise type(error)(f"{error.message} {what_to_run(directory, key)}") from None
    return detector_of(manifest, contents)


def load_active_or_stored(directory: Path, load: Callable[[Path], Detector]) -> tuple[Detector, str | None]:
    """Load the active version and, where the files on top are refused, whole from its own folder; return why then too.

    That is how an activation that was cut off is survived. The files on top are looked at twice, because one may be
    under way at the first.

    Raises
    ------
    ArtifactError
        As ``load`` does of the files on top, when the version that their manifest names is not whole either.
    """
    try:
        return load(directory), None
    except NoModelError:
        raise
    except ArtifactError:
        pass
    try:
        return load(directory), None
    except ArtifactError as refusal:
        return _load_stored(directory, load, refusal), refusal.message


def _load_stored(directory: Path, load: Callable[[Path], Detector], refusal: ArtifactError) -> Detector:
    name = manifest_as_written(directory).get("model_version")
    if not isinstance(name, str) or not re.fullmatch(VERSION_NAME, name):
        raise refusal
    try:
        detector = load(directory / VERSIONS_FOLDER / name)
        _refuse_other_version(name, detector.manifest)
    except ArtifactError:
        raise refusal from None
    return detector


def manifest_as_written(directory: Path) -> dict[str, Any]:
    """Return what stands in the manifest on top, of whatever format and unverified; nothing if it cannot be read."""
    try:
        content = json.loads((directory / MANIFEST_FILE).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def what_to_run(directory: Path, key: SecretStr | None) -> str:
    """Say how to come back to a model that can be believed: a stored version if one is whole, or a new one."""
    try:
        names = version_names(directory)
    except ArtifactError as error:
        return error.message
    named = manifest_as_written(directory).get("model_version")
    for name in sorted(names, key=lambda name: (name == named, name), reverse=True):
        if _stored(directory, name, is_active=False, key=key).manifest is not None:
            return f"Version {name} is stored whole. Run: python train_model.py --activate {name}"
    if names:
        return f"No stored version can be used; to see why: python train_model.py --list. To make one anew: {_MAKE_ONE}"
    return f"No version is stored. To make one anew: {_MAKE_ONE}"


def stored_versions(directory: Path, *, key: SecretStr | None = None) -> list[StoredVersion]:
    """Return the versions in a folder, oldest first, with their manifests as far as these can be believed.

    Raises
    ------
    ArtifactError
        When the folder cannot be read.
    """
    active = active_manifest(directory)
    return [
        _stored(directory, name, is_active=active is not None and name == active.model_version, key=key)
        for name in version_names(directory)
    ]


def version_names(directory: Path) -> list[str]:
    """Return the names of the versions in a folder, oldest first; whether they can be used is not looked at.

    Raises
    ------
    ArtifactError
        When the folder cannot be read.
    """
    folder = directory / VERSIONS_FOLDER
    try:
        return sorted(path.name for path in folder.iterdir() if re.fullmatch(VERSION_NAME, path.name))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        _refuse(f"The versions in {folder} cannot be read ({error.strerror}). Give whoever runs this access to it.")


def active_manifest(directory: Path) -> Manifest | None:
    """Return the manifest of the active version; ``None`` when there is none that can be read."""
    try:
        return read_manifest(directory)
    except ArtifactError:
        return None


def manifest_of(directory: Path, version: str, *, key: SecretStr | None = None) -> Manifest:
    """Return the manifest of a stored version; the files that it vouches for are not looked at.

    Raises
    ------
    ArtifactError
        When there is none, or it cannot be believed.
    """
    manifest = read_manifest(folder_of(directory, version), key=key)
    _refuse_other_version(version, manifest)
    return manifest


def verified_version(
    directory: Path, version: str, *, key: SecretStr | None = None
) -> tuple[Manifest, dict[str, bytes]]:
    """Return a stored version's manifest and the files that it vouches for; raises as ``manifest_of`` does."""
    manifest, contents = read_files(folder_of(directory, version), key=key)
    _refuse_other_version(version, manifest)
    return manifest, contents


def folder_of(directory: Path, version: str) -> Path:
    """Return the folder of a stored version.

    Raises
    ------
    ArtifactError
        When there is none.
    """
    if version not in version_names(directory):
        _refuse(f"There is no version {version} in {directory}. To see those there are: python train_model.py --list")
    return directory / VERSIONS_FOLDER / version


def _refuse_other_version(version: str, manifest: Manifest) -> None:
    if manifest.model_version != version:
        _refuse(f"The folder of version {version} holds version {manifest.model_version}, so it is not used.")


def _stored(directory: Path, version: str, *, is_active: bool, key: SecretStr | None) -> StoredVersion:
    try:
        manifest, _ = verified_version(directory, version, key=key)
    except ArtifactError as error:
        return StoredVersion(version, is_active, None, error.message)
    folders = [directory / VERSIONS_FOLDER / version, *([directory] if is_active else [])]
    has_own_card = all(has_card_of(manifest, folder) for folder in folders)
    return StoredVersion(version, is_active, manifest, has_own_card=has_own_card)


def has_card_of(manifest: Manifest, folder: Path) -> bool:
    """Tell whether the model card in a folder is the one that follows from a manifest."""
    try:
        return (folder / CARD_FILE).read_bytes() == card_file(manifest)
    except OSError:
        return False


def _refuse(sentence: str) -> NoReturn:
    raise ArtifactError(sentence) from None
