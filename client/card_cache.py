"""Model cards for the clinicians: asked of the server, checked, and kept on disk for when it is away."""

import logging
import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

from pydantic import ValidationError

from client.server_api import ServerApi
from common.errors import InvalidModelCardError, NotFoundError, ServerUnreachableError
from common.model_card import VERSION_NAME, ModelCard

log = logging.getLogger(__name__)

_UNFINISHED = ".unfinished-"

_NO_COPY = "This client app has no copy of the model card: open it again later."
_COPY = "This is the copy kept here; whether the version is still the active one is not known."
_UNKNOWN = "There is no model version of this name that the server can vouch for. Open the card from a result."


@dataclass(frozen=True)
class FoundCard:
    """A card; ``active`` names the version that scores now, or ``note`` says why that is not known."""

    card: ModelCard
    active: str | None
    note: str | None = None


class ModelCards:
    """The last cards that were looked at, one file each; safe to share among threads.

    The server is asked first: a card's text can be corrected, and what was found to be damaged is not shown.
    """

    MOST_KEPT: Final = 20

    def __init__(self, server: ServerApi, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._keeping = threading.Lock()

    def active(self) -> FoundCard:
        """Return the card of the version that scores now.

        Raises
        ------
        ServerUnreachableError, InvalidModelCardError
            When the server does not answer, or with something else.
        """
        card = self._asked("/api/model")
        return FoundCard(card, card.version)

    def of(self, version: str) -> FoundCard:
        """Return the card of the version that made a result.

        Raises
        ------
        NotFoundError
            When the server has no such version.
        ServerUnreachableError, InvalidModelCardError
            When the server does not answer, or with something else, and there is no copy here.
        """
        if not re.fullmatch(VERSION_NAME, version):
            raise NotFoundError(_UNKNOWN)
        try:
            active = self._asked("/api/model")
            wanted = active if active.version == version else self._asked(f"/api/model/{version}")
        except (ServerUnreachableError, InvalidModelCardError) as error:
            kept = self._kept(version)
            if kept is None:
                raise type(error)(f"{error.message} {_NO_COPY}") from error
            return FoundCard(kept, None, f"{error.message} {_COPY}")
        if wanted.version != version:
            raise InvalidModelCardError
        return FoundCard(wanted, active.version)

    def _asked(self, path: str) -> ModelCard:
        """Ask the server for a card, check it against the schema, and keep it."""
        status, body = self._server.get(path)
        if status == NotFoundError.status:
            raise NotFoundError(_UNKNOWN)
        if status != 200:  # noqa: PLR2004 - OK
            raise ServerUnreachableError(
                f"The server answered the question for the model card with status {status}. Its dashboard may say why."
            )
        card = _checked(body)
        if card is None:
            raise InvalidModelCardError
        self._keep(card)
        return card

    def _kept(self, version: str) -> ModelCard | None:
        try:
            content = self._file(version).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            log.warning("a model card kept here cannot be read: %s", error.strerror)
            return None
        card = _checked(content)
        return card if card is not None and card.version == version else None

    def _keep(self, card: ModelCard) -> None:
        """Write a card down, whole or not at all; a disk that takes nothing does not keep it from being shown."""
        try:
            with self._keeping:
                self._write(card)
        except OSError as error:
            log.warning("the model card cannot be kept here: %s", error.strerror)

    def _write(self, card: ModelCard) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            with NamedTemporaryFile(dir=self._folder, prefix=_UNFINISHED, delete=False) as file:
                file.write(card.model_dump_json().encode())
            Path(file.name).replace(self._file(card.version))
        finally:
            _remove(self._folder.glob(f"{_UNFINISHED}*"))
        newest_first = sorted(self._folder.glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
        _remove(newest_first[self.MOST_KEPT :])

    def _file(self, version: str) -> Path:
        return self._folder / f"{version}.json"


def _remove(files: Iterable[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)


def _checked(content: bytes) -> ModelCard | None:
    """Return the card that some bytes are, ``None`` if they do not fit the schema."""
    try:
        card = ModelCard.model_validate_json(content)
    except ValidationError:
        return None
    return card if re.fullmatch(VERSION_NAME, card.version) else None
