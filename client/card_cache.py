"""Model cards for the clinicians: rendered by the server, and kept on disk for when it is away."""

import logging
import re
import threading
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

from pydantic import ValidationError

from client.server_api import ServerApi
from common.errors import InvalidModelCardError, NotFoundError, ServerUnreachableError
from common.rendered_card import VERSION_NAME, RenderedCard

log = logging.getLogger(__name__)

_UNFINISHED = ".unfinished-"

_NO_COPY = "This client app has no copy of the model card: open it again later."
_COPY = "This is the copy kept here; whether the version is still the active one is not known."
_UNKNOWN = "There is no model version of this name that the server can vouch for. Open the card from a result."


class ModelCards:
    """The last cards that were looked at, one file each; safe to share among threads.

    The server is asked first: a card's text can be corrected, and what was found to be damaged is not shown.
    """

    MOST_KEPT: Final = 20

    def __init__(self, server: ServerApi, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._keeping = threading.Lock()

    def of(self, version: str | None) -> tuple[RenderedCard, str | None]:
        """Return the card of a version (of the active one for ``None``), and what to know of it if it is a copy.

        Raises
        ------
        NotFoundError
            When the server has no such version.
        ServerUnreachableError, InvalidModelCardError
            When the server does not answer, or with something else, and there is no copy here.
        """
        if version is None:
            return self._asked("/api/model/page"), None
        if not re.fullmatch(VERSION_NAME, version):
            raise NotFoundError(_UNKNOWN)
        try:
            card = self._asked(f"/api/model/{version}/page")
        except (ServerUnreachableError, InvalidModelCardError) as error:
            kept = self._kept(version)
            if kept is None:
                raise type(error)(f"{error.message} {_NO_COPY}") from error
            return kept.model_copy(update={"active": None}), f"{error.message} {_COPY}"
        if card.version != version:
            raise InvalidModelCardError
        return card, None

    def _asked(self, path: str) -> RenderedCard:
        """Ask the server for a card, and keep it."""
        status, body = self._server.get(path)
        if status == NotFoundError.status:
            raise NotFoundError(_UNKNOWN)
        if status != 200:  # noqa: PLR2004 - OK
            raise ServerUnreachableError(
                f"The server answered the question for the model card with status {status}. Its dashboard may say why."
            )
        try:
            card = RenderedCard.model_validate_json(body)
        except ValidationError:
            raise InvalidModelCardError from None
        try:
            with self._keeping:
                self._keep(card.version, body)
        except OSError as error:  # the disk takes nothing; it can be shown all the same
            log.warning("the model card cannot be kept here: %s", error.strerror)
        return card

    def _kept(self, version: str) -> RenderedCard | None:
        try:
            card = RenderedCard.model_validate_json(self._file(version).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None
        except OSError as error:
            log.warning("a model card kept here cannot be read: %s", error.strerror)
            return None
        return card if card.version == version else None

    def _keep(self, version: str, body: bytes) -> None:
        """Write a card down, whole or not at all."""
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            with NamedTemporaryFile(dir=self._folder, prefix=_UNFINISHED, delete=False) as file:
                file.write(body)
            Path(file.name).replace(self._file(version))
        finally:
            for unfinished in self._folder.glob(f"{_UNFINISHED}*"):
                unfinished.unlink(missing_ok=True)
        newest_first = sorted(self._folder.glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
        for old in newest_first[self.MOST_KEPT :]:
            old.unlink(missing_ok=True)

    def _file(self, version: str) -> Path:
        return self._folder / f"{version}.json"
