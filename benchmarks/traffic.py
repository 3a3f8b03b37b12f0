"""Client apps and dashboards at one server, all on one thread, so that what is measured is the server."""

import heapq
import re
import selectors
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import count

import orjson
import uuid_utils

from benchmarks.running import RunningServer
from client.relay import pace
from common.messages import CLIENTS_NAMESPACE, OPERATORS_NAMESPACE, PROTOCOL_VERSION, Event
from common.patient import PatientRecord
from tests.support.raw_socket import RawSocket
from tests.support.speaking import Browser

ANSWER_SECONDS = 60.0
ENTERED_AT = datetime.now(UTC).isoformat()

_REQUEST_ID = re.compile(r'"request_id":"([^"]+)"')
_PREDICTION_ID = re.compile(r'"prediction":\{"prediction_id":"([^"]+)"')
_PLACE = re.compile(r'"log":"([^"]+)".*?"next_after":(\d+)')
_TICKET = re.compile(r'"ticket":"([^"]+)"')
_ACKNOWLEDGED = re.compile(r"43/clients,(\d+)\[(.*)")
_USUAL_ANSWER = "prediction_result"


@dataclass(eq=False)
class Peer:
    """One connection, when each entry came over it (``time.perf_counter``), and how far it has read."""

    socket: RawSocket
    namespace: str
    is_sender: bool = False
    came: dict[str, float] = field(default_factory=dict)
    log: str | None = None
    after: int = 0
    asked_at: float = 0.0


class Peers:
    """Client apps that send patients and follow their own entries, and dashboards that follow all.

    With the usual way's server nobody follows: it answers by an event of its own.
    """

    def __init__(self, server: RunningServer, records: Sequence[PatientRecord], *, follow: bool = True) -> None:
        # Made once: to build and encode a message takes the sender longer than to send it.
        self._records = [orjson.dumps(record.model_dump(mode="json")).decode() for record in records]
        self._server = server
        self._follow = follow
        self._numbers = count()
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Callable[[], object]]] = []
        self._stack = ExitStack()
        self._stack.callback(self._selector.close)
        self._browser = Browser(server.url)
        self._sent: list[str] = []
        self.refused: set[str] = set()
        self.answered: dict[str, float] = {}
        self.prediction_ids: dict[str, str] = {}
        self.on_answer: Callable[[Peer], object] = lambda _: None
        self.senders = [self._client_app(token) for token in server.tokens]
        self.dashboards: list[Peer] = []

    def close(self) -> None:
        self._stack.close()

    def add_dashboard(self) -> None:
        """Connect a dashboard that follows from now on."""
        if not self._browser.cookie:
            self._browser.sign_in(self._server.operator_token)
        peer = Peer(RawSocket(self._server.url, cookie=self._browser.cookie), OPERATORS_NAMESPACE)
        self._load(peer)
        self.dashboards.append(peer)
        self._join(peer, {"protocol": PROTOCOL_VERSION})

    def next_frame(self) -> tuple[str, str]:
        """Return a request id and the message of the next patient."""
        request_id = str(uuid_utils.uuid7())
        record = self._records[next(self._numbers) % len(self._records)]
        return request_id, (
            f'{{"request_id":"{request_id}","patient_reference":null,"entered_at":"{ENTERED_AT}","record":{record}}}'
        )

    def send(self, peer: Peer, request_id: str, message: str) -> None:
        peer.socket.send(f'42{peer.namespace},{len(self._sent)}["{Event.PREDICT}",{message}]')
        self._sent.append(request_id)

    def on_schedule(self, rate: float, seconds: float) -> dict[str, float]:
        """Send patients at a rate over all connections, await the answers, and return when each was due."""
        frames = [self.next_frame() for _ in range(round(rate * seconds))]  # made beforehand
        due: dict[str, float] = {}
        start = time.perf_counter()
        for number, (request_id, message) in enumerate(frames):
            due[request_id] = start + number / rate
            self._run(due[request_id])
            self.send(self.senders[number % len(self.senders)], request_id, message)
        self.await_answers(due)
        return due

    def await_answers(self, request_ids: Iterable[str]) -> None:
        """Read until all are answered or refused, and every dashboard holds their entries."""
        wanted = set(request_ids)
        deadline = time.perf_counter() + ANSWER_SECONDS
        while any(
            wanted - self.refused - came.keys() for came in [self.answered, *(one.came for one in self.dashboards)]
        ):
            if time.perf_counter() > deadline:
                sys.exit(f"Waited {ANSWER_SECONDS:.0f} s for the answers of {len(wanted)} patients.")
            self.run_for(0.05)

    def run_for(self, seconds: float) -> None:
        """Read and follow for so long."""
        self._run(time.perf_counter() + seconds)

    def _client_app(self, token: str) -> Peer:
        peer = Peer(RawSocket(self._server.url, token=token), CLIENTS_NAMESPACE, is_sender=True)
        self._join(peer, {"protocol": PROTOCOL_VERSION, "instance": str(uuid_utils.uuid7()), "attempt": 1})
        return peer

    def _join(self, peer: Peer, auth: object) -> None:
        self._stack.enter_context(peer.socket)
        if not (said := peer.socket.enter(peer.namespace, auth)).startswith("40"):
            sys.exit(f"The server refused a connection: {said}")
        self._selector.register(peer.socket, selectors.EVENT_READ, peer)
        if self._follow:
            self._ask(peer, None)

    def _run(self, until: float) -> None:
        """Read and follow until a moment; what is there already is read even if that has passed."""
        is_over = False
        while not is_over:
            now = time.perf_counter()
            is_over = now >= until
            while self._timers and self._timers[0][0] <= now:
                heapq.heappop(self._timers)[2]()
            next_one = min(until, self._timers[0][0]) if self._timers else until
            for key, _ in self._selector.select(max(0.0, next_one - time.perf_counter())):
                key.data.socket.read()
                self._hear(key.data)

    def _hear(self, peer: Peer) -> None:
        while (content := peer.socket.take()) is not None:
            self._hear_one(peer, content.decode(), time.perf_counter())

    def _hear_one(self, peer: Peer, text: str, moment: float) -> None:
        head = text[:80]
        if text == "2":
            peer.socket.send("3")
        elif acknowledged := _ACKNOWLEDGED.match(text):
            if '"refused"' in acknowledged[2]:
                self.refused.add(self._sent[int(acknowledged[1])])
        elif Event.CHANGES in head or _USUAL_ANSWER in head:
            self._ask_in_time(peer, text, pace(self._take(peer, text, moment)))
        elif Event.RELOAD in head:
            self._load(peer)
            self._ask_in_time(peer, text, 0)
        elif Event.CLOSING in head:
            sys.exit(f"The server closed a connection: {text}")

    def _take(self, peer: Peer, text: str, moment: float) -> int:
        """Note what came and when; return how many entries."""
        if self._follow and (place := _PLACE.search(text)):
            peer.log, peer.after = place[1], int(place[2])
        came = dict.fromkeys(_REQUEST_ID.findall(text), moment)
        peer.came.update(came)
        if peer.is_sender:
            self.answered.update(came)
            self.prediction_ids.update(zip(came, _PREDICTION_ID.findall(text), strict=False))
            for _ in came:
                self.on_answer(peer)
        return len(came)

    def _ask_in_time(self, peer: Peer, answer: str, pause: float) -> None:
        if not (ticket := _TICKET.search(answer, max(0, len(answer) - 100))):
            return  # from the usual way's server, which is not followed
        if (due := peer.asked_at + pause) <= time.perf_counter():
            self._ask(peer, ticket[1])
        else:
            ask: Callable[[], object] = partial(self._ask, peer, ticket[1])
            heapq.heappush(self._timers, (due, next(self._numbers), ask))

    def _ask(self, peer: Peer, ticket: str | None) -> None:
        peer.asked_at = time.perf_counter()
        question = {"log": peer.log, "after": peer.after, "ticket": ticket}
        peer.socket.send(f'42{peer.namespace},["{Event.FOLLOW}",{orjson.dumps(question).decode()}]')

    def _load(self, peer: Peer) -> None:
        """Load the page, which shows the newest predictions, and go on from there."""
        loaded = self._browser.get("/api/predictions").json
        peer.log, peer.after = loaded["log"], loaded["after"]
