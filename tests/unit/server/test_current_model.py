"""The model that scores: a newly activated version is taken as a whole, and files that cannot be believed never."""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Queue

import pytest

from common.errors import ArtifactError
from common.messages import ModelStatus
from server.anomaly.attribution import FieldShares
from server.anomaly.detector import Detector
from server.anomaly.shapley import CellTables
from server.registry.artifact import (
    CALIBRATION_FILE,
    FOREST_FILE,
    MANIFEST_FILE,
    PREPROCESSOR_FILE,
    load_detector,
)
from server.registry.current_model import CurrentModel
from server.registry.known_answers import made_up_patients
from tests.support.model_versions import activate, flip_a_byte, replace_file, replace_files, swap, truncate
from tests.support.recording import WAIT_SECONDS

DO_NOT_ADD_UP = "the contributions do not add up to the score"
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
FILES = (FOREST_FILE, PREPROCESSOR_FILE, CALIBRATION_FILE, MANIFEST_FILE)


class Clock:
    """A clock that goes on by an hour each time it is read."""

    def __init__(self) -> None:
        self.now = NOON - timedelta(hours=1)

    def __call__(self) -> datetime:
        self.now += timedelta(hours=1)
        return self.now


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
    return CurrentModel(model_folder, load=loading, clock=Clock(), seconds=3600)


def refusal(model: CurrentModel) -> str:
    """Look until a refusal is believed, and return it."""
    assert not model.look()
    assert model.look()
    assert model.status.refused is not None
    return model.status.refused


def test_a_folder_without_a_model_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="There is no trained model"):
        CurrentModel(tmp_path, load=load_detector, clock=Clock(), seconds=3600)


def test_the_model_that_is_there_scores_and_is_loaded_once(model: CurrentModel, loading: Loading) -> None:
    detector = model.detector
    assert model.status == ModelStatus(
        version=detector.model_version, since=NOON, metrics=detector.metrics, refused=None, explains=True
    )
    assert [model.look() for _ in range(5)] == [False] * 5
    assert model.detector is detector
    assert loading.times == 1


def test_a_newly_activated_version_scores_from_the_next_look_on(
    model: CurrentModel, model_folder: Path, other_detector_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    before, other = model.detector.model_version, load_detector(other_detector_dir)
    activate(other_detector_dir, model_folder)
    assert model.look()
    assert model.status == ModelStatus(
        version=other.model_version, since=NOON + timedelta(hours=1), metrics=other.metrics, refused=None, explains=True
    )
    assert (model.detector.thresholds, model.detector.typical) == (other.thresholds, other.typical)
    assert f"model version {other.model_version} scores from now on, in place of {before}" in caplog.text
    assert not model.look()


def test_an_activation_that_is_under_way_is_no_refusal(
    model: CurrentModel, model_folder: Path, other_detector_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = model.status
    replace_files(other_detector_dir, model_folder)
    assert not model.look()
    assert model.status == before
    replace_file(other_detector_dir / MANIFEST_FILE, model_folder)
    assert model.look()
    assert model.status.version == load_detector(other_detector_dir).model_version
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_files_on_their_way_to_their_names_are_not_looked_at(
    model: CurrentModel, model_folder: Path, loading: Loading
) -> None:
    (model_folder / ".manifest.json.new").write_text("not yet whole")
    assert not model.look()
    assert loading.times == 1


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (flip_a_byte, "is not the file|is damaged|was changed"),
        (truncate, "is not the file|is damaged"),
        (Path.unlink, "is missing|There is no trained model"),
    ],
)
def test_a_damaged_file_is_refused_once_with_the_reason_and_taken_when_it_is_repaired(
    model: CurrentModel,
    model_folder: Path,
    detector_dir: Path,
    caplog: pytest.LogCaptureFixture,
    *,
    name: str,
    damage: Callable[[Path], None],
    said: str,
) -> None:
    before, detector = model.status, model.detector
    damage(model_folder / name)
    reason = refusal(model)
    assert any(part in reason for part in said.split("|"))
    for _ in range(20):
        assert not model.look()
    assert model.detector is detector
    assert [record.getMessage() for record in caplog.records] == [
        f"model version {before.version} goes on scoring: {reason}"
    ]
    replace_file(detector_dir / name, model_folder)
    assert model.look()
    assert model.status == before
    assert model.detector is detector


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_another_version_is_refused(
    model: CurrentModel, model_folder: Path, other_detector_dir: Path, name: str
) -> None:
    before = model.detector
    swap(name, other_detector_dir, model_folder)
    assert "is not the file" in refusal(model)
    assert model.detector is before


def test_a_refused_version_is_taken_once_repaired_though_its_manifest_stays(
    model: CurrentModel, model_folder: Path, other_detector_dir: Path
) -> None:
    activate(other_detector_dir, model_folder)
    truncate(model_folder / FOREST_FILE)
    refusal(model)
    replace_file(other_detector_dir / FOREST_FILE, model_folder)
    assert model.look()
    assert (model.status.version, model.status.refused) == (load_detector(other_detector_dir).model_version, None)


def test_another_reason_is_told_as_well(
    model: CurrentModel, model_folder: Path, other_detector_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (model_folder / FOREST_FILE).unlink()
    first = refusal(model)
    (model_folder / MANIFEST_FILE).unlink()
    second = refusal(model)
    assert first != second
    assert [reason in caplog.text for reason in (first, second)] == [True, True]
    activate(other_detector_dir, model_folder)
    assert model.look()
    assert model.status.refused is None


def test_refused_files_are_tried_again_ever_more_seldom(
    model: CurrentModel, model_folder: Path, loading: Loading
) -> None:
    flip_a_byte(model_folder / FOREST_FILE)
    attempts = []
    for look in range(1, 600):
        before = loading.times
        model.look()
        if loading.times > before:
            attempts.append(look)
    assert attempts == [1, 2, 4, 8, 16, 32, 64, 128, 256, 384, 512]


def test_what_failed_for_a_reason_outside_the_files_is_taken_when_it_has_passed(
    model: CurrentModel, model_folder: Path, other_detector_dir: Path, loading: Loading
) -> None:
    loading.failures = [ArtifactError("The disk is away for a moment.")] * 3
    activate(other_detector_dir, model_folder)
    assert refusal(model) == "The disk is away for a moment."
    changes = [model.look() for _ in range(6)]
    assert changes == [False, False, False, False, False, True]
    assert model.status.version == load_detector(other_detector_dir).model_version


def test_a_failure_that_nobody_thought_of_is_a_refusal_too(
    model: CurrentModel,
    model_folder: Path,
    other_detector_dir: Path,
    loading: Loading,
    caplog: pytest.LogCaptureFixture,
) -> None:
    loading.failures = [RuntimeError("something nobody thought of")] * 2
    activate(other_detector_dir, model_folder)
    assert refusal(model) == f"The model in {model_folder} cannot be loaded; the server's log says more."
    assert "something nobody thought of" in caplog.text
    assert [model.look(), model.look()] == [False, True]
    assert model.status.refused is None


def test_an_activation_that_was_cut_off_is_survived_by_the_next_start_and_reported(
    model_folder: Path, other_detector_dir: Path, loading: Loading, caplog: pytest.LogCaptureFixture
) -> None:
    version = load_detector(model_folder).model_version
    replace_files(other_detector_dir, model_folder)
    model = CurrentModel(model_folder, load=loading, clock=Clock(), seconds=3600)
    assert model.status.version == version
    assert "is not the file that was written" in (model.status.refused or "")
    assert f"model version {version} was loaded from its own folder: {model.status.refused}" in caplog.text
    assert [model.look() for _ in range(3)] == [False] * 3
    activate(other_detector_dir, model_folder)
    assert model.look()
    assert model.status.version == load_detector(other_detector_dir).model_version
    assert model.status.refused is None


@pytest.mark.parametrize("name", FILES[:3])
@pytest.mark.parametrize("damage", [flip_a_byte, truncate, Path.unlink])
def test_a_file_that_was_tampered_with_before_the_start_is_reported_and_not_used(
    model_folder: Path, detector_dir: Path, damage: Callable[[Path], None], name: str
) -> None:
    damage(model_folder / name)
    model = CurrentModel(model_folder, load=load_detector, clock=Clock(), seconds=3600)
    assert name in (model.status.refused or "")
    replace_file(detector_dir / name, model_folder)
    assert model.look()
    assert model.status.refused is None


def test_a_start_amid_an_activation_looks_twice(model_folder: Path, loading: Loading) -> None:
    loading.failures = [ArtifactError("Files of two versions.")]
    model = CurrentModel(model_folder, load=loading, clock=Clock(), seconds=3600)
    assert model.status.refused is None
    assert loading.times == 2


def test_a_start_is_refused_where_the_version_is_damaged_in_its_own_folder_too(
    model_folder: Path, other_detector_dir: Path
) -> None:
    version = load_detector(model_folder).model_version
    stored = model_folder / "versions" / version
    for path in (model_folder / FOREST_FILE, stored / FOREST_FILE):
        flip_a_byte(path)
    with pytest.raises(ArtifactError, match=rf"{model_folder}/{FOREST_FILE} is not the file"):
        CurrentModel(model_folder, load=load_detector, clock=Clock(), seconds=3600)
    replace_files(other_detector_dir, stored)
    replace_file(other_detector_dir / MANIFEST_FILE, stored)
    with pytest.raises(ArtifactError, match=rf"{model_folder}/{FOREST_FILE} is not the file"):
        CurrentModel(model_folder, load=load_detector, clock=Clock(), seconds=3600)


def test_an_explainer_that_fails_while_patients_are_scored_is_told_at_the_next_look_and_so_is_its_recovery(
    model: CurrentModel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_tables: CellTables, factors: Sequence[float]) -> tuple[list[float], float]:
        return [0.0] * len(factors), -0.5

    patients = made_up_patients(model.detector.typical, 1)
    assert not model.look()
    with monkeypatch.context() as broken:
        broken.setattr(CellTables, "look_up", fail)
        for _ in range(3):
            model.detector.assess(patients)
            model.look()
            assert not model.status.explains
    (logged,) = caplog.records
    assert logged.getMessage() == f"no contributions are shown for {len(patients)} patients: {DO_NOT_ADD_UP}"
    model.detector.assess(patients)
    assert model.look()
    assert model.status.explains


def test_a_model_that_cannot_explain_is_logged_by_who_takes_it(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(FieldShares, "divide", lambda _, by_factor, complete: complete)
    model = CurrentModel(model_folder, load=load_detector, clock=Clock(), seconds=3600)
    assert not model.status.explains
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == ["no contributions are shown"]


@pytest.fixture
def watched(model_folder: Path, loading: Loading) -> Iterator[tuple[CurrentModel, "Queue[ModelStatus]"]]:
    model, announced = CurrentModel(model_folder, load=loading, clock=Clock(), seconds=0.01), Queue[ModelStatus]()
    model.start(announced.put)
    yield model, announced
    model.stop(WAIT_SECONDS)


def test_every_change_is_announced_and_the_watcher_ends_when_told(
    watched: tuple[CurrentModel, "Queue[ModelStatus]"], model_folder: Path, other_detector_dir: Path
) -> None:
    model, announced = watched
    activate(other_detector_dir, model_folder)
    assert announced.get(timeout=WAIT_SECONDS).version == load_detector(other_detector_dir).model_version
    flip_a_byte(model_folder / PREPROCESSOR_FILE)
    assert PREPROCESSOR_FILE in (announced.get(timeout=WAIT_SECONDS).refused or "")
    replace_file(other_detector_dir / PREPROCESSOR_FILE, model_folder)
    assert announced.get(timeout=WAIT_SECONDS) == model.status
    model.stop(WAIT_SECONDS)
    assert "model watcher" not in [thread.name for thread in threading.enumerate()]
    assert announced.empty()


def test_a_status_that_could_not_be_announced_is_announced_at_the_next_look(
    model_folder: Path, other_detector_dir: Path, loading: Loading, caplog: pytest.LogCaptureFixture
) -> None:
    announced = Queue[ModelStatus]()
    failures = [RuntimeError("the dashboards cannot be reached"), OSError("nor now")]

    def announce(status: ModelStatus) -> None:
        if failures:
            raise failures.pop()
        announced.put(status)

    model = CurrentModel(model_folder, load=loading, clock=Clock(), seconds=0.01)
    model.start(announce)
    activate(other_detector_dir, model_folder)
    assert announced.get(timeout=WAIT_SECONDS).version == load_detector(other_detector_dir).model_version
    model.stop(WAIT_SECONDS)
    assert "the dashboards cannot be reached" in caplog.text
