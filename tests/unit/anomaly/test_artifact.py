"""The files of a model: whatever is missing, altered or foreign is refused with what to run, and never unpickled."""

import hashlib
import io
import json
import pickle
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import joblib
import pytest

from config.errors import ArtifactError
from server.anomaly.artifact import (
    CARD_FILE,
    FOREST_FILE,
    MANIFEST_FILE,
    PREPROCESSOR_FILE,
    Manifest,
    load_detector,
    made_up_patients,
    save,
)
from server.anomaly.detector import Detector
from server.anomaly.training import TrainedModel
from tests.unit.anomaly.patients import real_patients, small_training

Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def copied(detector_dir: Path, tmp_path: Path) -> Path:
    """A model of the test's own."""
    return Path(shutil.copytree(detector_dir, tmp_path / "saved_models"))


def change_manifest(directory: Path, change: Change, *, seal: bool = True) -> None:
    """Alter the manifest and, if so asked, make it vouch for the alteration."""
    path = directory / MANIFEST_FILE
    content = json.loads(path.read_bytes())
    change(content)
    if seal:
        content["model_version"] = Manifest.model_validate_json(json.dumps(content)).expected_version()
    path.write_text(json.dumps(content))


def replace_and_vouch(directory: Path, name: str, content: bytes) -> None:
    (directory / name).write_bytes(content)
    change_manifest(directory, lambda manifest: manifest["files"].update({name: hashlib.sha256(content).hexdigest()}))


def refusal_of(directory: Path) -> str:
    with pytest.raises(ArtifactError) as caught:
        load_detector(directory)
    assert caught.value.message.endswith("Run: python train_model.py")
    return caught.value.message


def test_a_loaded_model_says_what_is_known_about_it(detector: Detector) -> None:
    assert detector.model_version.startswith("20260102T030405Z-")
    assert (detector.thresholds.medium, detector.thresholds.high) == (0.8, 0.95)
    assert detector.typical["age"] == 52
    assert detector.metrics["patients"] == 303
    assert detector.manifest["data"]["sha256"] == real_patients().sha256
    assert set(detector.manifest["versions"]) == {"python", "scikit-learn", "numpy", "shap"}


def test_what_is_shown_of_a_manifest_holds_no_patients_scores(detector: Detector) -> None:
    assert not {"calibration_scores", "known_answers"} & set(detector.manifest)


def test_a_dozen_known_answers_are_kept_some_with_values_not_measured(detector_dir: Path) -> None:
    manifest = Manifest.model_validate_json((detector_dir / MANIFEST_FILE).read_bytes())
    gaps = [len(known.record.imputed()) for known in manifest.known_answers]
    assert len(gaps) == 12
    assert sum(gap > 0 for gap in gaps) >= 3
    assert len({known.raw_score for known in manifest.known_answers}) >= 10


def test_made_up_patients_come_from_the_seed_alone(detector: Detector) -> None:
    assert made_up_patients(detector.typical, 1) == made_up_patients(detector.typical, 1)
    assert made_up_patients(detector.typical, 1) != made_up_patients(detector.typical, 2)


def test_the_model_card_says_which_model_how_well_it_did_and_what_it_is_not(detector_dir: Path) -> None:
    manifest = Manifest.model_validate_json((detector_dir / MANIFEST_FILE).read_bytes())
    card = (detector_dir / CARD_FILE).read_text()
    auroc = f"{manifest.metrics['auroc']:.3f}"
    for fact in (manifest.model_version, manifest.data.sha256, auroc, "50 trees of 16", "Not for the care of patients"):
        assert fact in card


def test_where_nothing_was_trained_the_refusal_says_so(tmp_path: Path) -> None:
    assert "There is no trained model" in refusal_of(tmp_path / "nowhere")


@pytest.mark.parametrize("name", [FOREST_FILE, PREPROCESSOR_FILE])
def test_a_missing_file_is_refused(copied: Path, name: str) -> None:
    (copied / name).unlink()
    assert f"{name} is missing" in refusal_of(copied)


@pytest.mark.parametrize("name", [FOREST_FILE, PREPROCESSOR_FILE])
def test_a_file_with_one_byte_changed_is_refused(copied: Path, name: str) -> None:
    content = bytearray((copied / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copied / name).write_bytes(content)
    assert f"{name} is not the file that was written" in refusal_of(copied)


class Trap:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._mark,)


def test_nothing_is_unpickled_before_its_hash_was_right(copied: Path, tmp_path: Path) -> None:
    trap = pickle.dumps(Trap(tmp_path / "mark"))
    (copied / FOREST_FILE).write_bytes(trap)
    refusal_of(copied)
    assert not (tmp_path / "mark").exists()
    pickle.loads(trap)  # noqa: S301 the trap itself works
    assert (tmp_path / "mark").exists()


def test_a_vouched_file_that_cannot_be_unpickled_is_refused(copied: Path) -> None:
    replace_and_vouch(copied, PREPROCESSOR_FILE, b"no pickle at all")
    assert "cannot be read here" in refusal_of(copied)


def test_a_vouched_file_with_something_else_in_it_is_refused(copied: Path) -> None:
    replace_and_vouch(copied, FOREST_FILE, pickle.dumps(["not", "a", "forest"]))
    assert "cannot be read here" in refusal_of(copied)


def test_a_model_of_another_scikit_learn_counts_if_it_reproduces_its_answers(copied: Path, detector: Detector) -> None:
    buffer = io.BytesIO()
    joblib.dump(detector.model.forest, buffer)
    here = json.loads((copied / MANIFEST_FILE).read_bytes())["versions"]["scikit-learn"].encode()
    content = buffer.getvalue()
    assert here in content
    replace_and_vouch(copied, FOREST_FILE, content.replace(here, b"9" * len(here)))
    patients = made_up_patients(detector.typical, 0)
    assert load_detector(copied).assess(patients) == detector.assess(patients)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe"])
def test_an_unreadable_manifest_is_refused(copied: Path, content: bytes) -> None:
    (copied / MANIFEST_FILE).write_bytes(content)
    assert "is damaged" in refusal_of(copied)


@pytest.mark.parametrize("part", sorted(Manifest.model_fields))
def test_an_incomplete_manifest_is_refused(copied: Path, part: str) -> None:
    change_manifest(copied, lambda manifest: manifest.pop(part), seal=False)
    assert "is damaged" in refusal_of(copied)


@pytest.mark.parametrize("part", ["columns", "factors"])
def test_a_model_of_other_columns_is_refused(copied: Path, part: str) -> None:
    change_manifest(copied, lambda manifest: manifest[part].reverse())
    assert "other columns" in refusal_of(copied)


def test_a_threshold_changed_by_hand_is_refused(copied: Path) -> None:
    change_manifest(copied, lambda manifest: manifest["thresholds"].update(high=0.5), seal=False)
    assert "was changed after the model was trained" in refusal_of(copied)


def test_a_manifest_that_names_other_files_is_refused(copied: Path) -> None:
    change_manifest(copied, lambda manifest: manifest["files"].update({"../elsewhere.pkl": "0" * 64}))
    assert "does not name the files" in refusal_of(copied)


@pytest.mark.parametrize("part", ["raw_score", "anomaly_score", "base_value"])
def test_a_known_answer_off_by_a_little_is_refused(copied: Path, part: str) -> None:
    def nudge(manifest: dict[str, Any]) -> None:
        manifest["known_answers"][3][part] += 2e-9

    change_manifest(copied, nudge)
    assert "does not reproduce its known answers" in refusal_of(copied)


def test_a_contribution_off_by_a_little_is_refused(copied: Path) -> None:
    def nudge(manifest: dict[str, Any]) -> None:
        manifest["known_answers"][11]["contributions"]["thallium_scan"] -= 2e-9

    change_manifest(copied, nudge)
    assert "does not reproduce its known answers" in refusal_of(copied)


def test_a_manifest_without_known_answers_is_refused(copied: Path) -> None:
    change_manifest(copied, lambda manifest: manifest["known_answers"].clear(), seal=False)
    assert "is damaged" in refusal_of(copied)


def save_again(detector: Detector, directory: Path, *, days: int) -> Manifest:
    trained_at = datetime(2026, 1, 2, tzinfo=UTC) + timedelta(days=days)
    trained = TrainedModel(detector.model, dict(detector.metrics))
    return save(trained, real_patients(), small_training(), directory, trained_at=trained_at)


def test_versions_sort_by_the_time_of_training(detector: Detector, tmp_path: Path) -> None:
    versions = [save_again(detector, tmp_path, days=days).model_version for days in (0, 30, 365)]
    assert versions == sorted(versions)
    assert load_detector(tmp_path).model_version == versions[-1]


def test_a_save_leaves_nothing_beside_the_models_files(detector: Detector, tmp_path: Path) -> None:
    save_again(detector, tmp_path, days=1)
    assert {path.name for path in tmp_path.iterdir()} == {FOREST_FILE, PREPROCESSOR_FILE, CARD_FILE, MANIFEST_FILE}


def test_a_save_that_fails_half_way_leaves_a_model_that_is_refused(copied: Path) -> None:
    detector = load_detector(copied)
    detector.model.forest.set_params(random_state=7)
    (copied / MANIFEST_FILE).rename(copied / "earlier.json")
    (copied / MANIFEST_FILE).mkdir()
    with pytest.raises(ArtifactError, match="cannot be written"):
        save_again(detector, copied, days=1)
    assert not list(copied.glob(".*"))
    (copied / MANIFEST_FILE).rmdir()
    (copied / "earlier.json").rename(copied / MANIFEST_FILE)
    assert "is not the file that was written" in refusal_of(copied)


def test_a_folder_that_cannot_be_written_is_named(detector: Detector, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ArtifactError, match=r"cannot be written to .*file"):
        save_again(detector, tmp_path / "file", days=1)
