"""The files of a model: whatever is missing, altered or foreign is refused with what to run, and never unpickled."""

import io
import json
import pickle
import warnings
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest

from common.errors import ArtifactError, NoModelError, OutdatedModelError
from server.anomaly.detector import Detector
from server.anomaly.manifest import FORMAT, Manifest
from server.registry.artifact import (
    CALIBRATION_FILE,
    FOREST_FILE,
    MANIFEST_FILE,
    PREPROCESSOR_FILE,
    load_detector,
)
from server.registry.known_answers import made_up_patients
from tests.support.model_versions import flip_a_byte, swap, truncate
from tests.support.patients import real_patients
from tests.support.tampering import Trap, change_manifest, manifest_in, replace_and_vouch

MODEL_FILES = [FOREST_FILE, PREPROCESSOR_FILE, CALIBRATION_FILE]
NEEDED = sorted(set(Manifest.model_fields) - {"format", "model_version", "signature"})


def refusal_of(directory: Path) -> str:
    with pytest.raises(ArtifactError) as caught:
        load_detector(directory)
    return caught.value.message


def test_a_loaded_model_says_what_is_known_about_it(detector: Detector) -> None:
    assert detector.model_version.startswith("20260102T030405Z-")
    assert (detector.thresholds.medium, detector.thresholds.high) == (0.8, 0.95)
    assert detector.typical["age"] == 52
    assert detector.metrics["patients"] == 303
    assert detector.manifest.data.sha256 == real_patients().sha256
    assert set(detector.manifest.versions) == {"python", "scikit-learn", "numpy", "shap"}


def test_a_dozen_known_answers_are_kept_some_with_values_not_measured(detector_dir: Path) -> None:
    manifest = manifest_in(detector_dir)
    gaps = [len(known.record.imputed()) for known in manifest.known_answers]
    assert len(gaps) == 12
    assert sum(gap > 0 for gap in gaps) >= 3
    assert len({known.raw_score for known in manifest.known_answers}) >= 10


def test_made_up_patients_come_from_the_seed_alone(detector: Detector) -> None:
    assert made_up_patients(detector.typical, 1) == made_up_patients(detector.typical, 1)
    assert made_up_patients(detector.typical, 1) != made_up_patients(detector.typical, 2)


def test_where_nothing_was_trained_the_refusal_says_so(tmp_path: Path) -> None:
    assert "There is no trained model" in refusal_of(tmp_path / "nowhere")


@pytest.mark.parametrize("name", MODEL_FILES)
def test_a_missing_file_is_refused(copied: Path, name: str) -> None:
    (copied / name).unlink()
    assert f"{name} is missing" in refusal_of(copied)


@pytest.mark.parametrize("name", MODEL_FILES)
def test_a_file_with_one_byte_changed_is_refused(copied: Path, name: str) -> None:
    flip_a_byte(copied / name)
    assert f"{name} is not the file that was written" in refusal_of(copied)


@pytest.mark.parametrize("name", MODEL_FILES)
def test_a_truncated_file_is_refused(copied: Path, name: str) -> None:
    truncate(copied / name)
    assert f"{name} is not the file that was written" in refusal_of(copied)


def test_the_forest_of_another_version_is_refused(copied: Path, other_detector_dir: Path) -> None:
    swap(FOREST_FILE, other_detector_dir, copied)
    assert f"{FOREST_FILE} is not the file that was written" in refusal_of(copied)


def test_files_that_changed_places_are_refused(copied: Path) -> None:
    (copied / FOREST_FILE).rename(copied / "aside")
    (copied / PREPROCESSOR_FILE).rename(copied / FOREST_FILE)
    (copied / "aside").rename(copied / PREPROCESSOR_FILE)
    assert "is not the file that was written" in refusal_of(copied)


@pytest.mark.parametrize("name", MODEL_FILES)
def test_nothing_is_unpickled_before_its_hash_was_right(copied: Path, tmp_path: Path, name: str) -> None:
    trap = pickle.dumps(Trap(tmp_path / "mark"))
    (copied / name).write_bytes(trap)
    refusal_of(copied)
    assert not (tmp_path / "mark").exists()
    pickle.loads(trap)  # noqa: S301 the trap itself works
    assert (tmp_path / "mark").exists()


@pytest.mark.parametrize("last", MODEL_FILES)
def test_one_wrong_hash_keeps_every_other_file_from_being_unpickled(copied: Path, tmp_path: Path, last: str) -> None:
    """Two files are traps that the manifest vouches for, and the third is the one that was altered."""
    for name in {*MODEL_FILES} - {last}:
        replace_and_vouch(copied, name, pickle.dumps(Trap(tmp_path / "mark")))
    flip_a_byte(copied / last)
    refusal_of(copied)
    assert not (tmp_path / "mark").exists()


def test_a_calibration_is_never_unpickled_whatever_vouches_for_it(copied: Path, tmp_path: Path) -> None:
    content = io.BytesIO()
    np.savez(content, np.array([Trap(tmp_path / "mark")], dtype=object))
    for trap in (pickle.dumps(Trap(tmp_path / "mark")), content.getvalue()):
        replace_and_vouch(copied, CALIBRATION_FILE, trap)
        assert f"{CALIBRATION_FILE} cannot be read here" in refusal_of(copied)
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    "bands",
    [
        [],
        [np.full((2048, 9), 0.4)] * 2,
        [np.full((2047, 9), 0.4)],
        [np.full(2048, 0.4)],
        [np.empty((2048, 0))],
        [np.zeros((2048, 9))],
        [np.full((2048, 9), np.nan)],
        [np.full((2048, 9), "0.4")],
    ],
    ids=["none", "two bands", "a pattern less", "one number a pattern", "no patients", "zeros", "nan", "words"],
)
def test_a_vouched_calibration_of_another_shape_is_refused(copied: Path, bands: list[Any]) -> None:
    content = io.BytesIO()
    np.savez(content, *bands)
    replace_and_vouch(copied, CALIBRATION_FILE, content.getvalue())
    assert f"{CALIBRATION_FILE} cannot be read here" in refusal_of(copied)


def test_a_vouched_file_that_cannot_be_unpickled_is_refused(copied: Path) -> None:
    replace_and_vouch(copied, PREPROCESSOR_FILE, b"no pickle at all")
    assert "cannot be read here" in refusal_of(copied)


def test_a_vouched_file_with_something_else_in_it_is_refused(copied: Path) -> None:
    replace_and_vouch(copied, FOREST_FILE, pickle.dumps(["not", "a", "forest"]))
    assert "cannot be read here" in refusal_of(copied)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.InconsistentVersionWarning")
def test_a_model_of_another_scikit_learn_counts_if_it_reproduces_its_answers(copied: Path, detector: Detector) -> None:
    buffer = io.BytesIO()
    joblib.dump(detector.model.forest, buffer)
    here = json.loads((copied / MANIFEST_FILE).read_bytes())["versions"]["scikit-learn"].encode()
    content = buffer.getvalue()
    assert here in content
    replace_and_vouch(copied, FOREST_FILE, content.replace(here, b"9" * len(here)))
    patients = made_up_patients(detector.typical, 0)
    assert load_detector(copied).assess(patients) == detector.assess(patients)


def test_loading_leaves_the_filters_of_warnings_alone(detector_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are the whole process's, in which other threads score patients."""
    before, load, meanwhile = list(warnings.filters), joblib.load, []

    def load_and_look(file: io.BytesIO) -> object:
        meanwhile.append(list(warnings.filters))
        return load(file)

    monkeypatch.setattr(joblib, "load", load_and_look)
    load_detector(detector_dir)
    assert meanwhile == [before, before]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"7", b"\xff\xfe", b"[" * 100_000])
def test_an_unreadable_manifest_is_refused(copied: Path, content: bytes) -> None:
    (copied / MANIFEST_FILE).write_bytes(content)
    assert refusal_of(copied).startswith(f"{copied / MANIFEST_FILE} ")
    with pytest.raises(ArtifactError) as caught:
        load_detector(copied)
    assert not isinstance(caught.value, NoModelError | OutdatedModelError)


@pytest.mark.parametrize("part", NEEDED)
def test_an_incomplete_manifest_is_refused(copied: Path, part: str) -> None:
    change_manifest(copied, lambda manifest: manifest.pop(part), seal=False)
    assert "is damaged" in refusal_of(copied)


@pytest.mark.parametrize("part", ["columns", "factors"])
def test_a_model_of_other_columns_is_refused(copied: Path, part: str) -> None:
    change_manifest(copied, lambda manifest: manifest[part].reverse())
    assert "other columns" in refusal_of(copied)


def test_a_threshold_changed_by_hand_is_refused(copied: Path) -> None:
    change_manifest(copied, lambda manifest: manifest["thresholds"].update(high=0.5), seal=False)
    assert "was changed after the model was made" in refusal_of(copied)


def test_a_manifest_that_names_other_files_is_refused(copied: Path) -> None:
    change_manifest(copied, lambda manifest: manifest["files"].update({"../elsewhere.pkl": "0" * 64}))
    assert "does not name the files" in refusal_of(copied)


@pytest.mark.parametrize("part", ["raw_score", "anomaly_score", "base_value"])
def test_a_known_answer_off_by_a_little_is_refused(copied: Path, part: str) -> None:
    def nudge(manifest: dict[str, Any]) -> None:
        manifest["known_answers"][3][part] += 2e-9

    change_manifest(copied, nudge)
    assert "does not reproduce its known answers" in refusal_of(copied)


def test_a_contribution_off_by_a_little_takes_the_explanations_away_and_no_score(
    copied: Path, detector: Detector
) -> None:
    def nudge(manifest: dict[str, Any]) -> None:
        manifest["known_answers"][11]["contributions"]["thallium_scan"] -= 2e-9

    change_manifest(copied, nudge)
    patients = made_up_patients(detector.typical, 1)
    loaded, usual = load_detector(copied).assess(patients), detector.assess(patients)
    assert [said.raw_score for said in loaded] == [said.raw_score for said in usual]
    assert [said.anomaly_score for said in loaded] == [said.anomaly_score for said in usual]
    assert all(len(said.contributions) == 13 for said in usual)
    assert all(said.contributions == {} for said in loaded)


def test_a_manifest_without_known_answers_is_refused(copied: Path) -> None:
    change_manifest(copied, lambda manifest: manifest["known_answers"].clear(), seal=False)
    assert "is damaged" in refusal_of(copied)


@pytest.mark.parametrize("version", ["", "20260102T030405Z-000000000000", "../elsewhere"])
def test_another_version_name_than_its_content_s_is_refused(copied: Path, version: str) -> None:
    change_manifest(copied, lambda manifest: manifest.update(model_version=version), seal=False)
    assert "was changed after the model was made" in refusal_of(copied)


def test_evaluation_figures_changed_by_hand_are_refused(copied: Path) -> None:
    def flatter(manifest: dict[str, Any]) -> None:
        manifest["evaluation"]["figures"]["auroc"]["ours"]["value"] = 0.999

    change_manifest(copied, flatter, seal=False)
    assert "was changed after the model was made" in refusal_of(copied)


def earlier_layout(manifest: dict[str, Any]) -> None:
    """Make it what versions of this program wrote that had no calibration by pattern, and no number of their layout."""
    del manifest["format"]
    manifest["trained_at"] = manifest.pop("made_at")
    manifest["calibration_scores"] = [0.4, 0.5]
    manifest["files"].pop(CALIBRATION_FILE)


def test_a_model_of_an_earlier_version_of_this_program_is_told_from_none_and_from_a_damaged_one(copied: Path) -> None:
    change_manifest(copied, earlier_layout, seal=False)
    with pytest.raises(OutdatedModelError, match=r"was written by an earlier version of this program\.$"):
        load_detector(copied)


@pytest.mark.parametrize("written", [FORMAT + 1, str(FORMAT), None, FORMAT + 0.5])
def test_a_model_of_an_unknown_layout_is_refused_and_not_taken_for_none(copied: Path, written: object) -> None:
    change_manifest(copied, lambda manifest: manifest.update(format=written), seal=False)
    with pytest.raises(ArtifactError, match="was written by another version of this program") as caught:
        load_detector(copied)
    assert not isinstance(caught.value, NoModelError | OutdatedModelError)
