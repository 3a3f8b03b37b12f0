"""Client apps and dashboards at one server or several, all on one thread, so that what is measured is the servers."""

import gc
import selectors
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import cycle
from math import inf
from typing import Any

import orjson
import uuid_utils

from benchmarks.running import RunningServer
from benchmarks.usual_way import shipped_records
from client.relay import pace
from common.messages import CLIENTS_NAMESPACE, OPERATORS_NAMESPACE, PROTOCOL_VERSION, ChangeKind, Event
from tests.support.raw_socket import RawSocket
from tests.support.speaking import Browser

ANSWER_SECONDS = 60.0
ENTERED_AT = datetime.now(UTC).isoformat()


@dataclass(eq=False)
class Peer:
    """One connection: what it asks the log next and when, and when each request's answer came over it."""

    socket: RawSocket
    namespace: str
    server: int = 0
    """Which one it is at."""
    question: dict[str, Any] = field(default_factory=lambda: {"log": None, "after": 0, "ticket": None})
    asked_at: float = 0.0
    ask_at: float = inf
    came: dict[str, float] = field(default_factory=dict)
    sequences: list[int] = field(default_factory=list)
    """Of what it was told of the log, as it came."""


class Peers:
    """Client apps that send patients and follow their own entries, and ``dashboards`` at each server, which follow all.

    With the usual way's server nobody follows: it answers by an event of its own.
    """

    def __init__(self, *servers: RunningServer, dashboards: int = 0, follow: bool = True) -> None:
        # Encoded once: to build and encode a message takes the sender longer than to send it.
        self._records = cycle([orjson.dumps(record.model_dump(mode="json")).decode() for record in shipped_records()])
        self._follow = follow
        self._selector = selectors.DefaultSelector()
        self._sent: list[str] = []
        self.refused: set[str] = set()
        self.answered: dict[str, float] = {}
        self.prediction_ids: dict[str, str] = {}
        self.made: dict[str, tuple[datetime, int]] = {}
        """When a prediction was made, and at which server."""
        self.on_answer: Callable[[Peer], object] = lambda _: None
        self.senders: list[Peer] = []
        self.dashboards: list[Peer] = []
        for number, server in enumerate(servers):
            sockets = [RawSocket(server.url, token=token) for token in server.tokens]
            self.senders += [Peer(socket, CLIENTS_NAMESPACE, number) for socket in sockets]
            browser = Browser(server.url)
            if dashboards:
                browser.sign_in(server.operator_token)
            sockets = [RawSocket(server.url, cookie=browser.cookie) for _ in range(dashboards)]
            self.dashboards += [Peer(socket, OPERATORS_NAMESPACE, number) for socket in sockets]
        self._all = [*self.senders, *self.dashboards]
        for number, peer in enumerate(self._all):
            who = {"protocol": PROTOCOL_VERSION, "instance": f"benchmark-{number}", "attempt": 1}
            if not (said := peer.socket.enter(peer.namespace, who)).startswith("40"):
                sys.exit(f"The server refused a connection: {said}")
            self._selector.register(peer.socket, selectors.EVENT_READ, peer)
            if follow:
                self._ask(peer)
        # A full collection of all that was imported stops this process for 0.1 s, which would count as the server's.
        gc.collect()
        gc.freeze()

    def close(self) -> None:
        self._selector.close()
        for peer in self._all:
            peer.socket.close()

    def next_frame(self) -> tuple[str, str]:
        """Return a request id and the message of the next patient."""
        request_id = str(uuid_utils.uuid7())
        about = f'"request_id":"{request_id}","patient_reference":null,"entered_at":"{ENTERED_AT}"'
        return request_id, f'{{{about},"record":{next(self._records)}}}'

    def send(self, peer: Peer, request_id: str, message: str) -> None:
        peer.socket.send(f'42{peer.namespace},{len(self._sent)}["{Event.PREDICT}",{message}]')
        self._sent.append(request_id)

    def on_schedule(self, rate: float, seconds: float) -> dict[str, float]:
        """Send patients at a rate over all connections, await the answers, and return when each was due."""
        frames = [self.next_frame() for _ in range(round(rate * seconds))]  # made beforehand
        start = time.perf_counter()
        due = {request_id: start + number / rate for number, (request_id, _) in enumerate(frames)}
        for number, (request_id, message) in enumerate(frames):
            self.run_until(due[request_id])
            self.send(self.senders[number % len(self.senders)], request_id, message)
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
                    self._ask(peer)
            # All sixty are looked at each time: keeping them in order would take longer.
            next_one = min(until, *(peer.ask_at for peer in self._all))
            for key, _ in self._selector.select(max(0.0, next_one - time.perf_counter())):
                key.data.socket.read()
                while (content := key.data.socket.take()) is not None:
                    self._hear(key.data, content.decode())

    def _ask(self, peer: Peer) -> None:
        peer.asked_at, peer.ask_at = time.perf_counter(), inf
        peer.socket.send(f'42{peer.namespace},["{Event.FOLLOW}",{orjson.dumps(peer.question).decode()}]')

    def _hear(self, peer: Peer, text: str) -> None:
        head, bracket, content = text.partition("[")
        if text == "2":
            peer.socket.send("3")
        elif head.startswith("43"):
            # Without a parser: the usual way acknowledges with nothing at all.
            if '"refused"' in content:
                self.refused.add(self._sent[int(head.rpartition(",")[2])])
        elif bracket:
            moment = time.perf_counter()
            event, data = orjson.loads(bracket + content)
            if event in (Event.CLOSING, Event.RELOAD):
                sys.exit(f"The server gave a connection up: {text}")
            entries = [data]  # the usual way's one answer
            if self._follow:
                entries = [entry for entry in data["entries"] if entry["kind"] == ChangeKind.PREDICTION_MADE]
                peer.sequences += [entry["sequence"] for entry in data["entries"]]
                peer.question = {"log": data["log"], "after": data["next_after"], "ticket": data["ticket"]}
                # As client apps and dashboards do, or the server would have to answer far more often.
                peer.ask_at = peer.asked_at + pace(len(data["entries"]))
            peer.came.update({entry["request_id"]: moment for entry in entries})
            if peer.namespace == CLIENTS_NAMESPACE:
                self._answer(peer, entries, moment)

    def _answer(self, peer: Peer, entries: Sequence[dict[str, Any]], moment: float) -> None:
        for entry in entries:
            self.answered[entry["request_id"]] = moment
            if self._follow:
                self.prediction_ids[entry["request_id"]] = entry["prediction"]["prediction_id"]
                made_at = datetime.fromisoformat(entry["prediction"]["made_at"])
                self.made[entry["request_id"]] = made_at, peer.server
            self.on_answer(peer)
