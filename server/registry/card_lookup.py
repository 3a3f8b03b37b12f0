"""The model cards there are: that of the version that scores now, and those of the stored versions."""

from pathlib import Path

from pydantic import SecretStr

from common.errors import ArtifactError, NotFoundError
from server.registry.artifact import VERSIONS_FOLDER, read_manifest, version_names
from server.registry.current_model import CurrentModel
from server.registry.model_card import ModelCard, model_card


class ModelCards:
    """Makes cards from verified manifests: in memory for the active version, on disk for the others."""

    def __init__(self, model: CurrentModel, folder: Path, *, key: SecretStr | None) -> None:
        self._model = model
        self._folder = folder
        self._key = key

    def of(self, version: str | None = None) -> ModelCard:
        """Return the card of a version, or of the one that scores now.

        Raises
        ------
        NotFoundError
            When it is unknown, or its manifest cannot be believed.
        """
        active = self._model.detector.manifest
        if version in (None, active.model_version):
            return model_card(active, key=self._key)
        if version not in self.versions():
            raise NotFoundError("There is no model version of this name on this server. It may have been removed.")
        try:
            manifest = read_manifest(self._folder / VERSIONS_FOLDER / version, key=self._key)
        except ArtifactError as error:
            raise NotFoundError(
                f"Model version {version} is stored here but cannot be used, so nothing of it is shown. To see why: "
                "python train_model.py --list"
            ) from error
        return model_card(manifest, key=self._key)

    def versions(self) -> list[str]:
        """Return the names of all versions there are, the newest first."""
        return sorted({*version_names(self._folder), self._model.detector.model_version}, reverse=True)
