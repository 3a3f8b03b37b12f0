"""What every kind of test shares: a small detector that was really trained, on the real patients."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from config import env_file
from server.anomaly.detector import Detector
from server.registry.artifact import load_detector
from server.store.database import open_database
from tests.support.model_versions import folder_with_versions, save_another_version, save_version
from tests.support.patients import real_patients, small_training
from tests.support.postgres import Postgres, postgres
from tests.support.processes import Process, end_all


@pytest.fixture(autouse=True)
def _without_the_env_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the secrets of this checkout, where the system may have been started, out of the tests."""
    monkeypatch.setattr(env_file, "ENV_FILE", tmp_path / ".env")


@pytest.fixture(scope="session")
def detector_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of 50 trees; copy it before changing anything."""
    directory = tmp_path_factory.mktemp("saved_models")
    made_at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    return save_version(real_patients(), small_training(), directory, made_at=made_at)


@pytest.fixture(scope="session")
def detector(detector_dir: Path) -> Detector:
    return load_detector(detector_dir)


@pytest.fixture(scope="session")
def other_detector_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with another version of the model; copy it before changing anything."""
    directory = tmp_path_factory.mktemp("other_version")
    save_another_version(directory)
    return directory


@pytest.fixture
def model_folder(detector_dir: Path, other_detector_dir: Path, tmp_path: Path) -> Path:
    """A folder of the test's own that holds both versions, the usual one active."""
    return folder_with_versions([detector_dir, other_detector_dir], tmp_path / "saved_models")


@pytest.fixture
def processes() -> Iterator[list[Process]]:
    """Processes of the project, which are killed when the test ends."""
    started: list[Process] = []
    yield started
    end_all(started)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """A server of PostgreSQL with a database ``template`` that holds an empty record."""
    with postgres() as server:
        server.execute("CREATE DATABASE template")
        open_database(server.url("template")).dispose()
        yield server
