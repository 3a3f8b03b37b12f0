"""Commit first, then publish: the one place where anything reaches the change log and the people who follow it."""

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import datetime
from typing import Protocol

from common.messages import (
    Changes,
    Explanation,
    ExplanationSentence,
    ExplanationStatus,
    ModelStatus,
    Prediction,
    PredictionRefused,
)
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

    def explanation_status(self, status: ExplanationStatus) -> None:
        """Tell operators how the language model is doing now."""

    def sentence(self, client_id: str, sentence: ExplanationSentence) -> None:
        """Send a checked sentence of an explanation in progress to its client app."""


_RUN = 50
"""Most log entries of others published at once."""


class Recorder:
    """Writes to the store and publishes in commit order, whichever thread it is called from.

    What is in the log when it is made counts as published; making it raises ``StoreUnavailableError`` as reading does.
    """

    def __init__(self, store: PredictionStore, publisher: Publisher) -> None:
        self._store = store
        self._publisher = publisher
        self._in_order = threading.Lock()
        self._published_up_to = store.cursor()

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
            self._publish(changes)

    def finish_explanation(self, prediction: Prediction, explanation: Explanation, at: datetime) -> None:
        """Store the final explanation of a prediction and publish it, once; raises as ``record`` does."""
        with self._in_order:
            finished = self._store.finish_explanation(prediction, explanation, at)
            if finished is not None:
                self._publish(finished)

    def erase(self, prediction_ids: Sequence[str], at: datetime) -> int:
        """Erase predictions and publish their tombstones; return how many there were. Raises as ``record`` does."""
        with self._in_order:
            tombstones = self._store.erase(prediction_ids, at)
            if tombstones.entries:
                self._publish(tombstones)
        return len(tombstones.entries)

    def publish_others(self) -> bool:
        """Publish a run of what other processes wrote to the log since the last look; return whether there was any.

        A run may hold entries of this process that came in between, which its readers know already.
        """
        with self._in_order:
            if self._store.cursor() <= self._published_up_to:
                return False
            changes = self._store.changes(self._published_up_to, _RUN)
            self._publisher.changes(changes)
            self._published_up_to = changes.next_after
        return True

    def _publish(self, changes: Changes) -> None:
        """Publish what this process wrote; if others wrote before it, all of that is published at the next look."""
        self._publisher.changes(changes)
        if self._published_up_to == changes.after:
            self._published_up_to = changes.next_after
