"""Sign-ins that end: by a person, by idleness or at their deadline."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import delete, insert, select, update

from common.access.accounts import ACCOUNT_COLUMNS, Account, account_of, hash_of
from common.access.file import AccessStore, accounts, sessions
from common.access.roles import Role
from common.errors import NotFoundError, NotSignedInError, StoreUnavailableError
from config.secrets import new_secret
from config.settings import ClientSettings, ServerSettings

log = logging.getLogger(__name__)

DISPLAY_SECONDS: Final = 30 * 24 * 3600.0
"""Nobody signs a display on a wall in every morning; its account can be revoked at any time."""

FRESH_SECONDS: Final = 1.0
"""How old the known state of the file may be: this late, at most, what a command has ended ends here."""

ACTIVE_SECONDS: Final = 30.0
"""Activity within this time of the last is not written again."""


@dataclass(frozen=True)
class Session:
    """One sign-in; ``id`` is the SHA-256 of the key that only the browser's cookie holds."""

    id: str
    account: Account
    began_at: float
    ends_at: float
    last_active_at: float
    address: str

    @property
    def public_id(self) -> str:
        """Name of the session on a page; no cookie can be made of it."""
        return self.id[:12]


class Sessions:
    """The sessions of one app, whose file is asked about once a second, however many are checked.

    A session begins and ends in the file (or the database of several servers), so that neither a restart nor a copied
    cookie brings one back. While the file cannot be read, sessions stay as they are known.
    """

    def __init__(
        self,
        file: AccessStore,
        *,
        seconds: float,
        idle_seconds: float,
        clock: Callable[[], float],
        fresh_seconds: float = FRESH_SECONDS,
    ) -> None:
        """``seconds`` and ``idle_seconds`` are how long a session lasts, at most and when idle."""
        self._file = file
        self._seconds = seconds
        self._idle_seconds = idle_seconds
        self._clock = clock
        self._fresh_seconds = fresh_seconds
        self._sessions: dict[str, Session] = {}
        self._asked_at: float | None = None
        self._ended: set[str] = set()
        self._missed: set[str] = set()
        self._is_file_well = True
        self._looking = threading.Lock()

    def begin(self, account: Account, address: str) -> tuple[str, Session]:
        """Begin a session; return the key that finds it, which is for the cookie alone, and the session.

        Raises
        ------
        NotSignedInError
            If the account was revoked or changed meanwhile.
        """
        key, now = new_secret(), self._clock()
        whole = DISPLAY_SECONDS if account.role == Role.DISPLAY else self._seconds
        session = Session(hash_of(key), account, now, now + whole, now, address)
        with self._file.writing() as connection:
            # The account was read before the transaction: a revocation in between must win.
            row = connection.execute(select(*ACCOUNT_COLUMNS).where(accounts.c.id == account.id)).one_or_none()
            if row is None or account_of(row) != account:
                raise NotSignedInError
            connection.execute(delete(sessions).where(sessions.c.ends_at <= now))
            kept = {name: value for name, value in vars(session).items() if name != "account"}
            connection.execute(insert(sessions).values(account_id=account.id, **kept))
        self._sessions[session.id] = session
        return key, session

    def find(self, key: str) -> Session | None:
        """Return the session of a cookie's key if it is open."""
        session_id = hash_of(key)
        if (found := self._open(session_id)) or not key or session_id in self._missed:
            return found
        # It may have begun at another server within this second; one that has ended is asked for once a second.
        with self._looking:
            if session_id not in self._missed:  # all that a page asks at once waits for the one answer
                self._look()
                self._missed.add(session_id)
        return self._open(session_id)

    def is_open(self, session: Session) -> bool:
        return self._open(session.id) is not None

    def _open(self, session_id: str) -> Session | None:
        session = self._known().get(session_id)
        is_over = session_id in self._ended or (session and self._clock() >= self._ends_at(session))
        return None if is_over else session

    def all(self) -> list[Session]:
        """Return the open sessions, the oldest first, each with the time at which it ends without activity."""
        known = sorted([*self._known().values()], key=lambda one: one.began_at)
        return [replace(one, ends_at=self._ends_at(one)) for one in known if self._open(one.id)]

    def of(self, public_id: str) -> Session:
        """Return an open session by the id that the list shows.

        Raises
        ------
        NotFoundError
            If there is none.
        """
        for session in self.all():
            if session.public_id == public_id:
                return session
        raise NotFoundError("This session has already ended.")

    def touch(self, session: Session) -> None:
        """Note that a person is active; if that cannot be written, the session counts as idle."""
        now, known = self._clock(), self._open(session.id)
        if known and now - known.last_active_at >= ACTIVE_SECONDS:
            self._sessions[session.id] = replace(known, last_active_at=now)
            with suppress(StoreUnavailableError), self._file.writing() as connection:
                connection.execute(update(sessions).where(sessions.c.id == session.id).values(last_active_at=now))

    def end(self, session: Session) -> None:
        """End a session at once, here in any case.

        Raises
        ------
        StoreUnavailableError
            If that could not be written; it is tried again until it is.
        """
        # Remembered first: a file that cannot be written now must not bring the session back at the next look.
        self._ended.add(session.id)
        self._write_ends({session.id})

    def _known(self) -> dict[str, Session]:
        """Return the sessions as they were in the file at most a second ago, and those that began here since."""
        # While one looks, which may take seconds, the others go on with what is known; the first answer is waited for.
        if self._is_stale() and self._looking.acquire(blocking=self._asked_at is None):
            try:
                if self._is_stale():
                    self._look()
                    # In any case: a file that fails is asked once a second as well, not at every request.
                    self._asked_at = time.monotonic()
                    self._missed.clear()
            finally:
                self._looking.release()
        return self._sessions

    def _is_stale(self) -> bool:
        return self._asked_at is None or time.monotonic() - self._asked_at >= self._fresh_seconds

    def _look(self) -> None:
        """Take over what is in the file; while that cannot be read, go on with what is known."""
        known, ended = set(self._sessions), set(self._ended)
        try:
            if ended:
                self._write_ends(ended)  # before the file is read, or it would show the sessions as open
            with self._file.reading() as connection:
                rows = connection.execute(select(sessions, *ACCOUNT_COLUMNS).join(accounts))
                found = {one.id: one for one in map(_session_of, rows)}
        except StoreUnavailableError as error:
            if self._is_file_well:
                log.warning("sessions continue as last known: %s", error.message)
            self._is_file_well = False
            return
        self._is_file_well = True
        # In place: what has begun here since the file was read stays.
        for gone in known - found.keys():
            self._sessions.pop(gone, None)
        self._sessions.update(found)
        self._ended -= ended

    def _write_ends(self, ended: set[str]) -> None:
        with self._file.writing() as connection:
            connection.execute(delete(sessions).where(sessions.c.id.in_(ended)))

    def time_left(self, session: Session) -> tuple[float, bool]:
        """Return the seconds until a session ends without activity, and whether activity would prolong it."""
        ends_at = self._ends_at(session)
        return ends_at - self._clock(), ends_at < session.ends_at

    def _ends_at(self, session: Session) -> float:
        if session.account.role == Role.DISPLAY:
            return session.ends_at  # a screen that is only watched is never idle
        return min(session.ends_at, session.last_active_at + self._idle_seconds)


def _session_of(row: Sequence[Any]) -> Session:
    """Return the session of a row of its columns and its account's."""
    id_, _, began_at, ends_at, last_active_at, address, *account = row
    return Session(id_, account_of(account), began_at, ends_at, last_active_at, address)


def sessions_of(file: AccessStore, settings: ServerSettings | ClientSettings, clock: Callable[[], float]) -> Sessions:
    """Return the sessions of an app, which last as long as its settings say."""
    hours, minutes = settings.session_hours, settings.session_idle_minutes
    return Sessions(file, seconds=hours * 3600, idle_seconds=minutes * 60, clock=clock)
