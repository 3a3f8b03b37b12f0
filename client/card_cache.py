"""Model cards for the clinicians: rendered by the server, and kept in memory for when it is away."""

import re
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Final
from urllib.parse import urlsplit

from pydantic import ValidationError

from common.errors import InvalidModelCardError, NotFoundError, ServerUnreachableError
from common.rendered_card import VERSION_NAME, RenderedCard

TIMEOUT_SECONDS: Final = 5.0
_MAX_BYTES: Final = 16 * 1024 * 1024

_NO_COPY: Final = "This client app has no copy of the model card. Open it again later."
_COPY: Final = "This is the copy kept here; whether the version is still the active one is not known."
_UNKNOWN: Final = "The server knows no model version of this name. Open the card from a result."


class ModelCards:
    """The cards of the server, and those that were opened here; safe to share among threads."""

    def __init__(self, server_url: str, token: str) -> None:
        self._address = urlsplit(server_url)
        self._headers = {"Authorization": f"Bearer {token}"}
        self._kept: dict[str, RenderedCard] = {}

    def of(self, version: str | None) -> tuple[RenderedCard, str | None]:
        """Return the card of a version (of the active one for ``None``), and what to know of it if it is a copy.

        The server is asked first: a card's text can be corrected, and what was found to be damaged is not shown.

        Raises
        ------
        NotFoundError
            When the server has no such version.
        ServerUnreachableError, InvalidModelCardError
            When the server does not answer, or with something else, and there is no copy here.
        """
        if version is not None and not re.fullmatch(VERSION_NAME, version):
            raise NotFoundError(_UNKNOWN)
        try:
            card = self._asked(version)
        except (ServerUnreachableError, InvalidModelCardError) as error:
            if version not in self._kept:
                raise type(error)(f"{error.message} {_NO_COPY}") from error
            return self._kept[version].model_copy(update={"active": None}), f"{error.message} {_COPY}"
        self._kept[card.version] = card
        return card, None

    def _asked(self, version: str | None) -> RenderedCard:
        """Ask the server for a card with this client app's token; a redirect is not followed, and no proxy used."""
        kind = HTTPSConnection if self._address.scheme == "https" else HTTPConnection
        connection = kind(self._address.hostname or "", self._address.port, timeout=TIMEOUT_SECONDS)
        try:
            path = f"/api/model/{version}/page" if version else "/api/model/page"
            connection.request("GET", path, headers=self._headers)
            with connection.getresponse() as response:  # it holds the socket until it is read to its end or closed
                body = response.read(_MAX_BYTES)
        except (OSError, HTTPException) as error:
            raise ServerUnreachableError from error
        finally:
            connection.close()
        if response.status == NotFoundError.status:
            raise NotFoundError(_UNKNOWN)
        if response.status != 200:  # noqa: PLR2004 - OK
            raise ServerUnreachableError(
                f"The server answered the request for the model card with status {response.status}. "
                "Its dashboard may say why."
            )
        try:
            card = RenderedCard.model_validate_json(body)
        except ValidationError:
            raise InvalidModelCardError from None
        if version not in (None, card.version):
            raise InvalidModelCardError
        return card
