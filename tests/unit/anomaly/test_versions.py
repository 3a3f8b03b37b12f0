"""Versions: each is stored whole, activated after it was verified, and listed with what is wrong with it."""

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from common.errors import ArtifactError, NoModelError
from server.anomaly.detector import Detector
from server.anomaly.manifest import Manifest
from server.registry import activation
from server.registry.activation import activate, store_version
from server.registry.artifact import (
    CALIBRATION_FILE,
    CARD_FILE,
    FOREST_FILE,
    MANIFEST_FILE,
    PREPROCESSOR_FILE,
    detector_of,
    load_detector,
)
from server.registry.versions import VERSIONS_FOLDER, active_manifest, load_active, stored_versions
from tests.support.model_versions import flip_a_byte, replace_files, swap, truncate
from tests.support.tampering import change_manifest, manifest_in

FILES = {FOREST_FILE, PREPROCESSOR_FILE, CALIBRATION_FILE, CARD_FILE, MANIFEST_FILE}
UNKNOWN = "20260102T030405Z-000000000000"


@pytest.fixture
def both(copied: Path, other_detector_dir: Path) -> tuple[str, str]:
    """The two versions that the folder ``copied`` then holds: the active one, and one trained later."""
    active, later = manifest_in(copied).model_version, manifest_in(other_detector_dir).model_version
    shutil.copytree(other_detector_dir / VERSIONS_FOLDER / later, copied / VERSIONS_FOLDER / later)
    return active, later


def contents_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name[0] != "."}


def folder_of(directory: Path, version: str) -> Path:
    return directory / VERSIONS_FOLDER / version


def test_a_stored_version_is_whole_and_leaves_the_active_one_as_it_is(
    copied: Path, other_detector_dir: Path, both: tuple[str, str]
) -> None:
    active, later = both
    shutil.rmtree(folder_of(copied, later))
    before = contents_of(copied)
    files = contents_of(folder_of(other_detector_dir, later))
    assert store_version(copied, files) == later
    assert contents_of(folder_of(copied, later)) == files
    assert set(files) == FILES
    assert contents_of(copied) == before
    assert sorted(path.name for path in (copied / VERSIONS_FOLDER).iterdir()) == [active, later]


def test_activating_puts_a_version_s_files_on_top_and_going_back_the_earlier_ones(
    copied: Path, both: tuple[str, str]
) -> None:
    earlier, later = both
    for version in (later, earlier, earlier):
        assert activate(copied, version).model_version == version
        assert contents_of(copied) == contents_of(folder_of(copied, version))
        assert load_detector(copied).model_version == version


def test_versions_are_listed_oldest_first_with_the_active_one_marked(copied: Path, both: tuple[str, str]) -> None:
    (copied / VERSIONS_FOLDER / "notes.txt").write_text("not a version")
    activate(copied, both[1])
    listed = stored_versions(copied)
    assert [(version.name, version.is_active, version.refused) for version in listed] == [
        (both[0], False, None),
        (both[1], True, None),
    ]
    assert [version.manifest for version in listed] == [manifest_in(folder_of(copied, name)) for name in both]


def test_a_folder_without_models_has_no_versions_and_no_active_one(tmp_path: Path) -> None:
    assert stored_versions(tmp_path / "nowhere") == []
    assert active_manifest(tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    "version", [UNKNOWN, "", ".", "..", "../versions", "notes.txt", f"{UNKNOWN}/../x", "a\nb", "\0"]
)
def test_a_name_that_is_no_version_s_is_refused_and_the_active_one_stays(
    copied: Path, both: tuple[str, str], version: str
) -> None:
    with pytest.raises(ArtifactError, match="There is no version"):
        activate(copied, version)
    assert load_detector(copied).model_version == both[0]


def test_who_names_an_unknown_version_is_told_how_to_see_those_there_are(copied: Path) -> None:
    with pytest.raises(ArtifactError) as caught:
        activate(copied, UNKNOWN)
    assert caught.value.message.endswith("To see those there are: python train_model.py --list")


def test_a_path_out_of_the_folder_is_no_version_even_if_a_model_is_there(
    copied: Path, other_detector_dir: Path
) -> None:
    before = contents_of(copied)
    for outside in (str(other_detector_dir), f"../../{other_detector_dir.name}", f"../{VERSIONS_FOLDER}/.."):
        with pytest.raises(ArtifactError, match="There is no version"):
            activate(copied, outside)
    assert contents_of(copied) == before


def test_a_folder_that_holds_another_version_than_its_name_says_is_not_activated(
    copied: Path, both: tuple[str, str]
) -> None:
    shutil.rmtree(folder_of(copied, both[0]))
    shutil.copytree(folder_of(copied, both[1]), folder_of(copied, both[0]))
    before = contents_of(copied)
    with pytest.raises(ArtifactError, match=f"The folder of version {both[0]} holds version {both[1]}"):
        activate(copied, both[0])
    assert contents_of(copied) == before
    listed = stored_versions(copied)[0]
    assert listed.manifest is None
    assert listed.refused is not None
    assert f"holds version {both[1]}" in listed.refused


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "forest": (lambda folder: flip_a_byte(folder / FOREST_FILE), f"{FOREST_FILE} is not the file"),
    "preprocessor": (lambda folder: truncate(folder / PREPROCESSOR_FILE), f"{PREPROCESSOR_FILE} is not the file"),
    "calibration": (lambda folder: (folder / CALIBRATION_FILE).unlink(), f"{CALIBRATION_FILE} is missing"),
    "manifest": (lambda folder: truncate(folder / MANIFEST_FILE), f"{MANIFEST_FILE} is damaged"),
    "no manifest": (lambda folder: (folder / MANIFEST_FILE).unlink(), "There is no trained model in"),
    "thresholds": (
        lambda folder: change_manifest(folder, lambda m: m["thresholds"].update(high=0.5), seal=False),
        "was changed after the model was made",
    ),
    "format": (
        lambda folder: change_manifest(folder, lambda m: m.pop("format"), seal=False),
        "was written by an earlier version",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_version_is_listed_with_the_reason_and_not_activated(
    copied: Path, both: tuple[str, str], damage: str
) -> None:
    inflict, reason = DAMAGES[damage]
    inflict(folder_of(copied, both[1]))
    before = contents_of(copied)
    with pytest.raises(ArtifactError, match=reason):
        activate(copied, both[1])
    assert contents_of(copied) == before
    intact, damaged = stored_versions(copied)
    assert (intact.refused, damaged.manifest) == (None, None)
    assert damaged.refused is not None
    assert reason in damaged.refused


def test_the_forest_of_another_version_in_its_folder_is_refused(copied: Path, both: tuple[str, str]) -> None:
    swap(FOREST_FILE, folder_of(copied, both[0]), folder_of(copied, both[1]))
    with pytest.raises(ArtifactError, match=f"{FOREST_FILE} is not the file that was written"):
        activate(copied, both[1])


def test_a_copy_that_was_interrupted_before_the_manifest_is_refused(copied: Path, both: tuple[str, str]) -> None:
    replace_files(folder_of(copied, both[1]), copied)
    assert manifest_in(copied).model_version == both[0]
    with pytest.raises(ArtifactError, match="is not the file that was written when the model was made"):
        load_detector(copied)
    assert activate(copied, both[1]).model_version == both[1]  # and the next activation mends it
    assert load_detector(copied).model_version == both[1]


def test_an_activation_that_fails_half_way_leaves_no_unfinished_files_and_a_model_that_is_refused(
    copied: Path, both: tuple[str, str]
) -> None:
    (copied / MANIFEST_FILE).rename(copied / "earlier.json")
    (copied / MANIFEST_FILE).mkdir()
    with pytest.raises(ArtifactError, match=f"Version {both[1]} cannot be copied to"):
        activate(copied, both[1])
    assert not [path for path in copied.iterdir() if path.name.startswith(f".{FOREST_FILE}")]
    assert not [path for path in copied.iterdir() if path.name.startswith(f".{MANIFEST_FILE}")]
    (copied / MANIFEST_FILE).rmdir()
    (copied / "earlier.json").rename(copied / MANIFEST_FILE)
    with pytest.raises(ArtifactError, match="is not the file that was written"):
        load_detector(copied)


def test_the_same_files_can_be_stored_twice_and_mend_what_was_damaged(copied: Path, both: tuple[str, str]) -> None:
    folder = folder_of(copied, both[1])
    files = contents_of(folder)
    truncate(folder / FOREST_FILE)
    (folder / "left over").write_text("of an earlier attempt")
    assert store_version(copied, files) == both[1]
    assert contents_of(folder) == files
    assert {path.name for path in (copied / VERSIONS_FOLDER).iterdir()} == set(both)


def test_a_store_that_fails_leaves_nothing_behind(copied: Path, both: tuple[str, str]) -> None:
    files = contents_of(folder_of(copied, both[0]))
    shutil.rmtree(folder_of(copied, both[0]))
    with pytest.raises(ArtifactError, match="The model cannot be written to"):
        store_version(copied, files | {"no/such/folder": b""})
    assert [path.name for path in (copied / VERSIONS_FOLDER).iterdir()] == [both[1]]


def test_a_folder_that_cannot_be_written_is_named(copied: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    files = contents_of(folder_of(copied, manifest_in(copied).model_version))
    with pytest.raises(ArtifactError, match=r"cannot be written to .*file"):
        store_version(tmp_path / "file", files)


def test_what_stands_beside_the_files_of_a_version_is_never_copied_on_top(copied: Path, both: tuple[str, str]) -> None:
    (folder_of(copied, both[1]) / "extra.pkl").write_bytes(b"unvouched")
    activate(copied, both[1])
    assert not (copied / "extra.pkl").exists()


def refusal_of(directory: Path) -> str:
    with pytest.raises(ArtifactError) as caught:
        load_active(directory)
    assert not isinstance(caught.value, NoModelError)
    return caught.value.message


def test_a_refused_model_is_refused_with_a_whole_version_to_activate_the_one_it_was_if_that_is_whole(
    copied: Path, both: tuple[str, str]
) -> None:
    flip_a_byte(copied / FOREST_FILE)
    assert refusal_of(copied).endswith(
        f"Version {both[0]} is stored whole. Run: python train_model.py --activate {both[0]}"
    )
    truncate(folder_of(copied, both[0]) / FOREST_FILE)
    assert refusal_of(copied).endswith(f"Run: python train_model.py --activate {both[1]}")
    truncate(folder_of(copied, both[1]) / FOREST_FILE)
    assert "to see why: python train_model.py --list" in refusal_of(copied)
    shutil.rmtree(copied / VERSIONS_FOLDER)
    assert refusal_of(copied).endswith("To make one anew: python train_model.py --data FILE")


def test_without_a_manifest_stored_versions_are_named_and_only_without_any_there_is_no_model(
    copied: Path, both: tuple[str, str]
) -> None:
    (copied / MANIFEST_FILE).unlink()
    assert refusal_of(copied).endswith(f"Run: python train_model.py --activate {both[1]}")
    shutil.rmtree(copied / VERSIONS_FOLDER)
    with pytest.raises(NoModelError, match=r"There is no trained model in .*\. Run: python train_model\.py$"):
        load_active(copied)


def test_two_who_activate_at_once_leave_one_version_whole_on_top(copied: Path, both: tuple[str, str]) -> None:
    failures: list[Exception] = []
    together = threading.Barrier(2)

    def activate_often(version: str) -> None:
        together.wait(60)
        for _ in range(5):
            try:
                assert activate(copied, version).model_version == version
            except (ArtifactError, OSError) as error:
                failures.append(error)

    threads = [threading.Thread(target=activate_often, args=(version,)) for version in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    assert failures == []
    assert contents_of(copied) == contents_of(folder_of(copied, load_detector(copied).model_version))


def test_what_was_left_by_those_who_were_cut_off_goes_with_the_next_activation(
    copied: Path, both: tuple[str, str]
) -> None:
    left = [copied / f".{FOREST_FILE}.4711", copied / VERSIONS_FOLDER / ".unfinished-a", copied / ".unfinished-b"]
    left[0].write_bytes(b"half")
    for folder in left[1:]:
        (folder / "files").mkdir(parents=True)
    activate(copied, both[1])
    assert not [path for path in left if path.exists()]


def test_what_is_copied_on_top_is_what_was_verified(
    copied: Path, both: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody changes the version's files after they were verified, and before they are copied."""
    whole = contents_of(folder_of(copied, both[1]))

    def load_and_tamper(manifest: Manifest, contents: dict[str, bytes]) -> Detector:
        for name in FILES:
            flip_a_byte(folder_of(copied, both[1]) / name)
        return detector_of(manifest, contents)

    monkeypatch.setattr(activation, "detector_of", load_and_tamper)
    activate(copied, both[1])
    assert contents_of(copied) == whole
    assert load_detector(copied).model_version == both[1]


def test_a_card_that_was_changed_is_listed_as_such_and_written_anew_by_an_activation(
    copied: Path, both: tuple[str, str]
) -> None:
    whole = contents_of(folder_of(copied, both[1]))
    flip_a_byte(folder_of(copied, both[1]) / CARD_FILE)
    (copied / CARD_FILE).unlink()
    assert [(version.refused, version.has_own_card) for version in stored_versions(copied)] == [(None, False)] * 2
    activate(copied, both[1])
    assert contents_of(copied) == contents_of(folder_of(copied, both[1])) == whole
    assert [version.has_own_card for version in stored_versions(copied)] == [True, True]


def test_a_version_that_cannot_be_written_anew_stays_as_it_is(copied: Path, both: tuple[str, str]) -> None:
    folder = folder_of(copied, both[1])
    files = contents_of(folder)
    with pytest.raises(ArtifactError, match="The model cannot be written to"):
        store_version(copied, files | {"no/such/folder": b""})
    assert contents_of(folder) == files
    (folder / CALIBRATION_FILE).unlink()
    (folder / CALIBRATION_FILE / "in the way").mkdir(parents=True)
    with pytest.raises(ArtifactError, match="The model cannot be written to"):
        store_version(copied, files)
    assert contents_of(folder) == {name: content for name, content in files.items() if name != CALIBRATION_FILE}
