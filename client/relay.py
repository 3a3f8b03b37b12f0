"""The standing link to the server: one thread that connects, catches up, sends what waits and keeps the answers."""

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final, Literal

from client.backoff import Backoff
from client.change_log import ChangeLogReader
from client.exchange import Exchange, Publish
from client.outbox import Outbox
from client.server_api import ServerApi
from common.errors import (
    DetectionSystemError,
    ReplacedConnectionError,
    ServerUnreachableError,
    StoreUnavailableError,
)
from common.messages import CLIENTS_NAMESPACE, PROTOCOL_VERSION, Event, Handshake, LinkStatus, WireError
from common.web.link import Link, LinkError
from config.settings import ClientSettings

log = logging.getLogger(__name__)

REFUSED_PAUSE_SECONDS: Final = 30.0
REPLACED_PAUSE_SECONDS: Final = 600.0
CATCH_UP_SECONDS: Final = 60.0
SHORTEST_PAUSE_SECONDS: Final = 0.2
IDLE_SECONDS: Final = 30.0
STOP_SECONDS: Final = 5.0

STOPPED_WORKING: Final = "The link to the server has stopped working. Restart this client app."

LinkState = Literal["up", "connecting", "down", "refused"]


@dataclass(frozen=True)
class _State:
    state: LinkState
    reason: str | None
    since: datetime


class Relay:
    """Carries the outbox to the server and the answers back.

    Everything it does happens on its own thread, one piece of work after the other out of its inbox; the other methods
    may be called on any thread and never wait for the server.
    """

    def __init__(
        self,
        settings: ClientSettings,
        *,
        token: str,
        outbox: Outbox,
        publish: Publish,
        clock: Callable[[], datetime],
        refused_pause: float = REFUSED_PAUSE_SECONDS,
        replaced_pause: float = REPLACED_PAUSE_SECONDS,
        catch_up_every: float = CATCH_UP_SECONDS,
    ) -> None:
        self._settings = settings
        self._token = token
        self._outbox = outbox
        self._publish = publish
        self._clock = clock
        self._refused_pause = refused_pause
        self._replaced_pause = replaced_pause
        self._catch_up_every = catch_up_every
        self._change_log = ChangeLogReader(ServerApi(settings.server_url, token))
        self._reconnecting = Backoff(settings.reconnect_max_seconds)
        self._catching_up = Backoff(settings.reconnect_max_seconds)
        self._catch_up_at = 0.0
        self._is_numbered = False
        self._inbox: queue.Queue[Callable[[], None]] = queue.Queue()
        self._has_work = threading.Event()
        self._stopping = threading.Event()
        self._state = _State("connecting", None, clock())
        self._reported: LinkStatus | None = None
        self._on_failure: Callable[[], object] = _nothing
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)

    @property
    def is_up(self) -> bool:
        return self._state.state == "up"

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    def start(self, *, on_failure: Callable[[], object] | None = None) -> None:
        """Begin to work; ``on_failure`` is called, on the relay's thread, when an unexpected exception ends it."""
        self._on_failure = on_failure or _nothing
        self._thread.start()

    def stop(self) -> None:
        """Close the link and end the thread, waiting at most ``STOP_SECONDS``."""
        self._stopping.set()
        self._post(_nothing)
        self._thread.join(STOP_SECONDS)

    def wake(self) -> None:
        """Say that the outbox holds something new."""
        self._has_work.set()
        self._post(_nothing)

    def status(self) -> LinkStatus:
        """Return the state of the link and how many requests wait; raises ``StoreUnavailableError``."""
        now = self._state
        return LinkStatus(state=now.state, reason=now.reason, since=now.since, waiting=self._outbox.count_waiting())

    def _post(self, work: Callable[[], None]) -> None:
        self._inbox.put(work)

    def _run(self) -> None:
        try:
            self._work()
        except Exception:
            log.exception("the link to the server has stopped working")
            try:
                self._enter("down", STOPPED_WORKING)
            finally:
                self._on_failure()

    def _work(self) -> None:
        while not self._stopping.is_set():
            self._has_work.clear()
            try:
                refusal = self._connect_and_serve()
            except LinkError as error:
                log.debug("no connection: %r", error.__cause__)
                refusal = error.refusal
            except StoreUnavailableError as error:
                refusal = WireError.of(error)
            if not self._stopping.is_set():
                self._rest(refusal)

    def _connect_and_serve(self) -> WireError | None:
        """Use one connection for as long as it lasts; return the server's reason for ending it, if it gave one."""
        exchange = Exchange(
            self._outbox,
            client_id=self._settings.client_id,
            window=self._settings.in_flight,
            reply_timeout=self._settings.reply_timeout_seconds,
            backoff=Backoff(self._settings.reconnect_max_seconds),
            publish=self._publish,
            post=self._post,
        )
        link = Link(CLIENTS_NAMESPACE, on_event=exchange.deliver, on_closed=partial(self._post, _nothing))
        handshake = Handshake(protocol=PROTOCOL_VERSION, token=self._token, waiting=self._outbox.count_waiting())
        link.connect(self._settings.server_url, handshake)
        try:
            self._enter("up", None)
            self._serve(link, exchange)
        finally:
            link.close()
            self._finish_inbox()
        return exchange.refusal

    def _serve(self, link: Link, exchange: Exchange) -> None:
        self._catch_up_at = time.monotonic()
        while link.is_up and not self._stopping.is_set():
            try:
                self._catch_up_if_due(link, exchange)
                if self._has_settled_numbers():
                    exchange.send_waiting(link)
                self._report()
            except StoreUnavailableError:
                exchange.hold()
            self._do_next(exchange.seconds_to_next_duty(at_most=self._seconds_to_catch_up()))

    def _catch_up_if_due(self, link: Link, exchange: Exchange) -> None:
        if time.monotonic() < self._catch_up_at:
            return
        try:
            while link.is_up and not self._stopping.is_set() and self._catch_up_by_a_page(exchange):
                self._reconnecting.reset()
            if link.is_up and not exchange.has_sent:
                self._settle_numbers(exchange)
        except DetectionSystemError as error:
            pause = self._catching_up.next_pause()
            log.warning("missed entries could not be fetched, next attempt in %.1f s: %s", pause, error)
            self._catch_up_at = time.monotonic() + pause
        else:
            self._reconnecting.reset()
            self._catching_up.reset()
            # What comes over the link may get lost on the way or find no room on this disk.
            self._catch_up_at = time.monotonic() + self._catch_up_every

    def _catch_up_by_a_page(self, exchange: Exchange) -> bool:
        """Take one run of missed entries; return whether there are more."""
        after = self._outbox.caught_up_to()
        changes = self._change_log.read(after)
        for news in self._outbox.take(changes):
            exchange.settle(news)
        return changes.has_more and changes.next_after > changes.after

    def _settle_numbers(self, exchange: Exchange) -> None:
        for entry in self._outbox.settle_numbers():
            exchange.settle(entry)

    def _has_settled_numbers(self) -> bool:
        """Tell whether anything may be sent: who lost the file first asks how far its numbers had gone."""
        self._is_numbered = self._is_numbered or self._outbox.has_settled_numbers()
        return self._is_numbered

    def _seconds_to_catch_up(self) -> float:
        return min(IDLE_SECONDS, self._catch_up_at - time.monotonic())

    def _do_next(self, seconds: float) -> None:
        """Do the next piece of work, if one comes in time."""
        try:
            work = self._inbox.get(timeout=max(0.0, seconds))
        except queue.Empty:
            return
        try:
            work()
        except StoreUnavailableError:
            log.warning("what the server sent could not be kept; it is asked for again")
            self._catch_up_at = time.monotonic()

    def _finish_inbox(self) -> None:
        while not self._inbox.empty():
            self._do_next(0)

    def _rest(self, refusal: WireError | None) -> None:
        """Pause before the next attempt; new work shortens the pause unless the server refused."""
        if refusal and refusal.code == ReplacedConnectionError.code:
            # Coming back at once would throw the newer client app out, which would come back in turn.
            self._has_work.clear()
            self._enter("refused", refusal.message)
            shortest, longest = SHORTEST_PAUSE_SECONDS, self._replaced_pause
        elif refusal and not refusal.retryable:
            self._enter("refused", refusal.message)
            shortest = longest = self._refused_pause
        else:
            self._enter("down", refusal.message if refusal else ServerUnreachableError.default_message)
            shortest, longest = SHORTEST_PAUSE_SECONDS, self._reconnecting.next_pause()
        began = time.monotonic()
        while not self._stopping.is_set():
            rested = time.monotonic() - began
            if rested >= longest or (rested >= shortest and self._has_work.is_set()):
                return
            self._do_next((shortest if self._has_work.is_set() else longest) - rested)
            self._report_if_possible()

    def _enter(self, state: LinkState, reason: str | None) -> None:
        if (self._state.state, self._state.reason) != (state, reason):
            log.info("link to the server: %s%s", state, f" ({reason})" if reason else "")
            self._state = _State(state, reason, self._clock())
        self._report_if_possible()

    def _report_if_possible(self) -> None:
        try:
            self._report()
        except StoreUnavailableError:
            log.warning("the pages could not be told how many requests wait")

    def _report(self) -> None:
        status = self.status()
        if status != self._reported:
            self._reported = status
            self._publish(Event.LINK_STATUS, status)


def _nothing() -> None:
    """Only wakes the relay."""
