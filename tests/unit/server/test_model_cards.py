"""The cards that can be had: of the active version always, of the stored ones as far as they can be read."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from common.errors import ArtifactError, NotFoundError
from server.registry.artifact import load_detector
from server.registry.card_lookup import ModelCards
from server.registry.current_model import CurrentModel
from server.registry.versions import VERSIONS_FOLDER, version_names

NOBODY = 65534


@pytest.fixture
def closed_folder(model_folder: Path) -> Iterator[Path]:
    """A folder whose versions this process may not list, whoever runs it."""
    versions, user = model_folder / VERSIONS_FOLDER, os.geteuid()
    versions.chmod(0)
    os.seteuid(user or NOBODY)
    yield model_folder
    os.seteuid(user)
    versions.chmod(0o700)


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_where_the_versions_cannot_be_listed_the_active_one_has_its_card_and_the_others_none(
    model_folder: Path, other_detector_dir: Path, request: pytest.FixtureRequest
) -> None:
    model = CurrentModel(model_folder, load=load_detector, clock=lambda: datetime.now(UTC), seconds=3600)
    other = load_detector(other_detector_dir).model_version
    cards = ModelCards(model, model_folder, key=None)
    assert len(cards.versions()) == 2
    folder = request.getfixturevalue("closed_folder")
    with pytest.raises(ArtifactError, match=rf"The versions in .*{VERSIONS_FOLDER} cannot be read"):
        version_names(folder)
    assert cards.versions() == [model.detector.model_version] == [cards.of().version]
    with pytest.raises(NotFoundError, match="There is no model version of this name here"):
        cards.of(other)
