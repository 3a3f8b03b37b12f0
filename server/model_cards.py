"""The model cards that can be had here: that of the version that scores now, and those of the stored versions."""

import re
from pathlib import Path

from pydantic import SecretStr

from config.errors import ArtifactError, NotFoundError
from config.model_card import VERSION_NAME, ModelCard
from server.anomaly.model_card import model_card
from server.anomaly.versions import manifest_of, version_names
from server.current_model import CurrentModel


class ModelCards:
    """Makes cards from manifests that were verified: in memory for the active version, on disk for the others."""

    def __init__(self, model: CurrentModel, folder: Path, *, key: SecretStr | None) -> None:
        self._model = model
        self._folder = folder
        self._key = key

    def active(self) -> ModelCard:
        """Return the card of the version that scores now."""
        return model_card(self._model.detector.manifest)

    def of(self, version: str) -> ModelCard:
        """Return the card of a version.

        Raises
        ------
        NotFoundError
            When it is unknown, or its files cannot be believed.
        """
        active = self._model.detector.manifest
        if version == active.model_version:
            return model_card(active)
        if not re.fullmatch(VERSION_NAME, version) or version not in version_names(self._folder):
            raise NotFoundError(
                "There is no model version of this name here. It may have been removed, or belong to another server."
            )
        try:
            return model_card(manifest_of(self._folder, version, key=self._key))
        except ArtifactError as error:
            raise NotFoundError(
                f"Model version {version} is stored here, but its files are damaged, were changed, come from another "
                "version of this program, or are not signed with this server's key, so nothing of it is shown. To see "
                "which: python train_model.py --list"
            ) from error

    def versions(self) -> list[str]:
        """Return the names of all versions there are, the newest first."""
        return sorted({*version_names(self._folder), self._model.detector.model_version}, reverse=True)
