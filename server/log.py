"""The tail of the change log: its newest runs in memory, and what other processes write to it."""

import logging
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Final

import orjson

from common.errors import StoreUnavailableError
from common.followers import ALL, Run
from common.messages import ChangeKind, Totals
from server.store import Entry, Page, PredictionStore
from server.store.record import MAX_BYTES, MAX_ENTRIES

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
STOP_SECONDS: Final = 2.0
KEPT_BYTES: Final = 8 * 1024 * 1024
"""Of the newest entries, about 2,500, which whoever keeps up is answered with; older ones are read from the store."""

_sequence = attrgetter("sequence")


class ChangeLog:
    """What followers read: one run after another, each whole, in the order of the commits.

    Whoever writes tells it with ``appended``, after the commit; on a thread of its own it looks every second for what
    other processes wrote. Making it raises ``StoreUnavailableError`` as reading does.
    """

    def __init__(self, store: PredictionStore, *, seconds: float = LOOK_SECONDS) -> None:
        self._store = store
        self._seconds = seconds
        self._lock = threading.Lock()
        self._listeners: list[Callable[[], None]] = []
        end = store.end()
        self.name = end.log
        self.newest = end.next_after
        self.generation = 0
        """Changes when something was erased: runs that were read before are not to be used again."""
        self._totals = end.totals
        self.kept: list[Entry] = []
        self._kept_after = end.next_after  # all entries after this one are kept
        self._kept_bytes = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._look_around, name="change log", daemon=True)

    def tell(self, listener: Callable[[], None]) -> None:
        """Have a listener called at every nudge; it returns at once."""
        self._listeners.append(listener)

    def nudge(self) -> None:
        """Tell those who answer followers that there is more, or that what is told beside the log has changed."""
        for listener in self._listeners:
            listener()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    def read(self, after: int, scope: str) -> Run:
        """Return what followed a place, of everybody or one client app; totals come with the run of everybody.

        Raises
        ------
        StoreUnavailableError
            When it is not in memory, and cannot be read.
        """
        with self._lock:
            if self._kept_after <= after <= self.newest:
                return self._from_memory(after, scope)
        page = self._store.changes(after, client_id=scope or None)
        self.reach(page.next_after)
        return _run(page.after, page.next_after, page.has_more, page.entries, page.totals if scope == ALL else None)

    def appended(self, page: Page) -> None:
        """Take entries that this process has committed, and tell that there is more.

        Two threads may come in another order than they have committed in, and other processes may have written in
        between: what is missing is then read from the store, what is known already is passed over.
        """
        with self._lock:
            if page.after > self.newest:
                self._start_over(page.after)
            self._take(page)
        self.nudge()

    def reach(self, place: int) -> None:
        """See to it that nobody who has read up to a place of the record seems to be ahead of the log."""
        while place > self.newest and self.look():
            pass

    def look(self) -> bool:
        """Take what other processes wrote, a run of it; return whether there is more. Raises as ``read`` does."""
        with self._lock:
            page = self._store.changes(self.newest)
            is_news = page.next_after > self.newest
            self._take(page)
        if is_news:
            self.nudge()
        return page.has_more

    def _look_around(self) -> None:
        while not self._stopping.is_set():
            try:
                has_more = self.look()
            except StoreUnavailableError:
                has_more = False  # the store has said why
            except Exception:
                log.exception("the change log could not be looked at; it is tried again")
                has_more = False
            if has_more:
                time.sleep(0)  # between runs everybody else has a turn
            else:
                self._stopping.wait(self._seconds)

    def _take(self, page: Page) -> None:
        new = [entry for entry in page.entries if entry.sequence > self.newest]
        if any(entry.kind == ChangeKind.PREDICTION_ERASED for entry in new):
            self._start_over(self.newest)
        if page.next_after >= self.newest:
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

    def _from_memory(self, after: int, scope: str) -> Run:
        chosen: list[Entry] = []
        size = 0
        for place in range(bisect_right(self.kept, after, key=_sequence), len(self.kept)):
            entry = self.kept[place]
            if scope in (ALL, entry.client_id):
                size += len(entry.wire)
                if len(chosen) == MAX_ENTRIES or (chosen and size > MAX_BYTES):
                    return _run(after, chosen[-1].sequence, True, chosen, self._totals if scope == ALL else None)
                chosen.append(entry)
        return _run(after, self.newest, False, chosen, self._totals if scope == ALL else None)


def _run(after: int, next_after: int, has_more: bool, entries: Sequence[Entry], totals: Totals | None) -> Run:
    encoded = orjson.Fragment(b"[" + b",".join(entry.wire for entry in entries) + b"]")
    return Run(after, next_after, has_more, encoded, orjson.Fragment(totals.model_dump_json()) if totals else None)
