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
from server.registry.artifact import load_detector
from server.registry.model_card import model_card
from tests.support.tampering import change_manifest, manifest_in, sign

KEY = SecretStr("k" * 32)
OTHER_KEY = SecretStr("k" * 31 + "l")
SECRET = "a-key-that-nobody-may-ever-see-in-a-log"


@pytest.fixture
def signed(model_folder: Path) -> Path:
    """A folder whose active version is signed with the key, and the other one is not signed."""
    sign(model_folder, KEY)
    return model_folder


def assert_refused(directory: Path, key: SecretStr = KEY) -> None:
    with pytest.raises(ArtifactError, match=r"manifest\.json is not signed with MODEL_SIGNING_KEY"):
        load_detector(directory, key=key)


def test_a_signed_model_keeps_its_name_and_loads_with_its_key_alone_or_without_any(
    signed: Path, detector_dir: Path
) -> None:
    assert manifest_in(signed).model_version == manifest_in(detector_dir).model_version
    assert load_detector(signed, key=KEY).manifest.signature is not None
    load_detector(signed)
    assert_refused(signed, OTHER_KEY)
    assert_refused(detector_dir)


ALTERATIONS: dict[str, Callable[[dict[str, Any]], object]] = {
    "stripped": lambda manifest: manifest.pop("signature"),
    "emptied": lambda manifest: manifest.update(signature=""),
    "one digit off": lambda manifest: manifest.update(signature="0" * 64),
    "not ASCII": lambda manifest: manifest.update(signature="é" * 64),
    "figures changed": lambda manifest: manifest["evaluation"].update(disease_free=1),
    "a file's hash changed": lambda manifest: manifest["files"].update({"isolation_forest.pkl": "0" * 64}),
}


@pytest.mark.parametrize("seal", [True, False], ids=["made to look unchanged", "as it is"])
@pytest.mark.parametrize("alteration", ALTERATIONS)
def test_an_altered_manifest_is_refused_by_its_signature(signed: Path, alteration: str, seal: bool) -> None:
    change_manifest(signed, ALTERATIONS[alteration], seal=seal)
    assert_refused(signed)


def test_neither_another_manifest_s_signature_nor_another_name_counts(
    detector_dir: Path, other_detector_dir: Path
) -> None:
    manifest, other = (manifest_in(folder).sealed(KEY) for folder in (detector_dir, other_detector_dir))
    assert manifest.is_signed_with(KEY)
    assert not manifest.model_copy(update={"signature": other.signature}).is_signed_with(KEY)
    assert not manifest.model_copy(update={"model_version": "20990101T000000Z-000000000000"}).is_signed_with(KEY)
    elsewhere = manifest.made_at.astimezone(timezone(timedelta(hours=9)))
    assert manifest.model_copy(update={"made_at": elsewhere}).expected_version().startswith("20260102T030405Z-")


def test_a_card_says_signed_only_where_the_signature_was_verified(signed: Path, detector_dir: Path) -> None:
    manifest = manifest_in(signed)
    forged = manifest.model_copy(update={"signature": "0" * 64})
    made = [(manifest, KEY), (manifest, None), (manifest, OTHER_KEY), (forged, KEY), (forged, None)]
    said = [model_card(of, key=key).model_details.signature for of, key in made]
    assert said == ["verified", *["not checked"] * 4]
    assert model_card(manifest_in(detector_dir), key=KEY).model_details.signature == "none"


@pytest.mark.parametrize("settings", [TrainingSettings, ServerSettings])
def test_a_key_shorter_than_32_characters_is_an_error_that_does_not_show_it(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    settings: type[TrainingSettings | ServerSettings],
) -> None:
    key = SECRET[:31]
    monkeypatch.setenv("MODEL_SIGNING_KEY", key)
    with pytest.raises(ValidationError) as caught:
        settings()
    with pytest.raises(SystemExit) as ended:
        train_model.main(["--list"])
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert "MODEL_SIGNING_KEY" in said.err
    assert key not in said.err + said.out + str(caught.value)


def test_the_key_is_never_printed_logged_or_written(
    monkeypatch: pytest.MonkeyPatch,
    model_folder: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("MODEL_SIGNING_KEY", SECRET)
    version, out = manifest_in(model_folder).model_version, ["--out", str(model_folder)]
    assert train_model.main(["--activate", version, *out]) == 1
    sign(model_folder, SecretStr(SECRET))
    assert train_model.main(["--activate", version, *out]) == 0
    assert train_model.main(["--list", *out]) == 0
    said = capsys.readouterr()
    assert f"* {version}  trained on" in said.out
    assert said.out.count("is not signed with MODEL_SIGNING_KEY") == 1
    assert SECRET not in said.out + said.err + caplog.text + repr(TrainingSettings()) + repr(ServerSettings())
    assert not [path for path in model_folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
