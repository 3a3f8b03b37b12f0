"""The model that scores: a newly activated version is taken as a whole, and files that cannot be believed never."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from common.errors import ArtifactError
from server.anomaly.detector import Detector
from server.anomaly.shapley import CellTables
from server.registry.artifact import load_detector
from server.registry.current_model import CurrentModel
from server.registry.known_answers import made_up_patients
from tests.support.model_versions import activate

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)


@dataclass
class Loading:
    """Loads models, and counts how often; the failures given come first."""

    times: int = 0
    failures: list[Exception] = field(default_factory=list)

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


def looks(model: CurrentModel) -> list[bool]:
    """Look until files that were refused are loaded again; return which looks found news."""
    return [model.look() for _ in range(CurrentModel.LOOKS_BETWEEN_ATTEMPTS)]


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_newly_activated_version_scores_from_the_next_look_on_and_each_is_loaded_once(
    model: CurrentModel, model_folder: Path, other_detector_dir: Path, loading: Loading
) -> None:
    before, other = model.detector, load_detector(other_detector_dir)
    assert looks(model).count(True) == 0
    assert (model.detector, model.status.since) == (before, NOON)
    activate(other_detector_dir, model_folder)
    assert model.look()
    status = model.status
    assert (status.version, status.metrics, status.since) == (other.model_version, other.metrics, LATER)
    assert (model.detector.thresholds, model.detector.typical) == (other.thresholds, other.typical)
    assert not model.look()
    assert loading.times == 2


def test_what_failed_for_a_reason_outside_the_files_is_told_once_and_taken_when_it_has_passed(
    model: CurrentModel,
    model_folder: Path,
    other_detector_dir: Path,
    loading: Loading,
    caplog: pytest.LogCaptureFixture,
) -> None:
    away = "The disk is away for a moment."
    loading.failures = [ArtifactError(away), ArtifactError(away), RuntimeError("nobody thought of this")]
    activate(other_detector_dir, model_folder)
    assert model.look()
    assert looks(model).count(True) == 0
    assert str(model.status.refused) == away
    assert warned(caplog) == [f"model version {model.status.version} goes on scoring: {away}"]
    assert looks(model).count(True) == 1
    assert str(model.status.refused).endswith("cannot be loaded; the server's log says more.")
    assert looks(model).count(True) == 1
    assert (model.status.refused, loading.times) == (None, 5)


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
