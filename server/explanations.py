"""The background work of a language model: bounded, and unable to delay or break a prediction."""

import logging
import queue
import threading
from collections.abc import Callable
from datetime import datetime

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
    """

    def __init__(
        self,
        source: ExplanationSource,
        recorder: Recorder,
        publisher: Publisher,
        *,
        clock: Clock,
        concurrency: int,
        max_waiting: int,
    ) -> None:
        self.source = source
        self.last_failure: str | None = None
        self._recorder = recorder
        self._publisher = publisher
        self._clock = clock
        self._concurrency = concurrency
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
        explanation = prediction.explanation.model_copy(
            update={"model": self.source.writer.model if self.source.writer else None, "reason": _sentence(reason)}
        )
        self._finish(prediction, explanation)

    def _run(self, writer: Writer) -> None:
        while True:
            self._explain(writer, *self._jobs.get())

    def _explain(self, writer: Writer, prediction: Prediction, facts: Facts) -> None:
        def release(text: str) -> None:
            sentence = ExplanationSentence(prediction_id=prediction.prediction_id, text=text)
            self._publisher.sentence(prediction.client_id, sentence)

        try:
            explanation = writer.write(facts, release=release)
        except NarrativeError as error:
            self.last_failure = _sentence(str(error))
            log.warning("prediction %s keeps the deterministic explanation: %s", prediction.prediction_id, error)
            self.fall_back(prediction, str(error))
        except Exception:
            log.exception("the explanation of prediction %s failed", prediction.prediction_id)
            self.fall_back(prediction, "it failed unexpectedly")
        else:
            self.last_failure = None
            self._finish(prediction, explanation)

    def _finish(self, prediction: Prediction, explanation: Explanation) -> None:
        try:
            self._recorder.finish_explanation(prediction, explanation, self._clock())
        except StoreUnavailableError:
            # Nothing is lost: the prediction still awaits its explanation, and the next start ends it.
            log.exception("the explanation of prediction %s could not be stored", prediction.prediction_id)


def _sentence(reason: str) -> str:
    return f"The language model was asked, but {reason}."
