"""Commit first, then publish: the one place where anything reaches the change log and the people who follow it."""

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import datetime
from typing import Protocol

from config.messages import Changes, Explanation, ExplanationSentence, ModelStatus, Prediction, PredictionRefused
from server.store import NewPrediction, PredictionStore


class Publisher(Protocol):
    """Sends to whoever is connected now, at most once; who missed something reads the change log."""

    def changes(self, changes: Changes) -> None:
        """Send each entry to its own client app, and all of them to the operators."""

    def repeat(self, prediction: Prediction) -> None:
        """Send a stored prediction once more to the client app that asked again."""

    def refused(self, client_id: str, refusal: PredictionRefused) -> None:
        """Tell a client app that an accepted request was not answered."""

    def model_status(self, status: ModelStatus) -> None:
        """Tell operators which model scores now, or why another one does not."""

    def sentence(self, client_id: str, sentence: ExplanationSentence) -> None:
        """Send a checked sentence of an explanation in progress to its client app."""


class Recorder:
    """Writes to the store and publishes in commit order, whichever thread it is called from."""

    def __init__(self, store: PredictionStore, publisher: Publisher) -> None:
        self._store = store
        self._publisher = publisher
        self._in_order = threading.Lock()

    def record(self, made: Sequence[NewPrediction], *, then: Callable[[], None]) -> None:
        """Store predictions in one transaction and answer them; once stored, ``then`` follows even if that fails.

        Raises
        ------
        StoreUnavailableError
            If nothing was stored; nothing was published then.
        """
        with ExitStack() as afterwards, self._in_order:
            changes = self._store.append(made)
            afterwards.callback(then)
            self._publisher.changes(changes)

    def finish_explanation(self, prediction: Prediction, explanation: Explanation, at: datetime) -> None:
        """Store the final explanation of a prediction and publish it, once; raises as ``record`` does."""
        with self._in_order:
            finished = self._store.finish_explanation(prediction, explanation, at)
            if finished is not None:
                self._publisher.changes(finished)
