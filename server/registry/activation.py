"""Storing a version of the model and making one the active one: whole or not at all, and one at a time."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

from pydantic import SecretStr

from common.errors import ArtifactError
from common.file_lock import locked
from config.secrets import sync_folder
from server.anomaly.detector import Detector
from server.anomaly.manifest import Manifest
from server.registry.artifact import CARD_FILE, MANIFEST_FILE, MODEL_FILES, card_file, complete_files, detector_of
from server.registry.versions import VERSIONS_FOLDER, folder_of, has_card_of, verified_version

_LOCK_FILE = ".lock"
_UNFINISHED = ".unfinished-"


def store_version(directory: Path, files: Mapping[str, bytes]) -> str:
    """Write the files of a new version, whole or not at all, and return its name; another stays active.

    A version that is stored already is written anew, file by file: what is whole of it is the same, as its name says.

    Raises
    ------
    ArtifactError
        When the folder cannot be written.
    """
    version = Manifest.model_validate_json(files[MANIFEST_FILE]).model_version
    folder = directory / VERSIONS_FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone_in(directory):
            _store(folder, version, files)
    except OSError as error:
        raise ArtifactError(f"The model cannot be written to {folder}: {error.strerror}.") from None
    return version


def activate(directory: Path, version: str, *, key: SecretStr | None = None) -> Detector:
    """Make a stored version the active one, after loading and verifying it, and return it.

    What was verified replaces the files on top one by one, the manifest last: whoever reads while this goes on sees
    files that the manifest does not vouch for, and refuses them. The model card is written anew.

    Raises
    ------
    ArtifactError
        When there is no such version, it cannot be used, or the folder cannot be written; the active one stays then.
    """
    folder = folder_of(directory, version)
    try:
        with _alone_in(directory):
            manifest, contents = verified_version(directory, version, key=key)
            detector = detector_of(manifest, contents)
            if not has_card_of(manifest, folder):
                _replace_all(folder, {CARD_FILE: card_file(manifest)})
            _replace_all(directory, complete_files(contents, manifest))
    except OSError as error:
        raise ArtifactError(f"Version {version} cannot be copied to {directory}: {error.strerror}.") from None
    return detector


@contextmanager
def _alone_in(directory: Path) -> Iterator[None]:
    """Wait until nobody else stores or activates in a folder, and remove what those left who were cut off."""
    with locked(directory / _LOCK_FILE):
        _remove_leftovers(directory)
        yield


def _remove_leftovers(directory: Path) -> None:
    for folder in (directory, directory / VERSIONS_FOLDER):
        for path in folder.glob(f"{_UNFINISHED}*"):
            rmtree(path, ignore_errors=True)
    for name in MODEL_FILES:  # as earlier versions of this program left them
        for path in directory.glob(f".{name}.*"):
            path.unlink()


def _store(folder: Path, version: str, files: Mapping[str, bytes]) -> None:
    if not (folder / version).exists():
        with _written(folder, files) as unfinished:
            unfinished.replace(folder / version)
            sync_folder(folder)
        return
    _replace_all(folder / version, files)
    for path in (folder / version).iterdir():
        if path.name not in files and path.is_file():
            path.unlink()


def _replace_all(folder: Path, files: Mapping[str, bytes]) -> None:
    """Put every file on disk beside its place first, then move them there in order."""
    with _written(folder, files) as unfinished:
        for name in files:
            (unfinished / name).replace(folder / name)
        sync_folder(folder)


@contextmanager
def _written(beside: Path, files: Mapping[str, bytes]) -> Iterator[Path]:
    """Write files to a new folder of a name of its own, which is gone in the end unless it was moved."""
    outer = Path(mkdtemp(prefix=_UNFINISHED, dir=beside))
    try:
        inner = outer / "files"
        inner.mkdir()
        for name, content in files.items():
            _write_through(inner / name, content)
        sync_folder(inner)
        yield inner
    finally:
        rmtree(outer, ignore_errors=True)


def _write_through(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
