"""A publisher that keeps what it is told, in order, for tests of what lies below the sockets."""

from queue import Queue

from common.messages import (
    Changes,
    ExplanationSentence,
    ExplanationStatus,
    ModelStatus,
    Prediction,
    PredictionRefused,
)

WAIT_SECONDS = 20.0

Published = Changes | Prediction | PredictionRefused | ExplanationSentence | ModelStatus


class Kept:
    """Keeps everything that was published; ``next`` waits for the next of it but statuses, which are kept apart."""

    def __init__(self) -> None:
        self._published: Queue[Published] = Queue()
        self.explanation_statuses: Queue[ExplanationStatus] = Queue()

    def changes(self, changes: Changes) -> None:
        self._published.put(changes)

    def repeat(self, prediction: Prediction) -> None:
        self._published.put(prediction)

    def refused(self, client_id: str, refusal: PredictionRefused) -> None:
        self._published.put(refusal)

    def sentence(self, client_id: str, sentence: ExplanationSentence) -> None:
        self._published.put(sentence)

    def explanation_status(self, status: ExplanationStatus) -> None:
        self.explanation_statuses.put(status)

    def model_status(self, status: ModelStatus) -> None:
        self._published.put(status)

    def next(self) -> Published:
        return self._published.get(timeout=WAIT_SECONDS)

    def next_changes(self) -> Changes:
        published = self.next()
        assert isinstance(published, Changes), published
        return published

    def next_refusal(self) -> PredictionRefused:
        published = self.next()
        assert isinstance(published, PredictionRefused), published
        return published

    def is_empty(self) -> bool:
        return self._published.empty()


class BreaksOnChanges(Kept):
    """Fails to publish changes as often as it is told to, in a way nobody thought of."""

    def __init__(self, failures: int) -> None:
        super().__init__()
        self._failures = failures

    def changes(self, changes: Changes) -> None:
        if self._failures:
            self._failures -= 1
            raise RuntimeError("something nobody thought of")
        super().changes(changes)


class Mute(Kept):
    """Fails to publish any answer."""

    def changes(self, changes: Changes) -> None:
        raise RuntimeError("something nobody thought of")

    def repeat(self, prediction: Prediction) -> None:
        raise RuntimeError("something nobody thought of")
