"""The traffic of one connection to the server: requests in outbox order, so many in flight, and their answers."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

from client.backoff import Backoff
from client.outbox import News, Outbox
from common.errors import ErasedError, InternalError, InvalidMessageError, ReplacedConnectionError
from common.messages import (
    EntryErased,
    Event,
    ExplanationFinished,
    ExplanationSentence,
    Message,
    Prediction,
    PredictionErased,
    PredictionRefused,
    PredictRequest,
    Receipt,
    WireError,
)

log = logging.getLogger(__name__)

Publish = Callable[[Event, Message], None]
"""Tells the pages of this client app."""

Post = Callable[[Callable[[], None]], None]
"""Leaves a piece of work to the relay's own thread."""


class Sender(Protocol):
    """The sending half of a link."""

    def send(self, event: str, message: Message, *, acknowledged: Callable[..., object]) -> None: ...


@dataclass(frozen=True)
class _InFlight:
    outbox_number: int
    deadline: float


class Exchange:
    """The traffic of one connection; used on the relay's thread only, but for ``deliver``."""

    def __init__(
        self,
        outbox: Outbox,
        *,
        client_id: str,
        window: int,
        reply_timeout: float,
        backoff: Backoff,
        publish: Publish,
        post: Post,
    ) -> None:
        self._outbox = outbox
        self._client_id = client_id
        self._window = window
        self._reply_timeout = reply_timeout
        self._backoff = backoff
        self._publish = publish
        self._post = post
        self._in_flight: dict[str, _InFlight] = {}
        self._sent_up_to = 0
        self._held_until = 0.0
        self.refusal: WireError | None = None
        """Why the server is about to close this connection, if it said so."""
        self._handlers: Final[dict[str, Callable[[object], None]]] = {
            Event.PREDICTION_RESULT: self._take_result,
            Event.PREDICTION_REFUSED: self._take_refusal,
            Event.EXPLANATION_SENTENCE: self._take_sentence,
            Event.EXPLANATION_FINISHED: self._take_explanation,
            Event.PREDICTION_ERASED: self._take_erasure,
            Event.CONNECTION_REPLACED: self._take_replacement,
        }

    def deliver(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Accept an event on any thread; it is handled on the relay's."""
        self._post(partial(self._receive, event, arguments))

    def send_waiting(self, sender: Sender) -> None:
        """Send what the window has room for, from the first unanswered request on, the overdue ones again."""
        now = time.monotonic()
        self._put_back_overdue(now)
        if now < self._held_until:
            return
        while (room := self._window - len(self._in_flight)) > 0:
            requests = self._outbox.waiting(after=self._sent_up_to, limit=room)
            if not requests:
                return
            for request in requests:
                self._send(sender, request)

    def hold(self) -> None:
        """Send nothing for a while; the pauses grow until the server answers something."""
        now = time.monotonic()
        if now >= self._held_until:
            self._held_until = now + self._backoff.next_pause()

    @property
    def has_sent(self) -> bool:
        """Whether anything was sent over this connection."""
        return self._sent_up_to > 0

    def settle(self, news: News) -> None:
        """Tell the pages of an entry that changed or was erased, and wait for its answer no longer."""
        if isinstance(news, EntryErased) or news.state != "queued":
            self._in_flight.pop(news.request_id, None)
        self._publish(Event.ENTRY_ERASED if isinstance(news, EntryErased) else Event.UPDATE, news)

    def seconds_to_next_duty(self, at_most: float) -> float:
        """Return how long ``send_waiting`` has nothing to do by itself."""
        now = time.monotonic()
        times = [flight.deadline for flight in self._in_flight.values()]
        if now < self._held_until:
            times.append(self._held_until)
        return max(0.0, min([at_most, *(moment - now for moment in times)]))

    def _send(self, sender: Sender, request: PredictRequest) -> None:
        self._sent_up_to = request.outbox_number
        if request.request_id in self._in_flight:
            return
        self._wait_for(request.request_id, request.outbox_number)
        sender.send(Event.PREDICT, request, acknowledged=partial(self._deliver_receipt, request.request_id))

    def _wait_for(self, request_id: str, outbox_number: int) -> None:
        self._in_flight[request_id] = _InFlight(outbox_number, time.monotonic() + self._reply_timeout)

    def _put_back_overdue(self, now: float) -> None:
        overdue = [request_id for request_id, flight in self._in_flight.items() if flight.deadline <= now]
        for request_id in overdue:
            self._put_back(request_id)
        if overdue:
            log.warning("%d requests were not answered in time and are sent again", len(overdue))

    def _put_back(self, request_id: str) -> None:
        if flight := self._in_flight.pop(request_id, None):
            self._sent_up_to = min(self._sent_up_to, flight.outbox_number - 1)

    def _deliver_receipt(self, request_id: str, *arguments: Any) -> None:
        self._post(partial(self._handle, "receipt", partial(self._take_receipt, request_id), arguments))

    def _receive(self, event: str, arguments: tuple[Any, ...]) -> None:
        handler = self._handlers.get(event)
        if handler is None:
            log.warning("dropped an event that is not known here")
        else:
            self._handle(event, handler, arguments)

    def _handle(self, kind: str, handler: Callable[[object], None], arguments: tuple[Any, ...]) -> None:
        try:
            handler(arguments[0] if len(arguments) == 1 else None)
        except InvalidMessageError:
            log.warning("dropped a malformed %s from the server", kind)

    def _take_receipt(self, request_id: str, received: object) -> None:
        receipt = Receipt.check(received)
        if receipt.status == "refused":
            self._refuse(request_id, receipt.error or WireError.of(InternalError()))
        elif flight := self._in_flight.get(request_id):
            self._wait_for(request_id, flight.outbox_number)

    def _take_refusal(self, received: object) -> None:
        message = PredictionRefused.check(received)
        self._refuse(message.request_id, message.error)

    def _refuse(self, request_id: str, error: WireError) -> None:
        if error.retryable:
            self._put_back(request_id)
            self.hold()
        elif news := self._refused_for_good(request_id, error):
            log.warning("the server refused a request for good: %s", error.code)
            self.settle(news)

    def _refused_for_good(self, request_id: str, error: WireError) -> News | None:
        """Keep a refused request with the reason, unless the server has erased its answer: then nothing is kept."""
        if error.code == ErasedError.code:
            return self._outbox.forget(request_id)
        return self._outbox.refuse(request_id, error)

    def _take_result(self, received: object) -> None:
        prediction = Prediction.check(received)
        if prediction.client_id != self._client_id:
            log.error("dropped a prediction that belongs to another client app")
            return
        news = self._outbox.answer(prediction)
        self._backoff.reset()
        self._in_flight.pop(prediction.request_id, None)
        if news:
            self.settle(news)

    def _take_sentence(self, received: object) -> None:
        self._publish(Event.EXPLANATION_SENTENCE, ExplanationSentence.check(received))

    def _take_explanation(self, received: object) -> None:
        message = ExplanationFinished.check(received)
        entry = self._outbox.explain(message.prediction_id, message.explanation)
        self._publish(Event.EXPLANATION_FINISHED, message)
        if entry:
            self._publish(Event.UPDATE, entry)

    def _take_erasure(self, received: object) -> None:
        erased = self._outbox.erase(PredictionErased.check(received).prediction_id)
        if erased:
            self.settle(erased)

    def _take_replacement(self, _: object) -> None:
        self.refusal = WireError.of(ReplacedConnectionError())
