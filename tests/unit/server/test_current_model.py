"""The model that scores: a newly activated version is taken as a whole, and files that cannot be believed never."""

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Queue

import pytest

from common.errors import ArtifactError
from common.messages import ModelStatus
from server.anomaly.detector import Detector
from server.anomaly.shapley import CellTables
from server.registry.artifact import FOREST_FILE, MANIFEST_FILE, active_folder, load_detector
from server.registry.current_model import CurrentModel
from server.registry.known_answers import made_up_patients
from tests.support.model_versions import activate, flip_a_byte, replace_file, truncate
from tests.support.waiting import WAIT_SECONDS

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)


class Loading:
    """Loads models, and counts how often; the failures given come first."""

    def __init__(self) -> None:
        self.times = 0
        self.failures: list[Exception] = []

    def __call__(self, folder: Path) -> Detector:
        self.times += 1
        if self.failures:
            raise self.failures.pop(0)
        return load_detector(folder)


@pytest.fixture
def loading() -> Loading:
    return Loading()


@pytest.fixture
def model(model_folder: Path, loading: Loading) -> CurrentModel:
    times = iter([NOON, LATER])
    return CurrentModel(model_folder, load=loading, clock=lambda: next(times), seconds=0.01)


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def status_of(detector: Detector, since: datetime) -> ModelStatus:
    return ModelStatus(
        version=detector.model_version, since=since, metrics=detector.metrics, refused=None, explains=True
    )


def test_a_newly_activated_version_scores_from_the_next_look_on_and_each_is_loaded_once(
    model: CurrentModel, model_folder: Path, other_detector_dir: Path, loading: Loading
) -> None:
    before, other = model.detector, load_detector(other_detector_dir)
    assert model.status == status_of(before, NOON)
    assert [model.look() for _ in range(CurrentModel.LOOKS_BETWEEN_ATTEMPTS + 1)].count(True) == 0
    assert model.detector is before
    activate(other_detector_dir, model_folder)
    assert model.look()
    assert model.status == status_of(other, LATER)
    assert (model.detector.thresholds, model.detector.typical) == (other.thresholds, other.typical)
    assert not model.look()
    assert loading.times == 2


@pytest.mark.parametrize("damage", [flip_a_byte, truncate, Path.unlink])
def test_a_damaged_file_is_refused_once_with_the_reason_and_taken_when_it_is_repaired(
    model: CurrentModel, model_folder: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None]
) -> None:
    before, detector = model.status, model.detector
    for file in (active_folder(model_folder) / FOREST_FILE, active_folder(model_folder) / MANIFEST_FILE):
        whole = file.read_bytes()
        damage(file)
        assert model.look()
        assert str(file.parent) in str(model.status.refused)
        assert [model.look() for _ in range(20)] == [False] * 20
        assert model.detector is detector
        assert warned(caplog) == [f"model version {before.version} goes on scoring: {model.status.refused}"]
        caplog.clear()
        file.write_bytes(whole)
        assert model.look()
        assert (model.status, model.detector) == (before, detector)


def test_what_failed_for_a_reason_outside_the_files_is_taken_when_it_has_passed(
    model: CurrentModel, model_folder: Path, other_detector_dir: Path, loading: Loading
) -> None:
    loading.failures = [ArtifactError("The disk is away for a moment."), RuntimeError("nobody thought of this")]
    activate(other_detector_dir, model_folder)
    assert model.look()
    assert str(model.status.refused) == "The disk is away for a moment."
    assert [model.look() for _ in range(CurrentModel.LOOKS_BETWEEN_ATTEMPTS)].count(True) == 1
    assert str(model.status.refused).endswith("cannot be loaded; the server's log says more.")
    assert [model.look() for _ in range(CurrentModel.LOOKS_BETWEEN_ATTEMPTS)].count(True) == 1
    assert (model.status.refused, loading.times) == (None, 4)


def test_an_explainer_that_fails_while_patients_are_scored_is_told_at_the_next_look_and_so_is_its_recovery(
    model: CurrentModel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_tables: CellTables, factors: Sequence[float]) -> tuple[list[float], float]:
        return [0.0] * len(factors), -0.5

    patients = made_up_patients(model.detector.typical, 1)
    with monkeypatch.context() as broken:
        broken.setattr(CellTables, "look_up", fail)
        for _ in range(3):
            model.detector.assess(patients)
            model.look()
            assert not model.status.explains
    assert warned(caplog) == ["no contributions are shown: the contributions do not add up to the score"]
    model.detector.assess(patients)
    assert model.look()
    assert model.status.explains


def test_every_change_is_announced_and_the_watcher_ends_when_told(
    model: CurrentModel, model_folder: Path, other_detector_dir: Path
) -> None:
    announced = Queue[ModelStatus]()
    model.start(announced.put)
    activate(other_detector_dir, model_folder)
    folder = active_folder(model_folder)
    assert announced.get(timeout=WAIT_SECONDS).version == folder.name
    flip_a_byte(folder / FOREST_FILE)
    assert FOREST_FILE in str(announced.get(timeout=WAIT_SECONDS).refused)
    replace_file(active_folder(other_detector_dir) / FOREST_FILE, folder)
    assert announced.get(timeout=WAIT_SECONDS) == model.status
    model.stop(WAIT_SECONDS)
    assert "model watcher" not in [thread.name for thread in threading.enumerate()]
    assert announced.empty()
