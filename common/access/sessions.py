"""Sign-ins that end: by a person, by idleness or at their deadline."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import delete, insert, select, update

from common.access.accounts import ACCOUNT_COLUMNS, Account, account_of, hash_of
from common.access.file import AccessFile, accounts, sessions
from common.access.roles import Role
from common.errors import NotFoundError, NotSignedInError, StoreUnavailableError
from config.secrets import new_secret
from config.settings import ClientSettings, ServerSettings

log = logging.getLogger(__name__)

DISPLAY_SECONDS: Final = 30 * 24 * 3600.0
"""A display on a wall has nobody to sign it in every morning; its account can be revoked at any time."""

FRESH_SECONDS: Final = 1.0
"""How old what is known of the file may be: so late, at most, is heard here what a command has ended."""

ACTIVE_SECONDS: Final = 30.0
"""Activity that follows so soon is not written down again."""


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
        """What names the session on a page; too short to find the session by anything but a look at the list."""
        return self.id[:12]


class Sessions:
    """The sessions in the file of one app, which is asked at most once a second, however many are checked.

    A session begins and ends in the file, so that neither a restart nor a copied cookie brings one back. While the file
    cannot be read, sessions stay as they are known.
    """

    def __init__(
        self,
        file: AccessFile,
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
        self._is_file_well = True
        self._lock = threading.RLock()

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
        with self._lock, self._file.writing() as connection:
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
        session = self._known().get(hash_of(key))
        return session if session and self._is_in_time(session) else None

    def is_open(self, session: Session) -> bool:
        known = self._known().get(session.id)
        return known is not None and self._is_in_time(known)

    def all(self) -> list[Session]:
        """Return the open sessions, the oldest first, each with the time at which it ends if nobody is active."""
        return [replace(one, ends_at=self._ends_at(one)) for one in [*self._known().values()] if self._is_in_time(one)]

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
        raise NotFoundError("This session has ended already.")

    def touch(self, session: Session) -> None:
        """Note that a person is there; if that cannot be written, the session goes on as if nobody were."""
        now, known = self._clock(), self._known().get(session.id)
        if known is None or not self._is_in_time(known) or now - known.last_active_at < ACTIVE_SECONDS:
            return
        with self._lock, suppress(StoreUnavailableError):
            if session.id not in self._sessions:
                return  # it was ended meanwhile
            self._sessions[session.id] = replace(known, last_active_at=now)
            with self._file.writing() as connection:
                connection.execute(update(sessions).where(sessions.c.id == session.id).values(last_active_at=now))

    def end(self, session: Session) -> None:
        """End a session at once: it is good for nothing more.

        Raises
        ------
        StoreUnavailableError
            If that could not be kept; it is tried again until it is.
        """
        with self._lock:
            self._ended.add(session.id)
            self._sessions.pop(session.id, None)
            self._save_ends()

    def _known(self) -> dict[str, Session]:
        """Return the sessions that nobody ended as they were in the file at most a second ago."""
        with self._lock:
            now = time.monotonic()
            if self._asked_at is None or now - self._asked_at >= self._fresh_seconds:
                self._asked_at = now
                try:
                    self._ask()
                    self._is_file_well = True
                except StoreUnavailableError as error:
                    if self._is_file_well:
                        log.warning("sessions go on as they are known: %s", error.message)
                    self._is_file_well = False
            return self._sessions

    def _ask(self) -> None:
        if self._ended:
            self._save_ends()
        chosen = select(sessions, *ACCOUNT_COLUMNS).join(accounts).order_by(sessions.c.began_at)
        found = {}
        with self._file.reading() as connection:
            for row in connection.execute(chosen):
                id_, _, began_at, ends_at, last_active_at, address, *account = row
                found[id_] = Session(id_, account_of(account), began_at, ends_at, last_active_at, address)
        self._sessions = found

    def _save_ends(self) -> None:
        with self._file.writing() as connection:
            connection.execute(delete(sessions).where(sessions.c.id.in_(self._ended)))
        self._ended.clear()

    def time_left(self, session: Session) -> tuple[float, bool]:
        """Return the seconds until a session ends if nobody is active, and whether activity would prolong it."""
        ends_at = self._ends_at(session)
        return ends_at - self._clock(), ends_at < session.ends_at

    def _is_in_time(self, session: Session) -> bool:
        return self._clock() < self._ends_at(session)

    def _ends_at(self, session: Session) -> float:
        if session.account.role == Role.DISPLAY:
            return session.ends_at
        return min(session.ends_at, session.last_active_at + self._idle_seconds)


def sessions_of(file: AccessFile, settings: ServerSettings | ClientSettings, clock: Callable[[], float]) -> Sessions:
    """Return the sessions of an app, which last as long as its settings say."""
    hours, minutes = settings.session_hours, settings.session_idle_minutes
    return Sessions(file, seconds=hours * 3600, idle_seconds=minutes * 60, clock=clock)
