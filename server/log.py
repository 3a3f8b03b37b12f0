"""The tail of the change log: its newest runs in memory, and what other processes write to it."""

import threading
import time
from bisect import bisect_right
from collections.abc import Callable
from operator import attrgetter
from typing import Final

import orjson

from common.followers import ALL, Run
from common.messages import ChangeKind
from server.store import Entry, Page, PredictionStore
from server.store.entries import run_of

KEPT_BYTES: Final = 8 * 1024 * 1024
"""Of the newest entries, about 2,500: followers that keep up are answered with them. Older ones are in the store."""

_sequence = attrgetter("sequence")


class ChangeLog:
    """What followers read: one run after another, each whole, in the order of the commits.

    A writer tells it with ``appended``, after the commit; what other processes wrote is found by ``look``, which has to
    be called every second. Making it raises ``StoreUnavailableError`` as reading does.
    """

    def __init__(self, store: PredictionStore) -> None:
        self._store = store
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
        self.kept: list[Entry] = []
        self._kept_after = end.next_after  # all entries after this one are kept
        self._kept_bytes = 0

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
                newer = self.kept[bisect_right(self.kept, after, key=_sequence) :]
                entries, has_more = run_of(entry for entry in newer if scope in (ALL, entry.client_id))
                next_after = entries[-1].sequence if has_more else self.newest
                page = Page(self.name, after, next_after, has_more, entries, self._totals)
        if not is_kept:
            page = self._store.changes(after, client_id=scope or None)
            self.reach(page.next_after)
        return encoded(page, scope)

    def appended(self, page: Page) -> None:
        """Take entries that this process has committed, and tell that there is more.

        Two threads may come in another order than they have committed in, and other processes may have written in
        between: what is missing is then read from the store, what is known already is passed over.
        """
        with self._lock:
            if page.after > self.newest:  # what is kept would go on with a gap
                self._start_over(page.after)
            self._take(page)
        self.nudge()

    def reach(self, place: int) -> None:
        """See to it that nobody who has read up to a place of the record seems to be ahead of the log."""
        while place > self.newest and self.look():
            pass

    def look(self) -> bool:
        """Take a run of what other processes wrote; return whether there is more. Raises as ``read`` does."""
        # Read under the lock: entries of this process that come in between would leave a gap before them.
        with self._lock:
            page = self._store.changes(self.newest)
            self.looked_at = time.time()
            is_news = page.next_after > self.newest
            self._take(page)
        if is_news:
            self.nudge()
        return page.has_more

    def _take(self, page: Page) -> None:
        new = [entry for entry in page.entries if entry.sequence > self.newest]
        if any(entry.kind == ChangeKind.PREDICTION_ERASED for entry in new):
            self._start_over(self.newest)
        if page.next_after >= self.newest:  # a page that comes late has older totals
            self._totals = page.totals
            self.newest = page.next_after
        self.kept += new
        self._kept_bytes += sum(len(entry.wire) for entry in new)
        if self._kept_bytes > KEPT_BYTES:
            self._drop_older_half()

    def _start_over(self, place: int) -> None:
        """Keep nothing up to a place: among it is an erasure, or may be."""
        self.generation += 1
        self.kept, self._kept_bytes = [], 0
        self._kept_after = self.newest = place

    def _drop_older_half(self) -> None:
        dropped = len(self.kept) // 2
        self._kept_after = self.kept[dropped - 1].sequence if dropped else self._kept_after
        self._kept_bytes -= sum(len(entry.wire) for entry in self.kept[:dropped])
        del self.kept[:dropped]


def encoded(page: Page, scope: str) -> Run:
    """Encode a run of the log once, for all who are sent it."""
    entries = orjson.Fragment(b"[" + b",".join(entry.wire for entry in page.entries) + b"]")
    totals = orjson.Fragment(page.totals.model_dump_json()) if scope == ALL else None
    return Run(page.after, page.next_after, page.has_more, entries, totals)
