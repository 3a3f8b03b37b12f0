"""The model cards that can be had here: that of the version that scores now, and those of the stored versions."""

import logging
from pathlib import Path

from pydantic import SecretStr

from common.errors import ArtifactError, NotFoundError
from server.registry.card_making import model_card
from server.registry.current_model import CurrentModel
from server.registry.model_card import ModelCard
from server.registry.versions import manifest_of, version_names

log = logging.getLogger(__name__)


class ModelCards:
    """Makes cards from manifests that were verified: in memory for the active version, on disk for the others.

    A card needs no other file of the model, so none is read.
    """

    def __init__(self, model: CurrentModel, folder: Path, *, key: SecretStr | None) -> None:
        self._model = model
        self._folder = folder
        self._key = key

    def of(self, version: str | None = None) -> ModelCard:
        """Return the card of a version, of the one that scores now where none is named.

        Raises
        ------
        NotFoundError
            When it is unknown, or its manifest cannot be believed.
        """
        active = self._model.detector.manifest
        if version in (None, active.model_version):
            return model_card(active, key=self._key)
        if version not in self._stored():
            raise NotFoundError(
                "There is no model version of this name here. It may have been removed, or belong to another server."
            )
        try:
            return model_card(manifest_of(self._folder, version, key=self._key), key=self._key)
        except ArtifactError as error:
            raise NotFoundError(
                f"Model version {version} is stored here, but its manifest is damaged, was changed, comes from another "
                "version of this program, or is not signed with this server's key, so nothing of it is shown. To see "
                "which: python train_model.py --list"
            ) from error

    def versions(self) -> list[str]:
        """Return the names of all versions there are, the newest first."""
        return sorted({*self._stored(), self._model.detector.model_version}, reverse=True)

    def _stored(self) -> list[str]:
        """Return the names of the stored versions; none where their folder cannot be read."""
        try:
            return version_names(self._folder)
        except ArtifactError as error:
            log.warning("only the card of the active version can be shown: %s", error.message)
            return []
