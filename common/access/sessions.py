"""Sign-ins that end: by a person, by idleness or at their deadline."""

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from common.access.accounts import Account, Session, hash_of
from common.access.people import AccessStore
from common.access.roles import Role
from common.errors import NotFoundError, StoreUnavailableError
from config.secrets import new_secret

log = logging.getLogger(__name__)

DISPLAY_SECONDS: Final = 30 * 24 * 3600.0
"""A display on a wall has nobody to sign it in every morning; its account can be revoked at any time."""


class Sessions:
    """The accounts and sessions of one app as its file has them, looked at again every ``LOOK_SECONDS``.

    A session begins and ends in the file, so that neither a restart nor a copied cookie brings one back; only activity
    is kept in memory for up to ``SAVE_SECONDS``.
    """

    LOOK_SECONDS: Final = 1.0
    SAVE_SECONDS: Final = 60.0

    def __init__(self, store: AccessStore, *, seconds: float, idle_seconds: float, clock: Callable[[], float]) -> None:
        """Read the file; ``seconds`` and ``idle_seconds`` are how long a session lasts, at most and when idle."""
        self._store = store
        self._seconds = seconds
        self._idle_seconds = idle_seconds
        self._clock = clock
        self._accounts: list[Account] = []
        self._sessions: dict[str, Session] = {}
        self._ended: set[str] = set()
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._watch = threading.Thread(target=self._keep_looking, name="sessions", daemon=True)
        self._saved_at = clock()
        self._is_file_well = True
        self.refresh()

    def accounts(self) -> list[Account]:
        """Return the accounts that are in use, as the file has them now."""
        self.refresh()
        return self._accounts

    @property
    def has_passwords(self) -> bool:
        return any(account.password_hash for account in self._accounts)

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
        with self._lock:
            self._store.begin(session)
            self._sessions[session.id] = session
        return key, session

    def find(self, key: str) -> Session | None:
        """Return the session of a cookie's key if it is open."""
        session = self._sessions.get(hash_of(key))
        return session if session and self.is_open(session) else None

    def is_open(self, session: Session) -> bool:
        known = self._sessions.get(session.id)
        return known is not None and self._clock() < self._ends_at(known)

    def touch(self, session: Session) -> None:
        """Note that a person is there."""
        with self._lock:
            if self.is_open(session):
                self._sessions[session.id] = replace(self._sessions[session.id], last_active_at=self._clock())

    def all(self) -> list[Session]:
        """Return the open sessions, the oldest first, each with the time at which it ends if nobody is active."""
        return [replace(one, ends_at=self._ends_at(one)) for one in [*self._sessions.values()] if self.is_open(one)]

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

    def start(self) -> None:
        """Begin to look at the file, so that what the command ends there is ended here."""
        self._watch.start()

    def stop(self) -> None:
        """Stop looking, and keep what is only in memory."""
        self._stopping.set()
        self._watch.join()
        try:
            self._save()
        except StoreUnavailableError as error:
            log.warning("the last minute's activity is not kept: %s", error.message)

    def refresh(self) -> None:
        """Take over what the command changed in the file."""
        with self._lock:
            accounts, kept = self._store.accounts(), self._store.sessions()
            self._accounts = [account for account in accounts if account.revoked_at is None]
            before = self._sessions
            self._sessions = {
                one.id: replace(one, last_active_at=max(one.last_active_at, before.get(one.id, one).last_active_at))
                for one in kept
                if one.id not in self._ended
            }

    def _ends_at(self, session: Session) -> float:
        if session.account.role == Role.DISPLAY:
            return session.ends_at
        return min(session.ends_at, session.last_active_at + self._idle_seconds)

    def _keep_looking(self) -> None:
        while not self._stopping.wait(self.LOOK_SECONDS):
            try:
                self._look()
                self._is_file_well = True
            except StoreUnavailableError as error:
                if self._is_file_well:
                    log.warning("sessions go on as they are known: %s", error.message)
                self._is_file_well = False

    def _look(self) -> None:
        self.refresh()
        if self._ended:
            self._save_ends()
        if self._clock() - self._saved_at >= self.SAVE_SECONDS:
            self._save()

    def _save_ends(self) -> None:
        with self._lock:
            self._store.end(self._ended)
            self._ended.clear()

    def _save(self) -> None:
        with self._lock:
            self._saved_at = self._clock()
            self._store.note_activity({one.id: one.last_active_at for one in self._sessions.values()})
