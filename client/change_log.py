"""Reading this client app's entries of the server's change log over HTTP, for what the standing link missed."""

from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Final
from urllib.parse import urlsplit

import orjson

from config.errors import InvalidMessageError, ServerUnreachableError
from config.messages import Changes

PAGE_ENTRIES: Final = 100
TIMEOUT_SECONDS: Final = 5.0
_MAX_BYTES: Final = 16 * 1024 * 1024


class ChangeLogReader:
    """Asks one server with one client app's token; it follows no redirect and uses no proxy."""

    def __init__(self, server_url: str, token: str) -> None:
        self._address = urlsplit(server_url)
        self._token = token

    def read(self, after: int) -> Changes:
        """Return the entries that follow ``after``, ascending, at most ``PAGE_ENTRIES``.

        Raises
        ------
        ServerUnreachableError
            When the server does not answer within ``TIMEOUT_SECONDS``, or not with the entries.
        InvalidMessageError
            When what it answers is no run of entries.
        """
        try:
            status, body = self._get(f"/api/changes?after={after}&limit={PAGE_ENTRIES}")
        except (OSError, HTTPException) as error:
            raise ServerUnreachableError from error
        if status != 200:  # noqa: PLR2004 - OK
            raise ServerUnreachableError(f"The server answered the question for missed entries with status {status}.")
        try:
            return Changes.check(orjson.loads(body))
        except orjson.JSONDecodeError:
            raise InvalidMessageError from None

    def _get(self, path: str) -> tuple[int, bytes]:
        kind = HTTPSConnection if self._address.scheme == "https" else HTTPConnection
        connection = kind(self._address.hostname or "", self._address.port, timeout=TIMEOUT_SECONDS)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {self._token}"})
            response = connection.getresponse()
            return response.status, response.read(_MAX_BYTES)
        finally:
            connection.close()
