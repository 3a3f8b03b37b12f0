"""Reading this client app's entries of the server's change log over HTTP, for what the standing link missed."""

from typing import Final

import orjson

from client.server_api import ServerApi
from common.errors import InvalidMessageError, ServerUnreachableError
from common.messages import Changes

PAGE_ENTRIES: Final = 100


class ChangeLogReader:
    """Reads the change log run by run."""

    def __init__(self, server: ServerApi) -> None:
        self._server = server

    def read(self, after: int) -> Changes:
        """Return the entries that follow ``after``, ascending, at most ``PAGE_ENTRIES``.

        Raises
        ------
        ServerUnreachableError
            When the server does not answer in time, or not with the entries.
        InvalidMessageError
            When what it answers is no run of entries.
        """
        status, body = self._server.get(f"/api/changes?after={after}&limit={PAGE_ENTRIES}")
        if status != 200:  # noqa: PLR2004 - OK
            raise ServerUnreachableError(f"The server answered the question for missed entries with status {status}.")
        try:
            return Changes.check(orjson.loads(body))
        except orjson.JSONDecodeError:
            raise InvalidMessageError from None
