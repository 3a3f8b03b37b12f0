"""The files of a model: whatever is missing, altered, foreign or wrongly signed is refused, and never unpickled."""

import io
import logging
import pickle
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from pydantic import SecretStr

import train_model
from common.errors import ArtifactError, NoModelError, OutdatedModelError
from config.settings import ServerSettings, TrainingSettings
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
from server.registry.model_card import model_card
from tests.support.model_versions import flip_a_byte, replace_file, truncate
from tests.support.tampering import Trap, change_manifest, manifest_in, replace_and_vouch, sign

Content = dict[str, Any]
Change = Callable[[Content], object]

NEEDED = sorted(set(Manifest.model_fields) - {"format", "model_version", "signature"})
CHANGED = "was changed after the model was made"
DAMAGED = "is damaged, or was written by another version"
OTHERS = "does not reproduce its known answers"
UNSIGNED = "manifest.json is not signed with MODEL_SIGNING_KEY"

KEY = SecretStr("k" * 32)
OTHER_KEY = SecretStr("k" * 31 + "l")
SECRET = "a-key-that-nobody-may-ever-see-in-a-log"


@pytest.fixture
def version(detector_dir: Path, tmp_path: Path) -> Path:
    """The files of one version, in a folder of the test's own."""
    return Path(shutil.copytree(active_folder(detector_dir), tmp_path / "version"))


def refusal_of(directory: Path, key: SecretStr | None = None) -> str:
    with pytest.raises(ArtifactError) as caught:
        load_detector(directory, key=key)
    assert not isinstance(caught.value, NoModelError | OutdatedModelError)
    assert "python train_model.py --list" in caught.value.message
    return caught.value.message


def test_known_answers_are_many_and_of_patients_with_gaps_too(detector: Detector) -> None:
    known = detector.manifest.known_answers
    assert len({answer.raw_score for answer in known}) >= 10
    assert sum(bool(answer.record.imputed()) for answer in known) >= 3


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
        (PREPROCESSOR_FILE, b"\x78\x9cdamaged within the compression"),
        (FOREST_FILE, pickle.dumps(["not", "a", "forest"])),
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
        *((lambda manifest, to=to: manifest.update(format=to), DAMAGED) for to in (FORMAT + 1, str(FORMAT), None)),
    ],
)
def test_a_manifest_that_was_changed_by_hand_is_refused(version: Path, change: Change, reason: str) -> None:
    change_manifest(version, change, seal=False)
    assert reason in refusal_of(version)


@pytest.mark.parametrize("part", ["raw_score", "anomaly_score", "base_value"])
def test_a_known_answer_off_by_a_little_is_refused(version: Path, part: str) -> None:
    def nudge(manifest: Content) -> None:
        manifest["known_answers"][11][part] += 2e-9  # twice what is allowed

    change_manifest(version, nudge)
    assert OTHERS in refusal_of(version)


def test_a_model_of_a_program_that_had_no_number_of_its_layout_is_told_from_a_damaged_one(version: Path) -> None:
    change_manifest(version, lambda manifest: manifest.pop("format"), seal=False)
    with pytest.raises(OutdatedModelError, match=r"was written by an earlier version of this program\."):
        load_detector(version)


def test_a_signed_model_keeps_its_name_and_loads_with_its_key_alone_or_without_any(
    version: Path, detector: Detector
) -> None:
    assert UNSIGNED in refusal_of(version, KEY)
    sign(version, KEY)
    assert load_detector(version, key=KEY).model_version == detector.model_version
    load_detector(version)
    assert UNSIGNED in refusal_of(version, OTHER_KEY)


ALTERATIONS: dict[str, Change] = {
    "stripped": lambda manifest: manifest.pop("signature"),
    "one digit off": lambda manifest: manifest.update(signature="0" * 64),
    "not ASCII": lambda manifest: manifest.update(signature="é" * 64),
    "figures changed": lambda manifest: manifest["evaluation"].update(disease_free=1),
    "a file's hash changed": lambda manifest: manifest["files"].update({"isolation_forest.pkl": "0" * 64}),
}


@pytest.mark.parametrize("seal", [True, False], ids=["made to look unchanged", "as it is"])
@pytest.mark.parametrize("alteration", ALTERATIONS)
def test_an_altered_manifest_is_refused_by_its_signature(version: Path, alteration: str, seal: bool) -> None:
    sign(version, KEY)
    change_manifest(version, ALTERATIONS[alteration], seal=seal)
    assert UNSIGNED in refusal_of(version, KEY)


def test_a_card_says_signed_only_where_the_signature_was_verified(detector: Detector) -> None:
    manifest = detector.manifest.sealed(KEY)
    forged = manifest.model_copy(update={"signature": "0" * 64})
    made = [(manifest, KEY), (manifest, None), (manifest, OTHER_KEY), (forged, KEY), (detector.manifest, KEY)]
    said = [model_card(of, key=key)["model_details"]["signature"] for of, key in made]
    assert said == ["verified", *["not checked"] * 3, "none"]


def test_a_key_is_never_shown_logged_or_written_and_too_short_a_one_is_an_error(
    monkeypatch: pytest.MonkeyPatch, model_folder: Path, capsys: pytest.CaptureFixture[str], caplog: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("MODEL_SIGNING_KEY", SECRET)
    version, out = manifest_in(model_folder).model_version, ["--out", str(model_folder)]
    sign(model_folder, SecretStr(SECRET))
    assert train_model.main(["--activate", version, *out]) == train_model.main(["--list", *out]) == 0
    said = capsys.readouterr()
    assert said.out.count("is not signed with MODEL_SIGNING_KEY") == 1
    assert SECRET not in said.out + said.err + caplog.text + repr(TrainingSettings()) + repr(ServerSettings())
    assert not [path for path in model_folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    monkeypatch.setenv("MODEL_SIGNING_KEY", SECRET[:31])
    with pytest.raises(SystemExit):
        train_model.main(["--list"])
    error = capsys.readouterr().err
    assert "MODEL_SIGNING_KEY" in error
    assert SECRET[:31] not in error
