"""The background work of a language model: bounded, and unable to delay or break a prediction."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final

from config.errors import StoreUnavailableError
from config.messages import Explanation, ExplanationSentence, Prediction
from server.narrative.facts import Facts
from server.narrative.llama import NarrativeError
from server.narrative.metrics import measure
from server.narrative.narrator import ExplanationSource, Writer
from server.recorder import Publisher, Recorder
from server.tally import ExplanationTally
from server.waiting_room import WaitingRoom

log = logging.getLogger(__name__)

Clock = Callable[[], datetime]


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


class ExplanationWorkers:
    """Asks the language model for one explanation a prediction, several at once, and always ends with an answer.

    Every prediction handed over gets exactly one final explanation within ``seconds``: the model's, or the
    deterministic one and a reason. It waits for its turn for half of that time at most. While the store is unavailable
    a worker waits ``STORE_PAUSES`` (seconds), then leaves the rest to the next start.
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

    @property
    def enabled(self) -> bool:
        return self._source.writer is not None

    def start(self) -> None:
        """Start the threads; without a language model there are none."""
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
        """End with the deterministic text and say why."""
        self._finish(prediction, self._deterministic(prediction, reason), pauses=())

    def to_wire(self) -> dict[str, object]:
        """Describe who explains, how that goes, and what became of the explanations since the start."""
        return self._source.to_wire() | {
            "last_failure": self._last_failure,
            "waiting": len(self._waiting),
            "at_most": {"seconds": self._seconds, "at_once": self._concurrency},
            "finished": self._tally.to_wire(),
        }

    def _work(self, writer: Writer) -> None:
        while True:
            job = self._waiting.take()
            if not self._succeeds(job, partial(self._explain, writer, job)):
                self._succeeds(job, partial(self._end, job, "it failed unexpectedly", pauses=self.STORE_PAUSES))

    def _turn_away(self) -> None:
        while True:
            job = self._waiting.turn_away()
            self._succeeds(job, partial(self._end, job, "too many explanations were waiting for it", pauses=()))

    def _succeeds(self, job: Job, work: Callable[[], None]) -> bool:
        """Do something for a job; whatever fails in it is logged, and never ends the thread."""
        try:
            work()
        except Exception:
            log.exception("the explanation of prediction %s failed", job.prediction.prediction_id)
            return False
        return True

    def _explain(self, writer: Writer, job: Job) -> None:
        try:
            text = writer.write(job.facts, deadline=job.requested + self._seconds, release=partial(self._release, job))
        except NarrativeError as error:
            self._end(job, str(error), pauses=self.STORE_PAUSES)
            return
        self._last_failure = None
        explanation = Explanation(text=text, source="llm", model=writer.model, prompt_version=writer.prompt_version)
        self._finish(job.prediction, self._measured(explanation, job), pauses=self.STORE_PAUSES)

    def _release(self, job: Job, text: str, attempt: int) -> None:
        if job.first_sentence is None:
            job.first_sentence = time.monotonic()
        sentence = ExplanationSentence(prediction_id=job.prediction.prediction_id, text=text, attempt=attempt)
        self._publisher.sentence(job.prediction.client_id, sentence)

    def _end(self, job: Job, reason: str, *, pauses: Sequence[float]) -> None:
        """End a job with the deterministic text and say why."""
        self._last_failure = _sentence(reason)
        log.warning("prediction %s keeps the deterministic explanation: %s", job.prediction.prediction_id, reason)
        self._finish(job.prediction, self._measured(self._deterministic(job.prediction, reason), job), pauses=pauses)

    def _deterministic(self, prediction: Prediction, reason: str) -> Explanation:
        writer = self._source.writer
        named = {"model": writer.model, "prompt_version": writer.prompt_version} if writer else {}
        return prediction.explanation.model_copy(update={**named, "reason": _sentence(reason)})

    @staticmethod
    def _measured(explanation: Explanation, job: Job) -> Explanation:
        return explanation.model_copy(
            update={
                "first_sentence_ms": job.milliseconds(job.first_sentence),
                "total_ms": job.milliseconds(time.monotonic()),
                "measures": measure(explanation.text, job.facts),
            }
        )

    def _finish(self, prediction: Prediction, explanation: Explanation, *, pauses: Sequence[float]) -> None:
        """Store and publish an explanation, trying again after each pause while the store is unavailable."""
        self._tally.add(explanation)
        for pause in (*pauses, None):
            try:
                return self._recorder.finish_explanation(prediction, explanation, self._clock())
            except StoreUnavailableError as error:
                log.warning("the explanation of prediction %s is not stored: %s", prediction.prediction_id, error)
            if pause is not None:
                self._pause(pause)
        # Nothing is lost: the prediction still awaits its explanation, and the next start ends it.
        log.error("the explanation of prediction %s is left to the next start", prediction.prediction_id)
        return None


def _sentence(reason: str) -> str:
    return f"The language model was asked, but {reason}."
