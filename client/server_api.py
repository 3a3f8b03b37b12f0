"""This client app's questions to the server over HTTP, beside the standing link."""

from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Final
from urllib.parse import urlsplit

from common.errors import ServerUnreachableError

TIMEOUT_SECONDS: Final = 5.0
_MAX_BYTES: Final = 16 * 1024 * 1024


class ServerApi:
    """Asks one server with one client app's token; it follows no redirect and uses no proxy."""

    def __init__(self, server_url: str, token: str) -> None:
        self._address = urlsplit(server_url)
        self._token = token

    def get(self, path: str) -> tuple[int, bytes]:
        """Return status and body of an answer.

        Raises
        ------
        ServerUnreachableError
            When the server does not answer within ``TIMEOUT_SECONDS``, or not in HTTP.
        """
        kind = HTTPSConnection if self._address.scheme == "https" else HTTPConnection
        connection = kind(self._address.hostname or "", self._address.port, timeout=TIMEOUT_SECONDS)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {self._token}"})
            response = connection.getresponse()
            return response.status, response.read(_MAX_BYTES)
        except (OSError, HTTPException) as error:
            raise ServerUnreachableError from error
        finally:
            connection.close()
