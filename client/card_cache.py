"""Model cards for the clinicians: rendered by the server, and kept on disk for when it is away."""

import logging
import re
import threading
from pathlib import Path

from pydantic import ValidationError

from client.server_api import ServerApi
from common.errors import InvalidModelCardError, NotFoundError, ServerUnreachableError
from common.rendered_card import VERSION_NAME, RenderedCard

log = logging.getLogger(__name__)

_NO_COPY = "This client app has no copy of the model card. Open it again later."
_COPY = "This is the copy kept here; whether the version is still the active one is not known."
_UNKNOWN = "The server knows no model version of this name. Open the card from a result."


class ModelCards:
    """The cards that were looked at, one file each; safe to share among threads.

    The server is asked first: a card's text can be corrected, and what was found to be damaged is not shown.
    """

    def __init__(self, server: ServerApi, folder: Path) -> None:
        self._server = server
        self._folder = folder

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
            return self._asked(f"/api/model/{version}/page", version), None
        except (ServerUnreachableError, InvalidModelCardError) as error:
            try:
                kept = RenderedCard.model_validate_json((self._folder / f"{version}.json").read_bytes())
            except (OSError, ValidationError):
                raise type(error)(f"{error.message} {_NO_COPY}") from error
            return kept.model_copy(update={"active": None}), f"{error.message} {_COPY}"

    def _asked(self, path: str, version: str | None = None) -> RenderedCard:
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
        if version not in (None, card.version):
            raise InvalidModelCardError
        try:
            self._keep(card.version, body)
        except OSError as error:  # the disk takes nothing; it can be shown all the same
            log.warning("the model card cannot be kept here: %s", error.strerror)
        return card

    def _keep(self, version: str, body: bytes) -> None:
        """Write a card down, whole or not at all."""
        self._folder.mkdir(parents=True, exist_ok=True)
        unfinished = self._folder / f".unfinished-{threading.get_ident()}"
        unfinished.write_bytes(body)
        unfinished.replace(self._folder / f"{version}.json")
