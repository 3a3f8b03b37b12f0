"""The tail of the change log: its newest runs in memory, and what other processes write to it."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from itertools import takewhile
from typing import Final

import orjson

from common.errors import StoreUnavailableError
from common.followers import ALL, Run
from common.messages import ChangeKind, LostEntries
from server.store import Entry, Page, PredictionStore, RequestKey
from server.store.entries import run_of

KEPT_BYTES: Final = 8 * 1024 * 1024
"""Of the newest entries, about 2,500: followers that keep up are answered with them. Older ones are in the store."""

MAX_TOMBSTONES: Final = 1000
"""How many of the newest erasures are remembered, to be done again if a failover takes them back."""

_NOW: Final = partial(datetime.now, UTC)

log = logging.getLogger(__name__)


class ChangeLog:
    """What followers read: one run after another, each whole, in the order of the commits.

    A writer tells it with ``appended``, after the commit; what other processes wrote is found by ``look``, which has to
    be called every second. Making it raises ``StoreUnavailableError`` as reading does. After a failover of PostgreSQL,
    or a restore, it is another log, of which nothing is known: its ``name`` is another one.
    """

    def __init__(self, store: PredictionStore, clock: Callable[[], datetime] = _NOW) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._listeners: list[Callable[[], None]] = []
        end = store.end()
        self.name = end.log
        self.newest = end.next_after
        self.generation = 0
        """Changes when something was erased: runs that were read before are not to be used again."""
        self.looked_at = time.time()
        """When what other processes wrote was last read, in seconds since 1970."""
        self._totals = end.totals
        self.kept: deque[Entry] = deque()
        self._kept_after = end.next_after  # all entries after this one are kept
        self._kept_bytes = 0
        self._erased: dict[RequestKey, str | None] = {}
        self.lost_entries = 0
        """How many entries failovers and restores took since this server started."""
        self._lost_at = clock()
        self._lost: set[RequestKey] = set()
        self._missing: set[RequestKey] = set()

    @property
    def lost(self) -> LostEntries | None:
        """What failovers and restores took since this server started, if they took anything."""
        if not self.lost_entries:
            return None
        known, again = len(self._lost), len(self._lost) - len(self._missing)
        return LostEntries(noticed_at=self._lost_at, entries=self.lost_entries, predictions=known, stored_again=again)

    def tell(self, listener: Callable[[], None]) -> None:
        """Have a listener called at every nudge; it returns at once."""
        self._listeners.append(listener)

    def nudge(self) -> None:
        """Wake those who answer followers: there is more in the log, or the status has changed."""
        for listener in self._listeners:
            listener()

    def read(self, after: int, scope: str) -> Run:
        """Return what followed a place, of everybody or one client app; totals come with the run of everybody.

        Raises
        ------
        StoreUnavailableError
            When it is not in memory, and cannot be read.
        """
        with self._lock:
            is_kept = self._kept_after <= after <= self.newest
            if is_kept:
                # From its end, where those who keep up stand.
                newer = list(takewhile(lambda entry: entry.sequence > after, reversed(self.kept)))
                entries, has_more = run_of(entry for entry in reversed(newer) if scope in (ALL, entry.client_id))
                next_after = entries[-1].sequence if has_more else self.newest
                page = Page(self.name, after, next_after, has_more, entries, self._totals)
        if not is_kept:
            page = self._store.changes(after, client_id=scope or None)
            self.reach(page.log, page.next_after)
        return encoded(page, scope)

    def appended(self, page: Page) -> None:
        """Take entries that this process has committed, and tell that there is more.

        Two threads may come in another order than they have committed in, and other processes may have written in
        between: what is missing is then read from the store, what is known already is passed over.
        """
        with self._lock:
            if page.log == self.name and page.after <= self.newest:
                self._take(page)
        self.heard_of(page.log, page.next_after)
        self.nudge()

    def reach(self, name: str | None, place: int) -> None:
        """Read on, so that nobody who has read up to a place elsewhere seems to be ahead, or in another log.

        Raises
        ------
        StoreUnavailableError
            As ``look`` does.
        """
        while (name not in (None, self.name) or place > self.newest) and self.look():
            pass

    def heard_of(self, name: str | None, place: int) -> None:
        """Do as ``reach`` if the record can be read; otherwise it is read within a second of when it can be."""
        with suppress(StoreUnavailableError):
            self.reach(name, place)

    def look(self) -> bool:
        """Take a run of what other processes wrote; return whether there is more. Raises as ``read`` does."""
        # Read under the lock: entries of this process that come in between would leave a gap before them.
        with self._lock:
            page = self._store.changes(self.newest)
            self.looked_at = time.time()
            is_another = page.log != self.name
            is_news = is_another or page.next_after > self.newest
            if is_another:
                self._start_another()
            else:
                self._take(page)
        if is_news:
            self.nudge()
        return page.has_more or is_another

    def _start_another(self) -> None:
        """Go over to another log, which may lack entries of this one; what these had erased is erased again.

        It is read from where both part, so that what comes again of the missing ones is noticed.
        """
        end, began_after = self._store.epoch()
        # Before anything is changed here, so that it is tried again if it fails; all, for the record may have failed
        # over more than once. Another failover meanwhile is another name, which the next look finds.
        self._store.erase_all(self._erased, self._clock())
        lacking = max(0, self.newest - began_after)
        log.warning(
            "the record failed over or was restored: it lacks at least %d entries that this server had. Client apps "
            "send what is missing again.",
            lacking,
        )
        if lacking:
            made = {_request_of(one) for one in self.kept if _is_made(one) and one.sequence > began_after}
            self._lost |= made
            self._missing |= made
            self._lost_at = self._clock()
            self.lost_entries += lacking
        # First: a run of the old log must not be sent under the new one's name.
        self._start_over(min(self.newest, began_after))
        self.name, self._totals = end.log, end.totals

    def _take(self, page: Page) -> None:
        new = [entry for entry in page.entries if entry.sequence > self.newest]
        if self._missing:
            self._missing -= {_request_of(one) for one in new if _is_made(one)}
        if tombstones := [entry for entry in new if entry.kind == ChangeKind.PREDICTION_ERASED]:
            self._start_over(self.newest)
            self._erased |= {_request_of(one): orjson.loads(one.wire)["prediction_id"] for one in tombstones}
            for oldest in list(self._erased)[:-MAX_TOMBSTONES]:
                del self._erased[oldest]
        if page.next_after >= self.newest:  # a page that comes late has older totals
            self._totals = page.totals
            self.newest = page.next_after
        self.kept += new
        self._kept_bytes += sum(len(entry.wire) for entry in new)
        while self._kept_bytes > KEPT_BYTES:
            dropped = self.kept.popleft()
            self._kept_after = dropped.sequence
            self._kept_bytes -= len(dropped.wire)

    def _start_over(self, place: int) -> None:
        """Keep nothing up to a place: among it is an erasure, or may be."""
        self.generation += 1
        self.kept.clear()
        self._kept_bytes = 0
        self._kept_after = self.newest = place


def _is_made(entry: Entry) -> bool:
    return entry.kind == ChangeKind.PREDICTION_MADE


def _request_of(entry: Entry) -> RequestKey:
    return entry.client_id, orjson.loads(entry.wire)["request_id"]


def encoded(page: Page, scope: str) -> Run:
    """Encode a run of the log once, for all who are sent it."""
    entries = orjson.Fragment(b"[" + b",".join(entry.wire for entry in page.entries) + b"]")
    totals = orjson.Fragment(page.totals.model_dump_json()) if scope == ALL else None
    return Run(page.after, page.next_after, page.has_more, entries, totals)
