"""The background work of a language model: bounded, and unable to delay or break a prediction."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Final

from config.errors import StoreUnavailableError
from config.messages import Explanation, ExplanationSentence, Prediction
from server.narrative.facts import Facts
from server.narrative.llama import NarrativeError
from server.narrative.narrator import ExplanationSource, Writer
from server.recorder import Publisher, Recorder

log = logging.getLogger(__name__)

Clock = Callable[[], datetime]
Job = tuple[Prediction, Facts]


class ExplanationWorkers:
    """Asks the language model for one explanation a prediction, several at once, and always ends with an answer.

    Every prediction handed over gets exactly one final explanation: the model's, or the deterministic one and a reason.
    While the store is unavailable a worker waits ``STORE_PAUSES`` (seconds), then leaves the rest to the next start.
    """

    STORE_PAUSES: Final[Sequence[float]] = (1.0, 4.0, 15.0)

    def __init__(
        self,
        source: ExplanationSource,
        recorder: Recorder,
        publisher: Publisher,
        *,
        clock: Clock,
        concurrency: int,
        max_waiting: int,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        self.source = source
        self.last_failure: str | None = None
        self._recorder = recorder
        self._publisher = publisher
        self._clock = clock
        self._concurrency = concurrency
        self._pause = pause
        self._jobs: queue.Queue[Job] = queue.Queue(max_waiting + concurrency)

    @property
    def enabled(self) -> bool:
        return self.source.writer is not None

    def start(self) -> None:
        """Start the threads; without a language model there are none."""
        if self.source.writer is None:
            return
        for number in range(self._concurrency):
            name = f"explanations-{number}"
            threading.Thread(target=self._run, args=(self.source.writer,), name=name, daemon=True).start()

    def request(self, prediction: Prediction, facts: Facts) -> None:
        """Hand a stored prediction over; returns at once."""
        try:
            self._jobs.put_nowait((prediction, facts))
        except queue.Full:
            self.fall_back(prediction, "too many explanations were waiting for the language model")

    def fall_back(self, prediction: Prediction, reason: str) -> None:
        """End with the deterministic text and say why."""
        self._finish(prediction, self._deterministic(prediction, reason), pauses=())

    def _run(self, writer: Writer) -> None:
        while True:
            prediction, facts = self._jobs.get()
            explain = partial(self._explain, writer, prediction, facts)
            if not self._succeeds(prediction, explain):
                self._succeeds(prediction, partial(self._give_up, prediction))

    def _succeeds(self, prediction: Prediction, job: Callable[[], None]) -> bool:
        """Do a job; whatever fails in it is logged, and never ends the worker."""
        try:
            job()
        except Exception:
            log.exception("the explanation of prediction %s failed", prediction.prediction_id)
            return False
        return True

    def _explain(self, writer: Writer, prediction: Prediction, facts: Facts) -> None:
        def release(text: str) -> None:
            sentence = ExplanationSentence(prediction_id=prediction.prediction_id, text=text)
            self._publisher.sentence(prediction.client_id, sentence)

        try:
            explanation = writer.write(facts, release=release)
            self.last_failure = None
        except NarrativeError as error:
            self.last_failure = _sentence(str(error))
            log.warning("prediction %s keeps the deterministic explanation: %s", prediction.prediction_id, error)
            explanation = self._deterministic(prediction, str(error))
        self._finish(prediction, explanation, pauses=self.STORE_PAUSES)

    def _give_up(self, prediction: Prediction) -> None:
        explanation = self._deterministic(prediction, "it failed unexpectedly")
        self._finish(prediction, explanation, pauses=self.STORE_PAUSES)

    def _deterministic(self, prediction: Prediction, reason: str) -> Explanation:
        model = self.source.writer.model if self.source.writer else None
        return prediction.explanation.model_copy(update={"model": model, "reason": _sentence(reason)})

    def _finish(self, prediction: Prediction, explanation: Explanation, *, pauses: Sequence[float]) -> None:
        """Store and publish an explanation, trying again after each pause while the store is unavailable."""
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
