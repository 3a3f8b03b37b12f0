"""Versions: stored whole, listed with what is wrong with them, and made active in a step that a crash cannot halve."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from common.errors import ArtifactError
from config.secrets import PROJECT_ROOT
from server.registry.artifact import (
    ACTIVE_FILE,
    CARD_FILE,
    FOREST_FILE,
    MANIFEST_FILE,
    MODEL_FILES,
    PREPROCESSOR_FILE,
    VERSIONS_FOLDER,
    load_detector,
)
from server.registry.versions import activate, active_manifest, store_version, stored_versions
from tests.support.tampering import change_manifest, manifest_in

FILES = {*MODEL_FILES, CARD_FILE, MANIFEST_FILE}
SHOWN = {FOREST_FILE, PREPROCESSOR_FILE}
UNKNOWN = "20260102T030405Z-000000000000"
CRASHES = """
import os, sys
from itertools import count
from pathlib import Path
from server.registry.artifact import active_folder, read_files
from server.registry.versions import activate, store_version
folder, changes = Path(sys.argv[1]), sys.argv[2]
def act():
    if changes == "store":
        store_version(folder, {path.name: path.read_bytes() for path in Path(sys.argv[3]).iterdir()})
    else:
        activate(folder, sys.argv[3])
def crash_at(step):
    steps = count()
    def hook(event, arguments):
        writes = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if (writes or event in ("os.rename", "os.remove", "os.mkdir")) and next(steps) == step:
            os._exit(9)
    sys.addaudithook(hook)
for step in count():
    child = os.fork()
    if not child:
        crash_at(step)
        act()
        os._exit(0)
    if not os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        break
    whole, _ = read_files(active_folder(folder))
    print(whole.model_version, *sorted(path.name for path in (folder / "versions").glob("2*")))
"""
"""Makes a change again and again, each time cut off one step later, and prints what is active and stored then."""


class Both(NamedTuple):
    """The two versions in the folder: the active one, and one trained later."""

    active: str
    later: str


@pytest.fixture
def both(model_folder: Path, other_detector_dir: Path) -> Both:
    return Both(manifest_in(model_folder).model_version, manifest_in(other_detector_dir).model_version)


def contents_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name[0] != "."}


def folder_of(directory: Path, version: str) -> Path:
    return directory / VERSIONS_FOLDER / version


def crashed(folder: Path, change: str, what: str | Path) -> list[list[str]]:
    """Return, for each step of a change that was cut off, the active version and those stored."""
    command = [sys.executable, "-c", CRASHES, str(folder), change, str(what)]
    done = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.splitlines()]


def test_a_stored_version_is_whole_and_leaves_the_active_one(
    model_folder: Path, both: Both, other_detector_dir: Path
) -> None:
    shutil.rmtree(folder_of(model_folder, both.later))
    before, files = contents_of(model_folder), contents_of(folder_of(other_detector_dir, both.later))
    with pytest.raises(ArtifactError, match="The model cannot be written to"):
        store_version(model_folder, files | {"no/such/folder": b""})
    assert [version.name for version in stored_versions(model_folder)] == [both.active]
    assert store_version(model_folder, files) == both.later
    assert contents_of(folder_of(model_folder, both.later)) == files
    assert files.keys() == FILES
    assert contents_of(model_folder) == before
    assert sorted(path.name for path in (model_folder / VERSIONS_FOLDER).iterdir()) == list(both)


def test_activating_takes_a_version_and_goes_back_and_shows_the_two_files_that_people_look_for(
    model_folder: Path, both: Both
) -> None:
    for version in (both.later, both.active):
        assert activate(model_folder, version).model_version == version
        assert load_detector(model_folder).model_version == version
        on_top, stored = contents_of(model_folder), contents_of(folder_of(model_folder, version))
        assert on_top == {ACTIVE_FILE: f"{version}\n".encode()} | {name: stored[name] for name in SHOWN}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no fork")
@pytest.mark.parametrize("is_of_earlier_programs", [False, True])
def test_a_crash_at_any_step_of_a_switch_leaves_the_old_or_the_new_version_active_and_whole(
    model_folder: Path, both: Both, is_of_earlier_programs: bool
) -> None:
    if is_of_earlier_programs:  # the files on top, where they were before there was one that names the version
        for name in FILES:
            shutil.copyfile(folder_of(model_folder, both.active) / name, model_folder / name)
        (model_folder / ACTIVE_FILE).unlink()
        assert load_detector(model_folder).model_version == both.active
    active = [line[0] for line in crashed(model_folder, "activate", both.later)]
    assert set(active) == set(both)
    assert active == sorted(active)  # the names are in the order of their times: old, then new


@pytest.mark.skipif(os.name == "nt", reason="Windows has no fork")
def test_a_crash_at_any_step_of_storing_leaves_no_half_version(
    model_folder: Path, both: Both, other_detector_dir: Path
) -> None:
    shutil.rmtree(folder_of(model_folder, both.later))
    seen = crashed(model_folder, "store", folder_of(other_detector_dir, both.later))
    assert len(seen) > len(FILES)
    assert seen == [[both.active, both.active]] * len(seen)
    assert [version.refused for version in stored_versions(model_folder)] == [None, None]


@pytest.mark.parametrize("version", [UNKNOWN, "", "..", "../versions", "notes.txt", f"{UNKNOWN}/../x", "a\nb", "\0"])
def test_a_name_that_is_no_version_s_is_refused_with_what_to_run(model_folder: Path, both: Both, version: str) -> None:
    (model_folder / VERSIONS_FOLDER / "notes.txt").write_text("not a version")
    with pytest.raises(ArtifactError, match=r"(?s)There is no version .* python train_model\.py --list"):
        activate(model_folder, version)
    (model_folder / f".{ACTIVE_FILE}.unfinished").mkdir()  # in the way
    with pytest.raises(ArtifactError, match=f"Version {both.later} cannot be made active in"):
        activate(model_folder, both.later)
    assert load_detector(model_folder).model_version == both.active


def test_versions_are_listed_oldest_first_and_one_in_another_s_folder_is_not_used(
    model_folder: Path, both: Both
) -> None:
    change_manifest(folder_of(model_folder, both.later), lambda manifest: manifest["thresholds"].update(high=0.5))
    with pytest.raises(ArtifactError, match=f"The folder of version {both.later} holds version"):
        activate(model_folder, both.later)
    first, second = stored_versions(model_folder)
    assert (first.name, first.is_active, first.refused) == (both.active, True, None)
    assert first.manifest == active_manifest(model_folder)
    assert (second.name, second.is_active, second.manifest) == (both.later, False, None)
    assert "holds version" in str(second.refused)


@pytest.mark.parametrize("named", [UNKNOWN.encode(), b"../versions\xff"])
def test_an_active_version_that_is_not_stored_is_refused(model_folder: Path, named: bytes) -> None:
    (model_folder / ACTIVE_FILE).write_bytes(named)
    with pytest.raises(ArtifactError, match=rf"{ACTIVE_FILE} names no version that is stored here.*\.py --list"):
        load_detector(model_folder)
