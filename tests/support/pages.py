"""What the pages of a client app would see: its own log and the state of its link."""

import threading
import time
from collections.abc import Callable

import orjson

from client.outbox import Outbox
from common.followers import Run
from common.messages import HistoryChange, HistoryEntry, LinkStatus
from tests.support.waiting import WAIT_SECONDS


class Pages:
    """Follows the outbox as a page does: when it was nudged, it looks."""

    def __init__(self, outbox: Outbox) -> None:
        self.changes: list[HistoryChange] = []
        self.links: list[LinkStatus] = []
        self.status: Callable[[], LinkStatus] | None = None
        """Of the relay, once there is one."""
        self._outbox = outbox
        self._nudged = threading.Condition()

    def nudge(self) -> None:
        with self._nudged:
            if self.status and (not self.links or self.links[-1] != self.status()):
                self.links.append(self.status())
            self._nudged.notify_all()

    def wait_for(self, is_so: Callable[[], bool]) -> None:
        """Wait until something is so after a nudge."""
        deadline = time.monotonic() + WAIT_SECONDS
        with self._nudged:
            while not is_so():
                assert self._nudged.wait(deadline - time.monotonic()), "it did not come about"

    def wait_for_link(self, state: str) -> LinkStatus:
        """Wait for a state of the link that was not waited for before."""
        self.wait_for(lambda: any(link.state == state for link in self.links))
        while (link := self.links.pop(0)).state != state:
            pass
        return link

    def wait_for_entry(self, request_id: str, state: str = "answered") -> HistoryEntry:
        def found() -> list[HistoryEntry]:
            return [entry for entry in history(self._outbox) if (entry.request_id, entry.state) == (request_id, state)]

        self.wait_for(lambda: bool(found()))
        return found()[0]

    def wait_for_states(self, states: dict[str, str]) -> None:
        self.wait_for(lambda: states_of(self._outbox) == states)


def history(outbox: Outbox) -> list[HistoryEntry]:
    """The whole history, newest first."""
    entries, _ = outbox.history(before=None, limit=10_000)
    return [HistoryEntry.model_validate_json(orjson.dumps(entry)) for entry in entries]


def states_of(outbox: Outbox) -> dict[str, str]:
    return {entry.request_id: entry.state for entry in history(outbox)}


def changes_in(run: Run) -> list[HistoryChange]:
    """The entries of a run of a client app's own log."""
    return [HistoryChange.check(entry) for entry in orjson.loads(orjson.dumps(run.entries))]
