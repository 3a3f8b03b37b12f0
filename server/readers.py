"""Who reads over HTTP: a program with a client app's token, or an operator who is signed in."""

from common.access.sessions import Session
from common.web.sign_in import caller


def client_id_of_reader() -> str | None:
    """Return whose log entries may be read: one client's for its token, everybody's (``None``) for an operator.

    Raises
    ------
    NotSignedInError
        If it is nobody known.
    """
    reader = caller()
    return None if isinstance(reader, Session) else reader
