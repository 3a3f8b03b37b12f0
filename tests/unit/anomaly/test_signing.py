"""Signed models: with a key, nothing is believed that was not signed with it."""

import logging
from collections.abc import Callable
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

import train_model
from common.errors import ArtifactError
from config.settings import ServerSettings, TrainingSettings
from server.anomaly.manifest import Manifest
from server.registry.activation import activate
from server.registry.artifact import MANIFEST_FILE, load_detector
from server.registry.card_making import model_card
from server.registry.versions import VERSIONS_FOLDER, stored_versions
from tests.support.model_versions import replace_file
from tests.support.tampering import change_manifest, manifest_in, sign

KEY = SecretStr("k" * 32)
OTHER_KEY = SecretStr("k" * 31 + "l")
SECRET = "a-key-that-nobody-may-ever-see-in-a-log"


@pytest.fixture
def signed(copied: Path) -> Path:
    """A folder with one version, signed with the key."""
    sign(version_folder(copied), KEY)
    replace_file(version_folder(copied) / MANIFEST_FILE, copied)
    return copied


def version_folder(directory: Path) -> Path:
    return directory / VERSIONS_FOLDER / manifest_in(directory).model_version


def is_refused(directory: Path, key: SecretStr = KEY) -> bool:
    with pytest.raises(ArtifactError, match=r"manifest\.json is not signed with MODEL_SIGNING_KEY"):
        load_detector(directory, key=key)
    return True


def test_a_signed_model_loads_with_its_key_and_without_any(signed: Path) -> None:
    assert load_detector(signed, key=KEY).manifest.signature is not None
    assert load_detector(signed).model_version == load_detector(signed, key=KEY).model_version


def test_signing_leaves_the_version_s_name(detector_dir: Path, signed: Path) -> None:
    assert manifest_in(signed).model_version == manifest_in(detector_dir).model_version


def test_an_unsigned_model_is_refused_where_there_is_a_key(copied: Path) -> None:
    assert is_refused(copied)
    load_detector(copied)


def test_a_model_signed_with_another_key_is_refused(signed: Path) -> None:
    assert is_refused(signed, OTHER_KEY)
    sign(signed, OTHER_KEY)
    assert is_refused(signed, KEY)
    load_detector(signed, key=OTHER_KEY)


def flatter(manifest: dict[str, Any]) -> None:
    manifest["evaluation"]["figures"]["auroc"]["ours"]["value"] = 0.999


ALTERATIONS: dict[str, Callable[[dict[str, Any]], object]] = {
    "stripped": lambda manifest: manifest.pop("signature"),
    "emptied": lambda manifest: manifest.update(signature=""),
    "made null": lambda manifest: manifest.update(signature=None),
    "one digit off": lambda manifest: manifest.update(signature="0" * 64),
    "not ASCII": lambda manifest: manifest.update(signature="é" * 64),
    "figures changed": flatter,
    "thresholds changed": lambda manifest: manifest["thresholds"].update(high=0.5),
    "a file's hash changed": lambda manifest: manifest["files"].update({"isolation_forest.pkl": "0" * 64}),
}


@pytest.mark.parametrize("seal", [True, False], ids=["made to look unchanged", "as it is"])
@pytest.mark.parametrize("alteration", ALTERATIONS)
def test_an_altered_manifest_is_refused_by_its_signature(signed: Path, alteration: str, seal: bool) -> None:
    change_manifest(signed, ALTERATIONS[alteration], seal=seal)
    assert is_refused(signed)


def test_the_signature_of_another_manifest_does_not_count(signed: Path, other_detector_dir: Path) -> None:
    other = manifest_in(other_detector_dir).sealed(KEY).signature
    assert other is not None
    change_manifest(signed, lambda manifest: manifest.update(signature=other), seal=False)
    assert is_refused(signed)


def test_an_earlier_version_s_name_cannot_be_given_to_another_content(detector_dir: Path) -> None:
    """The signature covers the name as well, so that neither can be exchanged."""
    manifest = manifest_in(detector_dir).sealed(KEY)
    renamed = manifest.model_copy(update={"model_version": "20990101T000000Z-000000000000"})
    assert manifest.is_signed_with(KEY)
    assert not renamed.is_signed_with(KEY)


def test_with_a_key_only_signed_versions_are_activated_and_listed_as_usable(
    signed: Path, other_detector_dir: Path
) -> None:
    unsigned = version_folder(other_detector_dir)
    (signed / VERSIONS_FOLDER / unsigned.name).mkdir()
    for path in unsigned.iterdir():
        (signed / VERSIONS_FOLDER / unsigned.name / path.name).write_bytes(path.read_bytes())
    with pytest.raises(ArtifactError, match="is not signed with MODEL_SIGNING_KEY"):
        activate(signed, unsigned.name, key=KEY)
    assert load_detector(signed, key=KEY).manifest.signature is not None
    refused = [version.refused for version in stored_versions(signed, key=KEY)]
    assert refused[0] is None
    assert refused[1] is not None
    assert "not signed" in refused[1]
    assert [version.refused for version in stored_versions(signed)] == [None, None]


def test_a_card_says_signed_only_where_the_signature_was_verified(signed: Path, detector_dir: Path) -> None:
    manifest = manifest_in(signed)
    forged = manifest.model_copy(update={"signature": "0" * 64})
    made = [(manifest, KEY), (manifest, None), (manifest, OTHER_KEY), (forged, KEY), (forged, None)]
    said = [model_card(of, key=key).model_details.signature for of, key in made]
    assert said == ["verified", *["not checked"] * 4]
    assert model_card(manifest_in(detector_dir), key=KEY).model_details.signature == "none"


def test_a_version_s_name_is_the_same_wherever_it_was_made(detector_dir: Path) -> None:
    manifest = manifest_in(detector_dir)
    elsewhere = manifest.made_at.astimezone(timezone(timedelta(hours=9)))
    name = manifest.model_copy(update={"made_at": elsewhere}).expected_version()
    assert name.startswith("20260102T030405Z-")


def test_a_manifest_sealed_without_a_key_has_no_signature(detector_dir: Path) -> None:
    manifest: Manifest = manifest_in(detector_dir).sealed(None)
    assert manifest.signature is None
    assert not manifest.is_signed_with(KEY)


@pytest.mark.parametrize("settings", [TrainingSettings, ServerSettings])
@pytest.mark.parametrize("key", ["secret", "x" * 31])
def test_a_key_shorter_than_32_characters_is_a_settings_error_that_does_not_show_it(
    monkeypatch: pytest.MonkeyPatch, settings: type[TrainingSettings | ServerSettings], key: str
) -> None:
    monkeypatch.setenv("MODEL_SIGNING_KEY", key)
    with pytest.raises(ValidationError) as caught:
        settings()
    assert "signing_key" in str(caught.value)
    assert key not in str(caught.value)


def test_a_short_key_ends_the_command_with_the_setting_s_name_and_without_its_value(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MODEL_SIGNING_KEY", SECRET[:20])
    with pytest.raises(SystemExit) as ended:
        train_model.main(["--list"])
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert "MODEL_SIGNING_KEY" in said.err
    assert SECRET[:20] not in said.err + said.out


def test_the_key_is_never_printed_logged_or_written(
    monkeypatch: pytest.MonkeyPatch,
    copied: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("MODEL_SIGNING_KEY", SECRET)
    version = manifest_in(copied).model_version
    assert train_model.main(["--activate", version, "--out", str(copied)]) == 1
    sign(version_folder(copied), SecretStr(SECRET))
    assert train_model.main(["--activate", version, "--out", str(copied)]) == 0
    assert train_model.main(["--list", "--out", str(copied)]) == 0
    said = capsys.readouterr()
    assert version in said.out
    assert SECRET not in said.out + said.err + caplog.text + repr(TrainingSettings()) + repr(ServerSettings())
    assert not [path for path in copied.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
