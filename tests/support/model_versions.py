"""A second model version beside the usual one, and what can happen to the files of a model."""

import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from config.settings import TrainingSettings
from server.anomaly.dataset import Dataset
from server.evaluation.new_version import trained_version
from server.registry import versions
from tests.support.patients import real_patients, small_training

PATIENTS = 240


def save_another_version(directory: Path) -> None:
    """Train a version that differs in all that a prediction shows: forest, typical values and thresholds."""
    whole = real_patients()
    fewer = Dataset(whole.name, whole.sha256, whole.values[:PATIENTS], whole.has_disease[:PATIENTS])
    changes = {"random_state": 7, "medium_threshold": 0.7, "high_threshold": 0.9}
    settings = small_training().model_copy(update=changes)
    save_version(fewer, settings, directory, made_at=datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC))


def save_version(dataset: Dataset, settings: TrainingSettings, directory: Path, *, made_at: datetime) -> Path:
    """Train a version, store it in a folder of versions and make it the active one there."""
    files = trained_version(dataset, settings, directory / ".evaluation", made_at=made_at)
    versions.activate(directory, versions.store_version(directory, files))
    return directory


def folder_with_versions(directories: Sequence[Path], folder: Path) -> Path:
    """Make a folder with the versions of several, the first one's being active."""
    for directory in reversed(directories):
        shutil.copytree(directory, folder, dirs_exist_ok=True)
    return folder


def activate(source: Path, folder: Path) -> None:
    """Make the version that is active in one folder the active one in another, which holds it too."""
    active = versions.active_manifest(source)
    assert active is not None
    versions.activate(folder, active.model_version)


def replace_file(path: Path, folder: Path) -> None:
    """Put one file into a folder, in place of the one of that name."""
    on_its_way = folder / f".{path.name}.new"
    shutil.copyfile(path, on_its_way)
    on_its_way.replace(folder / path.name)


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])
