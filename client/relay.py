"""What carries the outbox to the server and the server's log back: one thread, and one connection at a time."""

import logging
import math
import queue
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
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
    Withdrawal,
)
from config.settings import ClientSettings

log = logging.getLogger(__name__)

IN_FLIGHT: Final = 32
"""The most requests that are sent and not yet answered."""

CONNECT_SECONDS: Final = 12.0
"""For all steps of an attempt, each of which has its own time-out."""

FIRST_PAUSE_SECONDS: Final = 0.5
SHORTEST_PAUSE_SECONDS: Final = 0.2
STOP_SECONDS: Final = 5.0

FAILED: Final = "The link to the server failed on an unexpected error. Retrying; this client app's log has the details."

OTHER_IDENTITY: Final = "The server knows this client app by another name. Check CLIENT_ID and its token."

WAKE: Final = "wake"
WITHDRAWN: Final = "withdrawn"
"""With the id of a request that may be on its way."""

_jitter = random.SystemRandom()


@dataclass(frozen=True)
class Patience:
    """How long to wait, in seconds."""

    first_answer: float = 3.0
    """From the server's log, which answers the first question of a connection at once."""
    answer: float = 25.0
    """It holds a later one back for 20 s if there is nothing new."""
    refused: float = 30.0
    """Until the next attempt, after the server refused for good."""
    replaced: float = 600.0
    """The same, after another client app of this name took over."""


def pauses(longest_seconds: float) -> Iterator[float]:
    """Yield pauses in seconds that double up to a longest one.

    Each is shortened by up to a half at random, so that client apps that lost the same server come back one by one.
    """
    pause = FIRST_PAUSE_SECONDS
    while True:
        yield min(pause, longest_seconds) * _jitter.uniform(0.5, 1)
        pause = min(2 * pause, longest_seconds)


def pace(entries: int) -> float:
    """Return how many seconds lie between two questions to the log, by the entries that the last answer held.

    When little happens, an answer comes within milliseconds; under load, entries are read together. At 200 entries a
    second, the slowest of 10 dashboards has them after 10.5 ms (p99 17), not after 30 (56) as with 50 ms between any
    two questions; the server's ceiling is the same (1,100 to 1,200 a second).
    """
    return min(0.05, max(0.01, 0.004 * entries))


class _EndedError(Exception):
    """A connection is over; ``refusal`` is the server's reason if it gave one."""

    def __init__(self, refusal: WireError | None = None) -> None:
        super().__init__()
        self.refusal = refusal


@dataclass
class _Flight:
    """A request, or its withdrawal, that was sent; once it is acknowledged, its entry in the log is waited for."""

    event: Event
    deadline: float
    is_acknowledged: bool = False


class _Exchange:
    """What goes over one connection; all of it on the relay's thread."""

    def __init__(self, attempt: Attempt, outbox: Outbox, settings: ClientSettings, patience: Patience) -> None:
        self._attempt = attempt
        self._outbox = outbox
        self._settings = settings
        self._patience = patience
        self._flights: dict[str, _Flight] = {}
        self._holding = pauses(settings.reconnect_max_seconds)
        self._held_until = math.inf  # until it is connected
        self._ticket: str | None = None
        self._asked_at = 0.0
        self._follow_at = math.inf
        self._silence_at = time.monotonic() + CONNECT_SECONDS

    def hear(self, event: str, *data: Any) -> bool:
        """Take what came over the connection; return whether it was an answer from the log.

        Raises
        ------
        _EndedError
            When the connection is over.
        StoreUnavailableError
            When what came cannot be kept.
        """
        said = data[0] if data else None
        try:
            if event == CONNECTED:
                self._held_until = 0.0
                self._follow(self._patience.first_answer)
            elif event == Event.CHANGES:
                self._take(Changes.check(said))
            elif event == RECEIPT:
                self._take_receipt(*data)
            elif event == WITHDRAWN:
                self._flights.pop(str(said), None)  # it is sent again as what it is now
            elif event == Event.CLOSING:
                raise _EndedError(Closing.check(said).reason)
            elif event == ENDED:
                raise _EndedError(said)
        except InvalidMessageError:
            log.error("the server sent %s in a form that is not known here", event)  # noqa: TRY400 - the cause may tell
            raise _EndedError(WireError.of(UnsupportedProtocolError())) from None
        return event == Event.CHANGES

    def work(self) -> float:
        """Do what is due; return for how many seconds nothing else will be. Raises as ``hear`` does."""
        now = time.monotonic()
        overdue = [self._flights.pop(one) for one, flight in list(self._flights.items()) if flight.deadline <= now]
        # What was accepted and has no entry is sent again; a server that says nothing at all needs a new connection.
        if now >= self._silence_at or not all(flight.is_acknowledged for flight in overdue):
            log.warning("the server does not answer; connecting again")
            raise _EndedError
        if now >= self._follow_at:
            self._follow(self._patience.answer)
        # The file is read only if something waits that is not on its way.
        if now >= self._held_until and len(self._flights) < min(IN_FLIGHT, self._outbox.place.waiting):
            for request in self._outbox.waiting(IN_FLIGHT):
                if request.request_id not in self._flights and len(self._flights) < IN_FLIGHT:
                    sent_as = Event.WITHDRAW if isinstance(request, Withdrawal) else Event.PREDICT
                    self._flights[request.request_id] = _Flight(sent_as, now + self._settings.reply_timeout_seconds)
                    self._attempt.send(sent_as, request)
                    log.info("sent to the server: %s", sent_as, extra={"request_id": request.request_id})
        deadlines = [flight.deadline for flight in self._flights.values()]
        # One of the first two is always finite: an answer is waited for, or the next question is due.
        times = [self._silence_at, self._follow_at, self._held_until, *deadlines]
        return min(at for at in times if at > now) - now

    def _follow(self, seconds: float) -> None:
        """Ask for what comes next in the log; the connection is over if no answer comes within ``seconds``."""
        self._asked_at, place = time.monotonic(), self._outbox.place
        self._follow_at, self._silence_at = math.inf, self._asked_at + seconds
        self._attempt.follow(
            Follow(log=place.server_log, after=place.server_after, ticket=self._ticket, waiting=place.waiting)
        )

    def _take(self, changes: Changes) -> None:
        place = self._outbox.place
        if changes.after > (place.server_after if changes.log == place.server_log else 0):
            raise InvalidMessageError  # what is between was not read
        if any(change.client_id != self._settings.client_id for change in changes.entries):
            raise _EndedError(WireError.of(NotAllowedError(OTHER_IDENTITY)))
        if changed := self._outbox.apply(changes):
            for one in changed & self._flights.keys():
                log.info("the answer was saved", extra={"request_id": one})
            self._flights = {one: flight for one, flight in self._flights.items() if one not in changed}
            self._holding = pauses(self._settings.reconnect_max_seconds)
        self._ticket = changes.ticket
        self._follow_at, self._silence_at = self._asked_at + pace(len(changes.entries)), math.inf

    def _take_receipt(self, event: Event, request_id: str, received: object = None, *_more: object) -> None:
        flight = self._flights.get(request_id)
        # Its entry in the log came first, and that is the answer; or it was withdrawn since.
        if flight is None or flight.event != event:
            return
        try:
            receipt = Receipt.check(received)
        except InvalidMessageError:
            log.warning("an acknowledgment that is no message counts as none")
            return
        if receipt.status != "refused":
            # From now on the answer is an entry of the log; if none comes, it is sent again over this connection.
            flight.is_acknowledged = True
            flight.deadline = time.monotonic() + self._settings.reply_timeout_seconds
            return
        del self._flights[request_id]
        error = receipt.error or WireError.of(InternalError())
        if not error.retryable and event == Event.PREDICT:  # a withdrawal ends with an entry of the log alone
            log.warning("the server refused a request for good: %s", error.code, extra={"request_id": request_id})
            self._outbox.refuse(request_id, error)
        elif (now := time.monotonic()) >= self._held_until:
            self._held_until = now + next(self._holding)


class Relay:
    """Carries the outbox to the server and the answers back.

    Everything it does happens on its own thread, out of the queue of the one connection there is; the other methods
    may be called on any thread and never wait for the server. ``nudge`` is called when the outbox or ``status`` has
    changed.
    """

    def __init__(
        self,
        settings: ClientSettings,
        outbox: Outbox,
        *,
        nudge: Callable[[], object],
        clock: Callable[[], datetime],
        patience: Patience = Patience(),
    ) -> None:
        self._settings = settings
        self._outbox = outbox
        self._nudge = nudge
        self._clock = clock
        self._patience = patience
        self._instance = str(uuid.uuid4())
        self._attempts = 0
        self._pauses = pauses(settings.reconnect_max_seconds)
        self._heard: queue.Queue[tuple[Any, ...]] = queue.Queue()
        self._has_work = threading.Event()
        self._is_stopping = threading.Event()
        self._state = LinkStatus(state="connecting", reason=None, since=clock(), waiting=0)
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Hang up and end the thread, if it was started, waiting at most ``STOP_SECONDS``."""
        self._is_stopping.set()
        self.wake()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    def wake(self, withdrawn: str | None = None) -> None:
        """Tell the relay that the outbox holds something new, or which of its requests is withdrawn."""
        self._has_work.set()
        self._heard.put((WITHDRAWN, withdrawn) if withdrawn else (WAKE,))

    def status(self) -> LinkStatus:
        """Return the state of the link and how many requests wait, from memory."""
        return self._state.model_copy(update={"waiting": self._outbox.place.waiting})

    def _run(self) -> None:
        while not self._is_stopping.is_set():
            refusal: WireError | None = None
            try:
                self._use_one_connection()
            except _EndedError as ended:
                refusal = ended.refusal
            except StoreUnavailableError as error:
                refusal = WireError.of(error)
            except Exception:  # clinicians go on entering patients meanwhile: it must not end for good
                log.exception("the link to the server failed")
                refusal = WireError.of(ServerUnreachableError(FAILED))
            try:
                self._rest(refusal)
            except Exception:  # as above; the pause is all that is lost
                log.exception("the state of the link could not be told")
                self._is_stopping.wait(1)

    def _use_one_connection(self) -> None:
        """Use one connection for as long as it lasts; raises what ends it."""
        self._has_work.clear()
        self._outbox.check_writable()  # without a disk there is nothing that a connection would be good for
        self._attempts += 1
        handshake = Handshake(protocol=PROTOCOL_VERSION, instance=self._instance, attempt=self._attempts)
        # A queue of its own, in which an earlier attempt that is still ending cannot be heard.
        self._heard = heard = queue.Queue[tuple[Any, ...]]()
        attempt = Attempt(
            self._settings.server_url,
            self._settings.secrets.token,
            handshake,
            lambda *what: heard.put(what),
            async_mode=self._settings.socketio_async_mode,
        )
        exchange = _Exchange(attempt, self._outbox, self._settings, self._patience)
        try:
            while not self._is_stopping.is_set():
                newest = self._outbox.newest
                try:
                    is_answer = exchange.hear(*heard.get(timeout=exchange.work()))
                except queue.Empty:
                    continue
                if is_answer:
                    self._pauses = pauses(self._settings.reconnect_max_seconds)
                    self._enter("up", None)
                if self._outbox.newest != newest:
                    self._nudge()
        finally:
            attempt.end()

    def _rest(self, refusal: WireError | None) -> None:
        """Pause before the next attempt; a new patient shortens the pause."""
        pause = next(self._pauses)
        if refusal is None or refusal.retryable:
            self._enter("down", refusal.message if refusal else ServerUnreachableError.default_message)
        elif refusal.code == ReplacedConnectionError.code:
            # Coming back at once would disconnect a newer client app, which would come back in turn.
            self._has_work.clear()
            pause = self._patience.replaced
            self._enter("refused", refusal.message)
        else:
            self._enter("refused", refusal.message)
            self._is_stopping.wait(self._patience.refused)  # a new patient changes nothing about such a refusal
            return
        # ``stop`` sets both, this one first, so that clearing the other above cannot hide it.
        if not self._is_stopping.is_set() and self._has_work.wait(pause):
            self._is_stopping.wait(SHORTEST_PAUSE_SECONDS)

    def _enter(self, state: Literal["up", "down", "refused"], reason: str | None) -> None:
        if self._is_stopping.is_set() or (self._state.state, self._state.reason) == (state, reason):
            return
        log.info("link to the server: %s%s", state, f" ({reason})" if reason else "")
        self._state = LinkStatus(state=state, reason=reason, since=self._clock(), waiting=0)
        self._nudge()
