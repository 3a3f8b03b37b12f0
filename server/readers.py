"""Who reads the server's HTTP API: an operator who signed in, or a client app that shows its token."""

from collections.abc import Mapping

from flask import request

from common.access.tokens import UNKNOWN_TOKEN, bearer_token
from common.errors import NotSignedInError
from common.web.sign_in import current_account
from server.clients import client_of_token


def client_id_of_reader(tokens: Mapping[str, str]) -> str | None:
    """Return whose log entries may be read: one client's for its token, everybody's (``None``) for an operator.

    Raises
    ------
    NotSignedInError
        If it is nobody known.
    """
    token = bearer_token(request.headers.get("Authorization"))
    if token is not None:
        if (client_id := client_of_token(token, tokens)) is None:
            raise NotSignedInError(UNKNOWN_TOKEN)
        return client_id
    current_account()
    return None
