"""The files of a model: whatever is missing, altered or foreign is refused with the reason, and never unpickled."""

import io
import pickle
import shutil
import warnings
from collections.abc import Callable
from dataclasses import replace
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
    MODEL_FILES,
    PREPROCESSOR_FILE,
    active_folder,
    load_detector,
)
from server.registry.known_answers import made_up_patients
from tests.support.model_versions import flip_a_byte, replace_file, truncate
from tests.support.patients import real_patients
from tests.support.tampering import Trap, change_manifest, replace_and_vouch

Content = dict[str, Any]

NEEDED = sorted(set(Manifest.model_fields) - {"format", "model_version", "signature"})
CHANGED = "was changed after the model was made"
DAMAGED = "is damaged, or was written by another version"
OTHERS = "does not reproduce its known answers"


@pytest.fixture
def version(detector_dir: Path, tmp_path: Path) -> Path:
    """The files of one version, in a folder of the test's own that may hold another one as well."""
    return Path(shutil.copytree(active_folder(detector_dir), tmp_path / "version"))


def refusal_of(directory: Path) -> str:
    with pytest.raises(ArtifactError) as caught:
        load_detector(directory)
    assert not isinstance(caught.value, NoModelError | OutdatedModelError)
    return caught.value.message


def test_a_loaded_model_says_what_is_known_about_it(detector: Detector) -> None:
    assert detector.model_version.startswith("20260102T030405Z-")
    assert (detector.thresholds.medium, detector.thresholds.high) == (0.8, 0.95)
    assert detector.typical["age"] == 52
    assert detector.metrics["patients"] == 303
    assert detector.manifest.data.sha256 == real_patients().sha256
    assert set(detector.manifest.versions) == {"python", "scikit-learn", "numpy", "shap"}


def test_a_dozen_known_answers_are_kept_some_with_values_not_measured(detector: Detector) -> None:
    known = detector.manifest.known_answers
    assert len(known) == 12
    assert sum(bool(answer.record.imputed()) for answer in known) >= 3
    assert len({answer.raw_score for answer in known}) >= 10
    assert made_up_patients(detector.typical, 1) == made_up_patients(detector.typical, 1)
    assert made_up_patients(detector.typical, 1) != made_up_patients(detector.typical, 2)


def test_where_nothing_was_trained_there_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(NoModelError, match="There is no trained model"):
        load_detector(tmp_path / "nowhere")


@pytest.mark.parametrize("name", MODEL_FILES)
def test_a_file_that_is_missing_or_altered_is_refused(version: Path, other_detector_dir: Path, name: str) -> None:
    for inflict in (flip_a_byte, truncate):
        inflict(version / name)
        assert f"{name} is not the file that was written" in refusal_of(version)
    replace_file(active_folder(other_detector_dir) / name, version)
    assert f"{name} is not the file that was written" in refusal_of(version)
    (version / name).unlink()
    assert f"{name} is missing" in refusal_of(version)


@pytest.mark.parametrize("last", MODEL_FILES)
def test_nothing_is_unpickled_before_every_hash_was_right(version: Path, tmp_path: Path, last: str) -> None:
    """Two files are traps that the manifest vouches for, and the third is one that it does not vouch for."""
    trap = pickle.dumps(Trap(tmp_path / "mark"))
    for name in {*MODEL_FILES} - {last}:
        replace_and_vouch(version, name, trap)
    (version / last).write_bytes(trap)
    assert f"{last} is not the file" in refusal_of(version)
    assert not (tmp_path / "mark").exists()
    pickle.loads(trap)  # noqa: S301 the trap itself works
    assert (tmp_path / "mark").exists()


def test_a_calibration_is_never_unpickled_whatever_vouches_for_it(version: Path, tmp_path: Path) -> None:
    content = io.BytesIO()
    np.savez(content, np.array([Trap(tmp_path / "mark")], dtype=object))
    for trap in (pickle.dumps(Trap(tmp_path / "mark")), content.getvalue()):
        replace_and_vouch(version, CALIBRATION_FILE, trap)
        assert OTHERS in refusal_of(version)
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (PREPROCESSOR_FILE, b"no pickle at all"),
        (FOREST_FILE, pickle.dumps(["not", "a", "forest"])),
        (CALIBRATION_FILE, pickle.dumps([0.4])),
    ],
)
def test_a_vouched_file_with_something_else_in_it_is_refused(version: Path, name: str, content: bytes) -> None:
    replace_and_vouch(version, name, content)
    assert OTHERS in refusal_of(version)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.InconsistentVersionWarning")
def test_a_model_of_another_scikit_learn_counts_if_it_reproduces_its_answers(version: Path, detector: Detector) -> None:
    buffer = io.BytesIO()
    joblib.dump(detector.model.forest, buffer)
    here = detector.manifest.versions["scikit-learn"].encode()
    assert here in buffer.getvalue()
    replace_and_vouch(version, FOREST_FILE, buffer.getvalue().replace(here, b"9" * len(here)))
    before = list(warnings.filters)
    patients = made_up_patients(detector.typical, 0)
    assert load_detector(version).assess(patients) == detector.assess(patients)
    assert warnings.filters == before  # they are the whole process's, in which other threads score patients


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"7", b"\xff\xfe", b"[" * 100_000])
def test_an_unreadable_manifest_is_refused(version: Path, content: bytes) -> None:
    (version / MANIFEST_FILE).write_bytes(content)
    assert DAMAGED in refusal_of(version)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        *((lambda manifest, part=part: manifest.pop(part), DAMAGED) for part in NEEDED),
        (lambda manifest: manifest["known_answers"].clear(), DAMAGED),
        (lambda manifest: manifest["thresholds"].update(high=0.5), CHANGED),
        (lambda manifest: manifest["evaluation"].update(disease_free=1), CHANGED),
        *((lambda manifest, name=name: manifest.update(model_version=name), CHANGED) for name in ("", "../elsewhere")),
        (lambda manifest: manifest.update(format=FORMAT + 1), "was written by another version"),
        *((lambda manifest, to=to: manifest.update(format=to), DAMAGED) for to in (str(FORMAT), None, FORMAT + 0.5)),
    ],
)
def test_a_manifest_that_was_changed_by_hand_is_refused(
    version: Path, change: Callable[[Content], object], reason: str
) -> None:
    change_manifest(version, change, seal=False)
    assert reason in refusal_of(version)


@pytest.mark.parametrize("part", ["raw_score", "anomaly_score", "base_value"])
def test_a_known_answer_off_by_a_little_is_refused(version: Path, part: str) -> None:
    def nudge(manifest: Content) -> None:
        manifest["known_answers"][3][part] += 2e-9

    change_manifest(version, nudge)
    assert OTHERS in refusal_of(version)


def test_a_contribution_off_by_a_little_takes_the_explanations_away_and_no_score(
    version: Path, detector: Detector
) -> None:
    def nudge(manifest: Content) -> None:
        manifest["known_answers"][11]["contributions"]["thallium_scan"] -= 2e-9

    change_manifest(version, nudge)
    patients = made_up_patients(detector.typical, 1)
    assert all(len(said.contributions) == 13 for said in detector.assess(patients))
    assert load_detector(version).assess(patients) == [
        replace(said, contributions={}) for said in detector.assess(patients)
    ]


def test_a_model_of_an_earlier_version_of_this_program_is_told_from_none_and_from_a_damaged_one(version: Path) -> None:
    def earlier_layout(manifest: Content) -> None:
        """Make it what versions of this program wrote that had no number of their layout."""
        del manifest["format"]
        manifest["trained_at"] = manifest.pop("made_at")
        manifest["files"].pop(CALIBRATION_FILE)

    change_manifest(version, earlier_layout, seal=False)
    with pytest.raises(OutdatedModelError, match=r"was written by an earlier version of this program\.$"):
        load_detector(version)
