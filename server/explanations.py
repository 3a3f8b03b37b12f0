"""The background work of a language model: bounded, and unable to delay or break a prediction."""

import logging
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from common.errors import StoreUnavailableError
from common.messages import Explanation, ExplanationCounts, ExplanationStatus
from server.explanation.facts import Facts
from server.explanation.llama import NarrativeError, not_asked
from server.explanation.narrator import ExplanationSource, Writer
from server.log import ChangeLog
from server.store import PredictionStore, Unfinished

log = logging.getLogger(__name__)

FAILED: Final = "The language model's explanation failed unexpectedly. The server's log says more."
QUEUE_FULL: Final = not_asked("too many explanations were waiting for it")
MAX_REASONS: Final = 20
STORE_PAUSE_SECONDS: Final = 1.0


@dataclass
class Job:
    """One explanation to be written, and when it was asked for (``time.monotonic``)."""

    of: Unfinished
    facts: Facts
    requested: float = field(default_factory=time.monotonic)


class ExplanationWorkers:
    """Asks the language model for one explanation a prediction, several at once, and always ends with an answer.

    Every prediction handed over gets exactly one final explanation within ``seconds``: the model's, or the
    deterministic one and a reason. It waits for its turn for half of that time at most. A thread of its own stores
    what is final, and tries again every second while the store is unavailable. What is unstored when the process
    ends, the next start ends.
    """

    def __init__(
        self,
        source: ExplanationSource,
        store: PredictionStore,
        changes: ChangeLog,
        *,
        clock: Callable[[], datetime],
        seconds: float,
        concurrency: int,
        max_waiting: int,
    ) -> None:
        self._source = source
        self._store = store
        self._changes = changes
        self._clock = clock
        self._seconds = seconds
        self._concurrency = concurrency
        self._max_waiting = max_waiting + concurrency
        self._changed = threading.Condition()
        self._waiting: deque[Job] = deque()
        self._under_way = 0
        self._endings: deque[tuple[Unfinished, Explanation]] = deque()
        self._last_failure: str | None = None
        self._by_source: Counter[str] = Counter()
        self._by_reason: Counter[str] = Counter()
        self._milliseconds: defaultdict[str, float] = defaultdict(float)

    @property
    def enabled(self) -> bool:
        return self._source.writer is not None

    def start(self) -> None:
        """Start the threads; without a language model there is only the one that stores."""
        threading.Thread(target=self._store_all, name="explanations-stored", daemon=True).start()
        if self._source.writer is not None:
            for number in range(self._concurrency):
                name = f"explanations-{number}"
                threading.Thread(target=self._work, args=(self._source.writer,), name=name, daemon=True).start()

    def request(self, of: Unfinished, facts: Facts) -> None:
        """Hand a stored prediction over; returns at once."""
        job = Job(of, facts)
        with self._changed:
            if len(self._waiting) < self._max_waiting:
                self._waiting.append(job)
            else:
                self._end(job, self._deterministic(of, QUEUE_FULL))
            self._changed.notify_all()
        self._changes.nudge()

    def fall_back(self, of: Unfinished, reason: str) -> None:
        """End with the deterministic text and a sentence that says why; returns at once."""
        with self._changed:
            self._count(explanation := self._deterministic(of, reason))
            self._endings.append((of, explanation))
            self._changed.notify_all()

    @property
    def status(self) -> ExplanationStatus:
        """Who explains, how that goes, and what became of the explanations since the start."""
        writer = self._source.writer
        with self._changed:
            return ExplanationStatus(
                source="llm" if writer else "template",
                reason=self._source.reason,
                model=writer.model if writer else None,
                prompt_version=writer.prompt_version if writer else None,
                circuit=writer.circuit if writer else None,
                last_failure=self._last_failure,
                waiting=len(self._waiting),
                under_way=self._under_way,
                at_once=self._concurrency,
                seconds=self._seconds,
                finished=self._counts(),
            )

    def _work(self, writer: Writer) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                job = self._waiting.popleft()
                self._under_way += 1
            self._changes.nudge()
            explanation = self._explain(writer, job)
            with self._changed:
                self._under_way -= 1
                self._end(job, explanation)
                self._changed.notify_all()
            self._changes.nudge()

    def _explain(self, writer: Writer, job: Job) -> Explanation:
        try:
            text = writer.write(job.facts, deadline=job.requested + self._seconds)
        except NarrativeError as error:
            return self._deterministic(job.of, str(error))
        except Exception:  # whatever fails is an answer too, and never ends the thread
            log.exception("the explanation of prediction %s failed", job.of.prediction_id)
            return self._deterministic(job.of, FAILED)
        return Explanation(text=text, source="llm", model=writer.model, prompt_version=writer.prompt_version)

    def _deterministic(self, of: Unfinished, reason: str) -> Explanation:
        writer = self._source.writer
        named = {"model": writer.model, "prompt_version": writer.prompt_version} if writer else {}
        return of.explanation.model_copy(update={**named, "reason": reason})

    def _end(self, job: Job, explanation: Explanation) -> None:
        """Count a final explanation, and have it stored; the lock is held."""
        if explanation.reason:
            reason, name = explanation.reason, job.of.prediction_id
            log.warning("prediction %s keeps the deterministic explanation: %s", name, reason)
        self._last_failure = explanation.reason
        total_ms = round(1000 * (time.monotonic() - job.requested), 1)
        self._count(timed := explanation.model_copy(update={"total_ms": total_ms}))
        self._endings.append((job.of, timed))

    def _count(self, explanation: Explanation) -> None:
        self._by_source[explanation.source] += 1
        self._milliseconds[explanation.source] += explanation.total_ms or 0
        if explanation.reason:
            self._by_reason[explanation.reason] += 1

    def _counts(self) -> ExplanationCounts:
        return ExplanationCounts(
            by_source=dict(self._by_source),
            by_reason=dict(self._by_reason.most_common(MAX_REASONS)),
            means={
                source: {"total_ms": round(self._milliseconds[source] / number, 4)}
                for source, number in self._by_source.items()
            },
        )

    def _store_all(self) -> None:
        """Store what is final, and end what has waited for too long."""
        while True:
            with self._changed:
                while not self._endings and (left := self._seconds_left()) != 0:
                    self._changed.wait(left)
                while self._seconds_left() == 0:
                    job = self._waiting.popleft()
                    self._end(job, self._deterministic(job.of, QUEUE_FULL))
                ending = self._endings[0] if self._endings else None
            if ending is not None and not self._is_stored(*ending):
                time.sleep(STORE_PAUSE_SECONDS)

    def _seconds_left(self) -> float | None:
        """Return for how long the first in the queue may still wait, ``None`` if nobody is there."""
        if not self._waiting:
            return None
        return max(0.0, self._waiting[0].requested + self._seconds / 2 - time.monotonic())

    def _is_stored(self, of: Unfinished, explanation: Explanation) -> bool:
        """Store the first of what is final and tell the log; whatever else fails than the store ends it as well."""
        try:
            page = self._store.finish_explanation(of, explanation, self._clock())
        except StoreUnavailableError:
            return False
        except Exception:
            log.exception("the explanation of prediction %s could not be stored", of.prediction_id)
            page = None
        self._endings.popleft()
        if page is not None:
            self._changes.appended(page)
        return True
