"""The versions of the model in a folder: stored, listed, and made the active one by a single renaming."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

from pydantic import SecretStr

from common.durability import sync_file
from common.errors import ArtifactError, NoModelError
from common.file_lock import locked
from config.secrets import sync_folder
from server.anomaly.detector import Detector
from server.anomaly.manifest import Manifest
from server.registry.artifact import (
    ACTIVE_FILE,
    CALIBRATION_FILE,
    CARD_FILE,
    FOREST_FILE,
    MANIFEST_FILE,
    PREPROCESSOR_FILE,
    VERSIONS_FOLDER,
    active_folder,
    detector_of,
    load_detector,
    read_files,
    read_manifest,
    version_names,
)

_LOCK_FILE = ".lock"
_UNFINISHED = ".unfinished"
_WHAT_TO_RUN = (
    "To see which versions can be used: python train_model.py --list. To go back to one: --activate VERSION. "
    "To train again: --data FILE"
)


@dataclass(frozen=True)
class StoredVersion:
    """A version in the folder: its manifest, or the sentence that says why it cannot be used."""

    name: str
    is_active: bool
    manifest: Manifest | None
    refused: str | None = None


def load_active(directory: Path, *, key: SecretStr | None = None) -> Detector:
    """Load the active version; a refusal says what to run.

    Raises
    ------
    NoModelError
        When nothing was ever trained here: no version is active, and none is stored.
    OutdatedModelError, ArtifactError
        As ``load_detector`` does.
    """
    try:
        return load_detector(directory, key=key)
    except NoModelError as error:
        if version_names(directory):
            raise ArtifactError(f"No version in {directory} is active. {_WHAT_TO_RUN}") from None
        raise NoModelError(f"{error.message} Run: python train_model.py") from None
    except ArtifactError as error:
        raise type(error)(f"{error.message} {_WHAT_TO_RUN}") from None


def active_manifest(directory: Path) -> Manifest | None:
    """Return the manifest of the active version; ``None`` when there is none that can be read."""
    try:
        return read_manifest(active_folder(directory))
    except ArtifactError:
        return None


def stored_versions(directory: Path, *, key: SecretStr | None = None) -> list[StoredVersion]:
    """Return the versions in a folder, oldest first; raises ``ArtifactError`` when the folder cannot be read."""
    try:
        active = active_folder(directory)
    except ArtifactError:
        active = directory
    return [_stored(directory / VERSIONS_FOLDER / name, active, key) for name in version_names(directory)]


def _stored(folder: Path, active: Path, key: SecretStr | None) -> StoredVersion:
    try:
        manifest, _ = read_files(folder, key=key)
    except ArtifactError as error:
        return StoredVersion(folder.name, folder == active, None, error.message)
    return StoredVersion(folder.name, folder == active, manifest)


def store_version(directory: Path, files: Mapping[str, bytes]) -> str:
    """Write the files of a new version, whole or not at all, and return its name; another stays active.

    Raises
    ------
    ArtifactError
        When the folder cannot be written.
    """
    version = Manifest.model_validate_json(files[MANIFEST_FILE]).model_version
    folder = directory / VERSIONS_FOLDER
    unfinished = folder / _UNFINISHED
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(directory / _LOCK_FILE):
            rmtree(unfinished, ignore_errors=True)  # of a training that was cut off
            unfinished.mkdir()
            for name, content in files.items():
                _write(unfinished / name, content)
            sync_folder(unfinished)
            unfinished.replace(folder / version)
            sync_folder(folder)
    except OSError as error:
        raise ArtifactError(f"The model cannot be written to {folder}: {error.strerror}.") from None
    return version


def activate(directory: Path, version: str, *, key: SecretStr | None = None) -> Detector:
    """Make a stored version the active one, after loading and verifying it, and return it.

    Raises
    ------
    ArtifactError
        When there is no such version, it cannot be used, or the folder cannot be written; the active one stays then.
    """
    if version not in version_names(directory):
        raise ArtifactError(
            f"There is no version {version} in {directory}. To see the versions: python train_model.py --list"
        )
    manifest, contents = read_files(directory / VERSIONS_FOLDER / version, key=key)
    detector = detector_of(manifest, contents)
    try:
        with locked(directory / _LOCK_FILE):
            _replace(directory / ACTIVE_FILE, f"{version}\n".encode())
            with suppress(OSError):
                _show(directory, contents)
    except OSError as error:
        raise ArtifactError(f"Version {version} cannot be made active in {directory}: {error.strerror}.") from None
    return detector


def _show(directory: Path, contents: Mapping[str, bytes]) -> None:
    """Copy the active version's forest and preprocessor to where people look for them; nothing reads these copies."""
    for name in (FOREST_FILE, PREPROCESSOR_FILE):
        _replace(directory / name, contents[name])
    for left_by_earlier_programs in (MANIFEST_FILE, CARD_FILE, CALIBRATION_FILE):
        (directory / left_by_earlier_programs).unlink(missing_ok=True)


def _replace(path: Path, content: bytes) -> None:
    """Give a file another content, whole or not at all, also if power is lost."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    _write(unfinished, content)
    unfinished.replace(path)
    sync_folder(path.parent)


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    sync_file(path)
