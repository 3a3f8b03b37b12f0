"""Who reads over HTTP: a program with a client app's token, or an operator who is signed in."""

from flask import current_app, request

from common.access.tokens import UNKNOWN_TOKEN, bearer_token
from common.errors import NotSignedInError
from common.web.sign_in import current_account


def client_id_of_reader() -> str | None:
    """Return whose log entries may be read: one client's for its token, everybody's (``None``) for an operator.

    Raises
    ------
    NotSignedInError
        If it is nobody known.
    """
    token = bearer_token(request.headers.get("Authorization"))
    if token is None:
        current_account()
        return None
    # A wrong token is refused even beside a good cookie: a program must not read more than its token allows.
    client_id: str | None = current_app.extensions["client_of_token"](token)
    if client_id is None:
        raise NotSignedInError(UNKNOWN_TOKEN)
    return client_id
