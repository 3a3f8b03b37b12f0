"""The versions of the model in a folder: stored, listed, and made the active one by a single renaming."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

from pydantic import SecretStr

from common.durability import sync_file
from common.errors import ArtifactError
from common.file_lock import locked
from config.secrets import sync_folder
from server.anomaly.detector import Detector
from server.anomaly.manifest import Manifest
from server.registry.artifact import (
    ACTIVE_FILE,
    FOREST_FILE,
    MANIFEST_FILE,
    PREPROCESSOR_FILE,
    VERSIONS_FOLDER,
    active_folder,
    detector_of,
    read_files,
    read_manifest,
    version_names,
)

_LOCK_FILE = ".lock"
_UNFINISHED = ".unfinished"


@dataclass(frozen=True)
class StoredVersion:
    """A version in the folder: its manifest, or the sentence that says why it cannot be used."""

    name: str
    is_active: bool
    manifest: Manifest | None
    refused: str | None


def active_manifest(directory: Path) -> Manifest | None:
    """Return the manifest of the active version; ``None`` when there is none that can be read."""
    try:
        return read_manifest(active_folder(directory))
    except ArtifactError:
        return None


def stored_versions(directory: Path, *, key: SecretStr | None = None) -> list[StoredVersion]:
    """Return the versions in a folder, oldest first; raises ``ArtifactError`` when the folder cannot be read."""
    # A damaged pointer must not hide the list, in which people look for a version to go back to.
    try:
        active = active_folder(directory)
    except ArtifactError:
        active = directory
    found = []
    for folder in [directory / VERSIONS_FOLDER / name for name in version_names(directory)]:
        manifest, refused = None, None
        try:
            manifest, _ = read_files(folder, key=key)
        except ArtifactError as error:
            refused = error.message
        found.append(StoredVersion(folder.name, folder == active, manifest, refused))
    return found


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
        # Two trainings at a time would write into the same unfinished folder.
        with locked(directory / _LOCK_FILE):
            rmtree(unfinished, ignore_errors=True)  # of a training that was cut off
            unfinished.mkdir()
            for name, content in files.items():
                _write(unfinished / name, content)
            # Synced before it gets its name: after a loss of power, a version that has one is whole.
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
    # Verified before the switch: a server that starts in between must find a model that it can use.
    manifest, contents = read_files(directory / VERSIONS_FOLDER / version, key=key)
    detector = detector_of(manifest, contents)
    try:
        with locked(directory / _LOCK_FILE):
            _replace(directory / ACTIVE_FILE, f"{version}\n".encode())
            # Copies for people to look at where they expect them: nothing reads these.
            with suppress(OSError):
                for name in (FOREST_FILE, PREPROCESSOR_FILE):
                    _replace(directory / name, contents[name])
    except OSError as error:
        raise ArtifactError(f"Version {version} cannot be made active in {directory}: {error.strerror}.") from None
    return detector


def _replace(path: Path, content: bytes) -> None:
    """Give a file another content, whole or not at all, also if power is lost."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    _write(unfinished, content)
    unfinished.replace(path)
    sync_folder(path.parent)


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    sync_file(path)
