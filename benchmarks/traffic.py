"""Client apps and dashboards at one server or several, all on one thread, so that what is measured is the servers."""

import gc
import selectors
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import cycle
from math import inf
from typing import Any, NamedTuple

import uuid_utils

from benchmarks.running import RunningServer
from client.relay import pace
from common.messages import ChangeKind, Event
from tests.support.patients import real_records
from tests.support.processes import TOKENS
from tests.support.speaking import Browser, ClientApp, Connection, Dashboard

ANSWER_SECONDS = 60.0
ENTERED_AT = datetime.now(UTC).isoformat()


@dataclass(eq=False)
class Peer:
    """One connection to the server of a number: when it follows next, and when each request's answer came over it."""

    connection: Connection
    server: int
    asked_at: float = 0.0
    ask_at: float = inf
    sent: dict[int, str] = field(default_factory=dict)
    """Request ids by the number of their acknowledgment."""
    came: dict[str, float] = field(default_factory=dict)
    sequences: list[int] = field(default_factory=list)
    """Of what it was told of the log, as it came."""


class Made(NamedTuple):
    """A prediction: its id, when it was made (seconds since 1970), and at which server."""

    row: str
    at: float
    server: int


class Peers:
    """Client apps that send patients and follow their own entries, and ``dashboards`` at each server, which follow all.

    With the usual way's server nobody follows: it answers by an event of its own.
    """

    def __init__(self, *servers: RunningServer, dashboards: int = 0, follow: bool = True) -> None:
        self._records = cycle([record.model_dump(mode="json") for record in real_records()])
        self._follow = follow
        self._selector = selectors.DefaultSelector()
        self.refused: set[str] = set()
        self.answered: dict[str, float] = {}
        self.made: dict[str, Made] = {}
        self.on_answer: Callable[[Peer], object] = lambda _: None
        self.senders: list[Peer] = []
        self.dashboards: list[Peer] = []
        for number, server in enumerate(servers):
            self.senders += [Peer(ClientApp(server.url, token), number) for token in server.tokens]
            browser = Browser(server.url)
            if dashboards:
                browser.sign_in(TOKENS["OPERATOR_TOKEN"])
            self.dashboards += [Peer(Dashboard(server.url, browser.cookie), number) for _ in range(dashboards)]
        self._all = [*self.senders, *self.dashboards]
        for peer in self._all:
            self._selector.register(peer.connection, selectors.EVENT_READ, peer)
            peer.ask_at = 0.0 if follow else inf
        # A full collection of all that was imported stops this process for 0.1 s, which would count as the server's.
        gc.collect()
        gc.freeze()

    def close(self) -> None:
        self._selector.close()
        for peer in self._all:
            peer.connection.close()

    def next_message(self) -> dict[str, Any]:
        """Return the message of the next patient."""
        about = {"request_id": str(uuid_utils.uuid7()), "patient_reference": None, "entered_at": ENTERED_AT}
        return about | {"record": next(self._records)}

    def send(self, peer: Peer, message: dict[str, Any]) -> None:
        peer.sent[peer.connection.send(Event.PREDICT, message)] = message["request_id"]

    def on_schedule(self, rate: float, seconds: float) -> dict[str, float]:
        """Send patients at a rate over all connections, await the answers, and return when each was due."""
        messages = [self.next_message() for _ in range(round(rate * seconds))]  # made beforehand
        start = time.perf_counter()
        due = {message["request_id"]: start + number / rate for number, message in enumerate(messages)}
        for number, message in enumerate(messages):
            self.run_until(due[message["request_id"]])
            self.send(self.senders[number % len(self.senders)], message)
        self.await_answers(due)
        return due

    def await_answers(self, request_ids: Iterable[str]) -> None:
        """Read until all are answered or refused, and every dashboard holds their entries."""
        wanted = set(request_ids)
        deadline = time.perf_counter() + ANSWER_SECONDS
        while any(wanted - self.refused - came.keys() for came in (self.answered, *(d.came for d in self.dashboards))):
            if time.perf_counter() > deadline:
                sys.exit(f"Waited {ANSWER_SECONDS:.0f} s for the answers of {len(wanted)} patients.")
            self.run_until(time.perf_counter() + 0.05)

    def run_until(self, until: float) -> None:
        """Read and follow until a moment; what has come already is read even if that has passed."""
        is_over = False
        while not is_over:
            now = time.perf_counter()
            is_over = now >= until
            for peer in self._all:
                if peer.ask_at <= now:
                    peer.asked_at, peer.ask_at = now, inf
                    peer.connection.follow()
            # All sixty are looked at each time: keeping them in order would take longer.
            next_one = min(until, *(peer.ask_at for peer in self._all))
            for key, _ in self._selector.select(max(0.0, next_one - time.perf_counter())):
                moment = time.perf_counter()
                for name, said in key.data.connection.hear_at_once():
                    self._take(key.data, name, said, moment)

    def _take(self, peer: Peer, name: str | int, said: Any, moment: float) -> None:
        if isinstance(name, int):
            if said and said["status"] == "refused":  # the usual way acknowledges with nothing at all
                self.refused.add(peer.sent[name])
            return
        if name in (Event.CLOSING, Event.RELOAD):
            sys.exit(f"The server gave a connection up: {said}")
        entries = [said]  # the usual way's one answer
        if self._follow:
            peer.connection.apply(said)
            # As client apps and dashboards do, or the server would have to answer far more often.
            peer.ask_at = peer.asked_at + pace(len(said["entries"]))
            peer.sequences += [entry["sequence"] for entry in said["entries"]]
            entries = [entry for entry in said["entries"] if entry["kind"] == ChangeKind.PREDICTION_MADE]
            peer.connection.entries.clear()
        for entry in entries:
            request_id = entry["request_id"]
            peer.came[request_id] = moment
            if isinstance(peer.connection, ClientApp):
                self.answered[request_id] = moment
                if self._follow:
                    prediction = entry["prediction"]
                    at = datetime.fromisoformat(prediction["made_at"]).timestamp()
                    self.made[request_id] = Made(prediction["prediction_id"], at, peer.server)
                self.on_answer(peer)
