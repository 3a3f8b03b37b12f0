"""What carries the outbox to the server and the server's log back: one thread, and one connection at a time."""

import logging
import math
import queue
import random
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from client.attempt import CONNECTED, ENDED, RECEIPT, Attempt
from client.outbox import Outbox
from common.errors import (
    InternalError,
    InvalidMessageError,
    NotAllowedError,
    ReplacedConnectionError,
    ServerUnreachableError,
    StoreUnavailableError,
    UnsupportedProtocolError,
)
from common.messages import (
    PROTOCOL_VERSION,
    Changes,
    Closing,
    Event,
    Follow,
    Handshake,
    LinkStatus,
    Receipt,
    WireError,
)
from config.settings import ClientSettings

log = logging.getLogger(__name__)

CONNECT_SECONDS: Final = 12.0
"""For all steps of an attempt, each of which has its own time-out."""

FIRST_PAUSE_SECONDS: Final = 0.5
SHORTEST_PAUSE_SECONDS: Final = 0.2
STOP_SECONDS: Final = 5.0

STOPPED_WORKING: Final = "The link to the server has stopped working. Restart this client app."

OTHER_IDENTITY: Final = "The server knows this client app by another name. Check CLIENT_ID and its token."

WAKE: Final = "wake"

_jitter = random.SystemRandom()


@dataclass(frozen=True)
class Patience:
    """For how many seconds what is waited for."""

    first_answer: float = 3.0
    """From the server's log, which answers the first question of a connection at once."""
    answer: float = 25.0
    """It holds a later one back for 20 s if there is nothing new."""
    refused: float = 30.0
    """Until the next attempt, after the server refused for good."""
    replaced: float = 600.0
    """The same, after another client app of this name took over."""


class Backoff:
    """Pauses that double up to a longest one, each shortened by up to a half at random, so that nobody keeps step."""

    def __init__(self, longest_seconds: float) -> None:
        self._longest = longest_seconds
        self._failures = 0

    def next_pause(self) -> float:
        """Return the next pause in seconds."""
        pause = min(self._longest, FIRST_PAUSE_SECONDS * 2.0 ** min(self._failures, 32))
        self._failures += 1
        return pause * _jitter.uniform(0.5, 1)

    def reset(self) -> None:
        self._failures = 0


def pace(entries: int) -> float:
    """Return how many seconds lie between two questions to the log, by the entries that the last answer held.

    When little happens, an answer comes within milliseconds; under load, entries are read together. At 200 entries a
    second, the slowest of 10 dashboards has them after 10.5 ms (p99 17), not after 30 (56) as with 50 ms between any
    two questions; the server's ceiling is the same (1,100 to 1,200 a second).
    """
    return min(0.05, max(0.01, 0.004 * entries))


class _EndedError(Exception):
    """A connection is over; ``refusal`` is the server's reason if it gave one."""

    def __init__(self, refusal: WireError | None) -> None:
        super().__init__()
        self.refusal = refusal


@dataclass
class _Flight:
    """A request that was sent; once it is acknowledged, its entry in the log is what is waited for."""

    deadline: float
    is_acknowledged: bool = False


class _Exchange:
    """What goes over one connection; all of it on the relay's thread."""

    def __init__(
        self, attempt: Attempt, outbox: Outbox, settings: ClientSettings, patience: Patience, holding: Backoff
    ) -> None:
        self._attempt = attempt
        self._outbox = outbox
        self._settings = settings
        self._patience = patience
        self._holding = holding
        self._flights: dict[str, _Flight] = {}
        self._is_connected = False
        self._held_until = 0.0
        self._silence_at = time.monotonic() + CONNECT_SECONDS
        self._ticket: str | None = None
        self._asked = Follow(log=None, after=0, ticket=None)
        self._follow_at: float | None = None
        self._asked_at = 0.0

    def hear(self, event: str, data: Any) -> bool:
        """Take what came over the connection; return whether it was an answer from the log.

        Raises
        ------
        _EndedError
            When the connection is over.
        StoreUnavailableError
            When what came cannot be kept.
        """
        try:
            if event == CONNECTED:
                self._is_connected = True
                self._follow(self._patience.first_answer)
            elif event == Event.CHANGES:
                self._take(Changes.check(data))
            elif event == RECEIPT:
                self._take_receipt(*data)
            elif event == Event.CLOSING:
                raise _EndedError(Closing.check(data).reason)
            elif event == ENDED:
                raise _EndedError(data)
        except InvalidMessageError:
            log.error("the server sent %s in a form that is not known here", event)  # noqa: TRY400 - the cause may tell
            raise _EndedError(WireError.of(UnsupportedProtocolError())) from None
        return event == Event.CHANGES

    def work(self) -> float:
        """Do what is due; return for how many seconds nothing else will be. Raises as ``hear`` does."""
        now = time.monotonic()
        if now >= self._silence_at:
            log.warning("the server does not answer; connecting again")
            raise _EndedError(None)
        self._look_after_flights(now)
        if self._follow_at is not None and now >= self._follow_at:
            self._follow(self._patience.answer)
        window = min(self._settings.in_flight, self._outbox.place.waiting)
        if self._is_connected and now >= self._held_until and len(self._flights) < window:
            self._send_waiting(now)
        times = [self._silence_at, *(flight.deadline for flight in self._flights.values())]
        times += [time for time in (self._follow_at, self._held_until) if time and time > now]
        return max(0.0, min(times) - now)

    def _send_waiting(self, now: float) -> None:
        """Fill the window with the oldest requests that are unanswered."""
        for request in self._outbox.waiting(self._settings.in_flight):
            if request.request_id not in self._flights and len(self._flights) < self._settings.in_flight:
                self._flights[request.request_id] = _Flight(now + self._settings.reply_timeout_seconds)
                self._attempt.predict(request)

    def _look_after_flights(self, now: float) -> None:
        overdue = [request_id for request_id, flight in self._flights.items() if flight.deadline <= now]
        for request_id in overdue:
            if not self._flights.pop(request_id).is_acknowledged:
                log.warning("the server acknowledges nothing; connecting again")
                raise _EndedError(None)

    def _follow(self, seconds: float) -> None:
        self._asked_at, place = time.monotonic(), self._outbox.place
        self._follow_at, self._silence_at = None, self._asked_at + seconds
        self._asked = Follow(log=place.server_log, after=place.server_after, ticket=self._ticket, waiting=place.waiting)
        self._attempt.follow(self._asked)

    def _take(self, changes: Changes) -> None:
        if changes.after > (self._asked.after if changes.log == self._asked.log else 0):
            raise InvalidMessageError  # what is between was not read
        if any(change.client_id != self._settings.client_id for change in changes.entries):
            log.error("the server sent entries that belong to another client app")
            raise _EndedError(WireError.of(NotAllowedError(OTHER_IDENTITY)))
        changed = self._outbox.apply(changes)
        for request_id in changed:
            self._flights.pop(request_id, None)
        if changed:
            self._holding.reset()
        self._ticket = changes.ticket
        self._follow_at, self._silence_at = self._asked_at + pace(len(changes.entries)), math.inf

    def _take_receipt(self, request_id: str, received: object) -> None:
        flight = self._flights.get(request_id)
        if flight is None:
            return  # the log was faster
        try:
            receipt = Receipt.check(received)
        except InvalidMessageError:
            log.warning("an acknowledgement that is no message counts as none")
            return
        if receipt.status == "refused":
            self._take_refusal(request_id, receipt.error or WireError.of(InternalError()))
        else:
            flight.is_acknowledged = True
            flight.deadline = time.monotonic() + self._settings.reply_timeout_seconds

    def _take_refusal(self, request_id: str, error: WireError) -> None:
        del self._flights[request_id]
        if not error.retryable:
            log.warning("the server refused a request for good: %s", error.code)
            self._outbox.refuse(request_id, error)
        elif (now := time.monotonic()) >= self._held_until:
            self._held_until = now + self._holding.next_pause()


class Relay:
    """Carries the outbox to the server and the answers back.

    Everything it does happens on its own thread, out of one queue that all connections talk to; the other methods may
    be called on any thread and never wait for the server. ``nudge`` tells that the outbox or ``status`` has changed.
    """

    def __init__(
        self,
        settings: ClientSettings,
        *,
        token: str,
        outbox: Outbox,
        nudge: Callable[[], object],
        clock: Callable[[], datetime],
        patience: Patience = Patience(),
    ) -> None:
        self._settings = settings
        self._token = token
        self._outbox = outbox
        self._nudge = nudge
        self._clock = clock
        self._patience = patience
        self._instance = str(uuid.uuid4())
        self._attempts = 0
        self._doubts_disk = True
        self._reconnecting = Backoff(settings.reconnect_max_seconds)
        self._holding = Backoff(settings.reconnect_max_seconds)
        self._heard: queue.Queue[tuple[Attempt | None, str, Any]] = queue.Queue()
        self._has_work = threading.Event()
        self._stopping = threading.Event()
        self._state = LinkStatus(state="connecting", reason=None, since=clock(), waiting=0)
        self._on_failure: Callable[[], object] = nudge
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    def start(self, *, on_failure: Callable[[], object] | None = None) -> None:
        """Begin to work; ``on_failure`` is called, on the relay's thread, when an unexpected exception ends it."""
        self._on_failure = on_failure or self._on_failure
        self._thread.start()

    def stop(self) -> None:
        """Hang up and end the thread, waiting at most ``STOP_SECONDS``."""
        self._stopping.set()
        self._hear(None, WAKE, None)
        self._thread.join(STOP_SECONDS)

    def wake(self) -> None:
        """Say that the outbox holds something new."""
        self._has_work.set()
        self._hear(None, WAKE, None)

    def status(self) -> LinkStatus:
        """Return the state of the link and how many requests wait, from memory."""
        return self._state.model_copy(update={"waiting": self._outbox.place.waiting})

    def _hear(self, attempt: Attempt | None, event: str, data: Any) -> None:
        self._heard.put((attempt, event, data))

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._has_work.clear()
                try:
                    refusal = self._use_one_connection()
                except StoreUnavailableError as error:
                    self._doubts_disk = True
                    refusal = WireError.of(error)
                self._rest(refusal)
        except Exception:
            log.exception("the link to the server has stopped working")
            self._enter("down", STOPPED_WORKING)
            self._on_failure()

    def _use_one_connection(self) -> WireError | None:
        """Use one connection for as long as it lasts; return the server's reason for ending it, if it gave one."""
        if self._doubts_disk:
            self._outbox.check_writable()  # without a disk there is nothing that a connection would be good for
            self._doubts_disk = False
        self._attempts += 1
        handshake = Handshake(protocol=PROTOCOL_VERSION, instance=self._instance, attempt=self._attempts)
        attempt = Attempt(self._settings.server_url, self._token, handshake, self._hear)
        exchange = _Exchange(attempt, self._outbox, self._settings, self._patience, self._holding)
        try:
            while not self._stopping.is_set():
                newest = self._outbox.newest
                heard = self._next(exchange.work())
                if heard and heard[0] is attempt and exchange.hear(*heard[1:]):
                    self._reconnecting.reset()
                    self._enter("up", None)
                if self._outbox.newest != newest:
                    self._nudge()
        except _EndedError as ended:
            return ended.refusal
        finally:
            attempt.end()
        return None

    def _next(self, seconds: float) -> tuple[Attempt | None, str, Any] | None:
        try:
            return self._heard.get(timeout=seconds)
        except queue.Empty:
            return None

    def _rest(self, refusal: WireError | None) -> None:
        """Pause before the next attempt; new work shortens the pause unless the server refused."""
        if self._stopping.is_set():
            return
        shortest = SHORTEST_PAUSE_SECONDS
        if refusal and refusal.code == ReplacedConnectionError.code:
            # Coming back at once would throw the newer client app out, which would come back in turn.
            self._has_work.clear()
            self._enter("refused", refusal.message)
            longest = self._patience.replaced
        elif refusal and not refusal.retryable:
            self._enter("refused", refusal.message)
            shortest = longest = self._patience.refused
        else:
            self._enter("down", refusal.message if refusal else ServerUnreachableError.default_message)
            longest = self._reconnecting.next_pause()
        began = time.monotonic()
        while not self._stopping.is_set():
            left = (shortest if self._has_work.is_set() else longest) - (time.monotonic() - began)
            if left <= 0:
                return
            self._next(left)

    def _enter(self, state: Literal["up", "down", "refused"], reason: str | None) -> None:
        if (self._state.state, self._state.reason) != (state, reason):
            log.info("link to the server: %s%s", state, f" ({reason})" if reason else "")
            self._state = LinkStatus(state=state, reason=reason, since=self._clock(), waiting=0)
            self._nudge()
