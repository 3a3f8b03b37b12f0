"""The versions of the model in a folder: each whole in one of its own, and the active one's files on top as well."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import NoReturn

from pydantic import SecretStr

from config.errors import ArtifactError
from config.model_card import VERSION_NAME
from server.anomaly.artifact import CARD_FILE, MANIFEST_FILE, load_detector, read_files, read_manifest
from server.anomaly.detector import Detector
from server.anomaly.manifest import Manifest

VERSIONS_FOLDER = "versions"


@dataclass(frozen=True)
class StoredVersion:
    """A version in the folder: its manifest, or the sentence that says why it cannot be used."""

    name: str
    is_active: bool
    manifest: Manifest | None
    refused: str | None = None


def store_version(directory: Path, files: Mapping[str, bytes]) -> str:
    """Write the files of a new version, whole or not at all, and return its name; another stays active.

    A version that is stored already is written anew.

    Raises
    ------
    ArtifactError
        When the folder cannot be written.
    """
    version = Manifest.model_validate_json(files[MANIFEST_FILE]).model_version
    folder = directory / VERSIONS_FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = Path(mkdtemp(prefix=".unfinished-", dir=folder))
        try:
            _write_folder(unfinished / version, files)
            if (folder / version).exists():
                (folder / version).replace(unfinished / "earlier")
            (unfinished / version).replace(folder / version)
        finally:
            rmtree(unfinished, ignore_errors=True)
    except OSError as error:
        _refuse(f"The model cannot be written to {folder}: {error.strerror}.")
    return version


def activate(directory: Path, version: str, *, key: SecretStr | None = None) -> Detector:
    """Make a stored version the active one, after loading and verifying it, and return it.

    Its files replace those on top one by one, the manifest last: whoever reads while this goes on sees files that the
    manifest does not vouch for, and refuses them.

    Raises
    ------
    ArtifactError
        When there is no such version, it cannot be used, or the folder cannot be written; the active one stays then.
    """
    detector = load_detector(_folder_of(directory, version), key=key)
    _refuse_other_version(version, detector.manifest)
    names = [*detector.manifest.files, CARD_FILE, MANIFEST_FILE]
    try:
        _replace_all(directory, {name: (_folder_of(directory, version) / name).read_bytes() for name in names})
    except OSError as error:
        _refuse(f"Version {version} cannot be copied to {directory}: {error.strerror}.")
    return detector


def stored_versions(directory: Path, *, key: SecretStr | None = None) -> list[StoredVersion]:
    """Return the versions in a folder, oldest first, with their manifests as far as these can be believed."""
    active = active_manifest(directory)
    return [
        _stored(directory, name, active is not None and name == active.model_version, key)
        for name in version_names(directory)
    ]


def version_names(directory: Path) -> list[str]:
    """Return the names of the versions in a folder, oldest first; whether they can be used is not looked at."""
    folder = directory / VERSIONS_FOLDER
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if re.fullmatch(VERSION_NAME, path.name))


def active_manifest(directory: Path) -> Manifest | None:
    """Return the manifest of the active version; ``None`` when there is none that can be read."""
    try:
        return read_manifest(directory)
    except ArtifactError:
        return None


def manifest_of(directory: Path, version: str, *, key: SecretStr | None = None) -> Manifest:
    """Return the manifest of a stored version.

    Raises
    ------
    ArtifactError
        When there is none, or it or the files it vouches for cannot be believed.
    """
    manifest, _ = read_files(_folder_of(directory, version), key=key)
    _refuse_other_version(version, manifest)
    return manifest


def _refuse_other_version(version: str, manifest: Manifest) -> None:
    if manifest.model_version != version:
        _refuse(f"The folder of version {version} holds version {manifest.model_version}, so it is not used.")


def _stored(directory: Path, version: str, is_active: bool, key: SecretStr | None) -> StoredVersion:
    try:
        return StoredVersion(version, is_active, manifest_of(directory, version, key=key))
    except ArtifactError as error:
        return StoredVersion(version, is_active, None, error.message)


def _folder_of(directory: Path, version: str) -> Path:
    folder = directory / VERSIONS_FOLDER / version
    if not re.fullmatch(VERSION_NAME, version) or not folder.is_dir():
        _refuse(f"There is no version {version} in {directory}. To see those there are: python train_model.py --list")
    return folder


def _replace_all(directory: Path, contents: Mapping[str, bytes]) -> None:
    """Put every file on disk beside its place first, then move them there in order."""
    temporary = {name: directory / f".{name}.{os.getpid()}" for name in contents}
    try:
        for name, content in contents.items():
            _write_through(temporary[name], content)
        for name in contents:
            temporary[name].replace(directory / name)
    finally:
        for path in temporary.values():
            path.unlink(missing_ok=True)


def _write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir()
    for name, content in files.items():
        _write_through(folder / name, content)


def _write_through(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _refuse(sentence: str) -> NoReturn:
    raise ArtifactError(sentence) from None
