"""The room of the pages that are signed in: who is in it hears, until the sign-in ends."""

from functools import partial

from flask import request

from common.access.accounts import Session
from common.access.audit.trail import Action
from common.errors import NotSignedInError
from common.web.auditing import note_event
from common.web.origin import require_own_page
from common.web.realtime import RealTime, Wire, current_sid
from common.web.sign_in import current_session


class SignedInRoom:
    """One namespace's pages; whoever signed out, or is past the deadline, is put out before anything is sent."""

    def __init__(self, real_time: RealTime, namespace: str, room: str) -> None:
        self._real_time = real_time
        self._namespace = namespace
        self._room = room

    def enter(self) -> None:
        """Let the connection that is being made in.

        Raises
        ------
        NotAllowedError
            If it is not a page of this app that makes it.
        NotSignedInError
            If nobody is signed in there.
        """
        require_own_page(request.environ)
        session = current_session()
        if session is None:
            raise NotSignedInError
        sid = current_sid()
        close = partial(self._real_time.disconnect, sid, namespace=self._namespace)
        self._real_time.sessions.attach(sid, session, close)
        self._real_time.enter_room(sid, self._room, namespace=self._namespace)
        self.note(sid, session, Action.WATCHED_LIVE)

    def require_signed_in(self, sid: str) -> Session:
        """Return the session of a connection whose event is being handled; the event is a person's doing.

        Raises
        ------
        NotSignedInError
            If it has ended; the connection is closed then.
        """
        sessions = self._real_time.sessions
        session = sessions.require_open(sid)
        sessions.touch(session)
        return session

    def note(self, sid: str, session: Session, action: Action, target: str = "") -> None:
        """Put what is done over a connection into the audit trail."""
        address = self._real_time.address(sid, namespace=self._namespace)
        note_event(self._real_time.audit_trail, session, address, action, target)

    def leave(self, sid: str) -> None:
        self._real_time.sessions.detach(sid)

    def emit(self, event: str, message: Wire) -> None:
        self._real_time.sessions.close_ended()
        self._real_time.emit(event, message, namespace=self._namespace, to=self._room)
