"""The background work of a language model: bounded, and unable to delay or break a prediction."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import chain, repeat
from typing import Final

from common.errors import StoreUnavailableError
from common.messages import Explanation, ExplanationSentence, ExplanationStatus, Prediction
from server.explanation.facts import Facts
from server.explanation.llama import NarrativeError, not_asked
from server.explanation.metrics import measure
from server.explanation.narrator import ExplanationSource, Writer
from server.recorder import Publisher, Recorder
from server.tally import ExplanationTally
from server.waiting_room import WaitingRoom

log = logging.getLogger(__name__)

Clock = Callable[[], datetime]

FAILED: Final = "The language model's explanation failed unexpectedly. The server's log says more."


@dataclass
class Job:
    """One explanation to be written, and when it was asked for and first gave something (``time.monotonic``)."""

    prediction: Prediction
    facts: Facts
    requested: float = field(default_factory=time.monotonic)
    first_sentence: float | None = None

    def milliseconds(self, at: float | None) -> float | None:
        """Return the time from the request to a moment."""
        return None if at is None else round(1000 * (at - self.requested), 1)


@dataclass(frozen=True)
class Ending:
    """A final explanation on its way into the record."""

    prediction: Prediction
    explanation: Explanation


class ExplanationWorkers:
    """Asks the language model for one explanation a prediction, several at once, and always ends with an answer.

    Every prediction handed over gets exactly one final explanation within ``seconds``: the model's, or the
    deterministic one and a reason. It waits for its turn for half of that time at most. A thread of its own stores
    what is final: while the store is unavailable, it tries again after each of ``STORE_PAUSES`` (seconds) and then
    after the last of them, and nobody else waits. What is unstored when the process ends, the next start ends.
    """

    STORE_PAUSES: Final[Sequence[float]] = (1.0, 4.0, 15.0)

    def __init__(
        self,
        source: ExplanationSource,
        recorder: Recorder,
        publisher: Publisher,
        *,
        clock: Clock,
        seconds: float,
        concurrency: int,
        max_waiting: int,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        self._source = source
        self._last_failure: str | None = None
        self._tally = ExplanationTally()
        self._recorder = recorder
        self._publisher = publisher
        self._clock = clock
        self._seconds = seconds
        self._concurrency = concurrency
        self._pause = pause
        self._waiting: WaitingRoom[Job] = WaitingRoom(max_waiting + concurrency, seconds / 2)
        self._under_way: set[str] = set()
        self._endings: queue.SimpleQueue[Ending] = queue.SimpleQueue()
        self._telling = threading.Lock()

    @property
    def enabled(self) -> bool:
        return self._source.writer is not None

    def start(self) -> None:
        """Start the threads; without a language model there is only the one that stores."""
        threading.Thread(target=self._store_all, name="explanations-stored", daemon=True).start()
        if self._source.writer is None:
            return
        for number in range(self._concurrency):
            name = f"explanations-{number}"
            threading.Thread(target=self._work, args=(self._source.writer,), name=name, daemon=True).start()
        threading.Thread(target=self._turn_away, name="explanations-turned-away", daemon=True).start()

    def request(self, prediction: Prediction, facts: Facts) -> None:
        """Hand a stored prediction over; returns at once."""
        self._waiting.put(Job(prediction, facts))

    def fall_back(self, prediction: Prediction, reason: str) -> None:
        """End with the deterministic text and a sentence that says why; tries to store it before it returns."""
        ending = Ending(prediction, self._deterministic(prediction, reason))
        self._tally.add(ending.explanation)
        if not self._is_stored(ending):
            self._endings.put(ending)

    @property
    def status(self) -> ExplanationStatus:
        """Who explains, how that goes, and what became of the explanations since the start."""
        writer = self._source.writer
        return ExplanationStatus(
            source="llm" if writer else "template",
            reason=self._source.reason,
            model=writer.model if writer else None,
            prompt_version=writer.prompt_version if writer else None,
            circuit=writer.circuit if writer else None,
            last_failure=self._last_failure,
            waiting=len(self._waiting),
            under_way=len(self._under_way),
            at_once=self._concurrency,
            seconds=self._seconds,
            finished=self._tally.counts,
        )

    def _work(self, writer: Writer) -> None:
        while True:
            job = self._waiting.take()
            name = job.prediction.prediction_id
            self._under_way.add(name)
            self._succeeds(job.prediction, self._tell)
            if not self._succeeds(job.prediction, partial(self._explain, writer, job)):
                self._succeeds(job.prediction, partial(self._keep_deterministic, job, FAILED))
            self._under_way.discard(name)
            self._succeeds(job.prediction, self._tell)

    def _turn_away(self) -> None:
        reason = not_asked("too many explanations were waiting for it")
        while True:
            job = self._waiting.turn_away()
            self._succeeds(job.prediction, partial(self._keep_deterministic, job, reason))
            self._succeeds(job.prediction, self._tell)

    def _store_all(self) -> None:
        while True:
            ending = self._endings.get()
            self._succeeds(ending.prediction, partial(self._store, ending))

    def _succeeds(self, prediction: Prediction, work: Callable[[], None]) -> bool:
        """Do something for a prediction; whatever fails in it is logged, and never ends the thread."""
        try:
            work()
        except Exception:
            log.exception("the explanation of prediction %s failed", prediction.prediction_id)
            return False
        return True

    def _tell(self) -> None:
        """Tell operators how it goes; the lock keeps an earlier state from arriving after a later one."""
        with self._telling:
            self._publisher.explanation_status(self.status)

    def _explain(self, writer: Writer, job: Job) -> None:
        try:
            text = writer.write(job.facts, deadline=job.requested + self._seconds, release=partial(self._release, job))
        except NarrativeError as error:
            self._keep_deterministic(job, str(error))
            return
        self._last_failure = None
        explanation = Explanation(text=text, source="llm", model=writer.model, prompt_version=writer.prompt_version)
        self._end(job, explanation)

    def _release(self, job: Job, text: str, attempt: int) -> None:
        if job.first_sentence is None:
            job.first_sentence = time.monotonic()
        sentence = ExplanationSentence(prediction_id=job.prediction.prediction_id, text=text, attempt=attempt)
        self._publisher.sentence(job.prediction.client_id, sentence)

    def _keep_deterministic(self, job: Job, reason: str) -> None:
        """End a job with the deterministic text and a sentence that says why."""
        self._last_failure = reason
        log.warning("prediction %s keeps the deterministic explanation: %s", job.prediction.prediction_id, reason)
        self._end(job, self._deterministic(job.prediction, reason))

    def _deterministic(self, prediction: Prediction, reason: str) -> Explanation:
        writer = self._source.writer
        named = {"model": writer.model, "prompt_version": writer.prompt_version} if writer else {}
        return prediction.explanation.model_copy(update={**named, "reason": reason})

    def _end(self, job: Job, explanation: Explanation) -> None:
        """Measure and count a final explanation, and have it stored."""
        measured = explanation.model_copy(
            update={
                "first_sentence_ms": job.milliseconds(job.first_sentence),
                "total_ms": job.milliseconds(time.monotonic()),
                "measures": measure(explanation.text, job.facts),
            }
        )
        self._tally.add(measured)
        self._endings.put(Ending(job.prediction, measured))

    def _store(self, ending: Ending) -> None:
        """Store and publish a final explanation, however long that takes."""
        if self._is_stored(ending):
            return
        log.warning("the explanation of prediction %s waits for the store", ending.prediction.prediction_id)
        for pause in chain(self.STORE_PAUSES, repeat(self.STORE_PAUSES[-1])):
            self._pause(pause)
            if self._is_stored(ending):
                return

    def _is_stored(self, ending: Ending) -> bool:
        try:
            self._recorder.finish_explanation(ending.prediction, ending.explanation, self._clock())
        except StoreUnavailableError:
            return False
        return True
