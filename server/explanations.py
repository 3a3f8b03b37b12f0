"""The background work of a language model: bounded, and unable to delay or break a prediction."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from common.errors import StoreUnavailableError
from common.messages import Explanation, ExplanationCounts, ExplanationStatus, Prediction
from common.periodic import PeriodicTask
from server.explanation.facts import facts_of_stored
from server.explanation.llama import ExplanationSource, NarrativeError, not_asked
from server.log import ChangeLog
from server.store import Lease, PredictionStore

log = logging.getLogger(__name__)

FAILED: Final = "The language model's explanation failed unexpectedly. The server's log says more."
UNREADABLE: Final = "This prediction's own explanation cannot be read."
EXPIRED: Final = not_asked("the prediction had waited too long for it")
GIVEN_UP: Final = not_asked("several attempts were interrupted")
MAX_REASONS: Final = 20
MAX_TRIES: Final = 3
MAX_AGE: Final = timedelta(hours=2)
LOOK_SECONDS: Final = 5.0
"""Between two looks at what awaits an explanation, if nothing new comes, and between two renewals of leases."""

LEASE_SECONDS: Final = 15.0
"""How long a lease lasts that is not renewed: so soon another process takes over what a killed one was at."""

PAUSE_SECONDS: Final = 1.0
"""Between two attempts to store an explanation."""


@dataclass(eq=False)
class ExplanationWorkers:
    """Asks the language model for one explanation a prediction, several at once.

    What awaits an explanation are rows of the record. A thread leases them, the newest first, and each lease gets a
    worker, which ends it within ``seconds``: with the model's text, or the deterministic one and a reason. While the
    store is unavailable it tries again every second. What a process leaves unfinished another one takes over, after a
    restart as well; what was interrupted ``MAX_TRIES`` times, or is older than ``MAX_AGE``, is not asked for again.
    """

    source: ExplanationSource
    store: PredictionStore
    changes: ChangeLog
    _: KW_ONLY
    clock: Callable[[], datetime]
    seconds: float
    concurrency: int

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting = 0
        self._under_way: dict[str | None, Lease] = {}
        self._renewed = self.clock()
        self._last_failure: str | None = None
        self._by_source: Counter[str] = Counter()
        self._by_reason: Counter[str] = Counter()
        self._leasing = PeriodicTask("explanations", self._lease, seconds=LOOK_SECONDS)
        self._stopping = self._leasing.stopping

    @property
    def enabled(self) -> bool:
        return self.source.writer is not None

    def start(self) -> None:
        self._leasing.start()

    def look(self) -> None:
        """Have it noticed soon that more predictions await explanations; returns at once."""
        self._leasing.wake()

    def stop(self) -> None:
        """Begin nothing new, and leave what is under way to the next process."""
        self._leasing.stop(PAUSE_SECONDS)
        with self._lock, suppress(StoreUnavailableError):  # the leases end on their own then
            if self._under_way:
                self.store.give_back(list(self._under_way.values()))

    @property
    def status(self) -> ExplanationStatus:
        """Who explains, how that goes, and what became of the explanations since the start."""
        writer = self.source.writer
        with self._lock:
            reasons = dict(self._by_reason.most_common(MAX_REASONS))
            return ExplanationStatus(
                source="llm" if writer else "template",
                reason=self.source.reason,
                model=writer.model if writer else None,
                circuit=writer.circuit if writer else None,
                last_failure=self._last_failure,
                waiting=self._waiting,
                under_way=len(self._under_way),
                finished=ExplanationCounts(by_source=dict(self._by_source), by_reason=reasons),
            )

    def _lease(self) -> None:
        """Give a worker to as many as may be under way, and tell operators if that is news."""
        now = self.clock()
        # By the servers' own clocks: they may differ by less than a lease lasts.
        until = now + timedelta(seconds=LEASE_SECONDS)
        with self._lock:
            held = list(self._under_way.values())
        # Before others are leased: another process would take over what ends while the language model still writes.
        if held and now >= self._renewed + timedelta(seconds=LOOK_SECONDS):
            self.store.renew(held, until=until)
            self._renewed = now
        # Workers may end meanwhile; then fewer are leased than could be, until the next look, for which they ask.
        free = self.concurrency - len(held)
        leases, waiting = self.store.lease_explanations(free, now=now, until=until, old=now - MAX_AGE)
        with self._lock:
            is_news = bool(leases) or waiting != self._waiting
            self._waiting = waiting
            self._under_way |= {lease.token: lease for lease in leases}
        if leases and self._stopping.is_set():  # ``stop`` waits for this no longer than a second
            self.store.give_back(leases)
            return
        for lease in leases:
            threading.Thread(target=self._work, args=(lease,), name="explanation", daemon=True).start()
        if is_news:
            self.changes.nudge()

    def _work(self, lease: Lease) -> None:
        try:
            explanation = self._explanation(lease)
            # The text is kept until it is stored: asking the language model again would cost more than waiting.
            while not self._stopping.is_set() and not self._is_stored(lease, explanation):
                self._stopping.wait(PAUSE_SECONDS)
        except Exception:  # one explanation must not hold up the others
            log.exception("an explanation could not be stored", extra=about(lease.request_id))
        if self._stopping.is_set():
            return  # a lease that is still held is given back by ``stop``; an ended one is not there to be given back
        with self._lock:
            del self._under_way[lease.token]
        self.changes.nudge()
        self.look()

    def _explanation(self, lease: Lease) -> Explanation:
        """Return the final explanation, whatever fails: otherwise the prediction would be tried for ever."""
        writer = self.source.writer
        said: dict[str, Any] = {"text": UNREADABLE, "source": "template"}
        try:
            prediction = Prediction.model_validate_json(lease.body)
            said = dict(prediction.explanation)
            said |= {"text": self._text(lease, prediction), "source": "llm"}
        except NarrativeError as error:
            said["reason"] = str(error)
        except Exception:
            log.exception("an explanation failed", extra=about(lease.request_id))
            said["reason"] = FAILED
        if writer:
            said |= {"model": writer.model, "prompt_version": writer.prompt_version}
        said["total_ms"] = round(1000 * (self.clock().timestamp() - lease.since), 1)
        return Explanation.model_validate(said)

    def _text(self, lease: Lease, prediction: Prediction) -> str:
        """Have the language model write; raises ``NarrativeError`` where it is not asked, too."""
        writer = self.source.writer
        if writer is None:
            raise NarrativeError(self.source.reason)
        if lease.tries > MAX_TRIES:
            raise NarrativeError(GIVEN_UP)
        if self.clock() - prediction.made_at > MAX_AGE:
            raise NarrativeError(EXPIRED)
        return writer.write(facts_of_stored(prediction), deadline=time.monotonic() + self.seconds)

    def _is_stored(self, lease: Lease, explanation: Explanation) -> bool:
        """Store an explanation, and tell the log; one whose lease is another's by now is dropped."""
        try:
            page = self.store.finish_explanation(lease, explanation, self.clock())
        except StoreUnavailableError:
            return False
        if page is not None:
            reason = explanation.reason
            with self._lock:
                self._last_failure = reason
                self._by_source[explanation.source] += 1
                self._by_reason.update([reason] if reason else [])
            if reason:
                log.warning("the deterministic explanation stays: %s", reason, extra=about(lease.request_id))
            else:
                log.info("the language model's explanation was stored", extra=about(lease.request_id))
            self.changes.appended(page)
        return True


def about(*request_ids: str) -> dict[str, str]:
    """Have a log record name the requests that it is about."""
    return {"request_id": " ".join(request_ids)}
