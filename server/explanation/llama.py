"""The explanation of a Llama model: asked within a deadline, checked as a whole, kept for the same facts."""

import hashlib
import random
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import closing
from typing import Final

from common.messages import CircuitStatus
from server.explanation.breaker import CircuitBreaker, CircuitOpenError
from server.explanation.endpoint import Endpoint, EndpointError, Messages
from server.explanation.facts import Facts
from server.explanation.guard import GuardError, check_whole, checked_sentence, sentences_of
from server.explanation.prompt import PROMPT_VERSION, prompt_of
from server.explanation.rules import Rule

MAX_CHARACTERS: Final = 2000
LEAST_SECONDS: Final = 2.0
"""What must be left of the time for a second attempt."""

PAUSE_SECONDS: Final = (0.1, 0.4)
"""Between two attempts, drawn at random, so that nobody keeps step."""

MOST_KEPT: Final = 500

_JITTER = random.SystemRandom()


class NarrativeError(Exception):
    """The language model gave no usable text; the message is a sentence that says why, for people."""


def asked_but(clause: str) -> str:
    """Say why nothing came of asking the language model."""
    return f"The language model was asked, but {clause}."


def not_asked(clause: str) -> str:
    """Say why the language model was not asked."""
    return f"The language model was not asked: {clause}."


class LlamaWriter:
    """Writes explanations with a language model."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], object] = time.sleep,
        jitter: Callable[[float, float], float] = _JITTER.uniform,
    ) -> None:
        self.model = endpoint.model
        self.prompt_version = PROMPT_VERSION
        self._breaker = CircuitBreaker(clock)
        self._endpoint = endpoint
        self._clock = clock
        self._pause = pause
        self._jitter = jitter
        self._kept = _Kept(MOST_KEPT)

    def write(self, facts: Facts, *, deadline: float) -> str:
        """Write one explanation by ``deadline``, in seconds of the clock.

        Raises
        ------
        NarrativeError
            When there is no text by then that keeps every rule.
        """
        key = self._key(facts)
        text = self._kept.get(key)
        if text is None:
            text = self._new_text(facts, deadline)
            self._kept.put(key, text)
        return text

    @property
    def circuit(self) -> CircuitStatus:
        """How the endpoint is doing."""
        return self._breaker.status

    def _new_text(self, facts: Facts, deadline: float) -> str:
        if self._clock() >= deadline:
            raise NarrativeError(not_asked("no time was left for it"))
        try:
            return self._attempt_twice(facts, deadline)
        except CircuitOpenError as error:
            raise NarrativeError(not_asked(str(error))) from None
        except EndpointError as error:
            raise NarrativeError(asked_but(str(error))) from None
        except GuardError as error:
            raise NarrativeError(asked_but(f"its text was withheld because {error}")) from None

    def _key(self, facts: Facts) -> bytes:
        return hashlib.sha256(repr((facts, self.model, self.prompt_version)).encode()).digest()

    def _attempt_twice(self, facts: Facts, deadline: float) -> str:
        messages: Messages = prompt_of(facts)
        try:
            return self._attempt(messages, facts, deadline)
        except EndpointError as error:
            pause = max(error.retry_after, self._jitter(*PAUSE_SECONDS))
            if not error.passing or not self._has_time(deadline, after=pause):
                raise
            failure: EndpointError | GuardError = error
            self._pause(pause)
        except GuardError as error:
            if not self._has_time(deadline):
                raise
            failure = error
            messages = prompt_of(facts, broken=error.rules)
        try:
            return self._attempt(messages, facts, deadline)
        except CircuitOpenError:
            raise failure from None

    def _has_time(self, deadline: float, after: float = 0) -> bool:
        return self._clock() + after + LEAST_SECONDS <= deadline

    def _attempt(self, messages: Messages, facts: Facts, deadline: float) -> str:
        draft = ""
        with closing(self._breaker.watch(self._endpoint.stream(messages, deadline=deadline))) as pieces:
            for piece in pieces:
                draft += piece
                if len(draft) > MAX_CHARACTERS:
                    raise GuardError([Rule.LENGTH])
        check_whole(draft, facts)
        return " ".join(checked_sentence(sentence, facts) for sentence in sentences_of(draft))


class _Kept:
    """The texts that were asked for last, by key."""

    def __init__(self, most: int) -> None:
        self._texts: OrderedDict[bytes, str] = OrderedDict()
        self._most = most
        self._lock = threading.Lock()

    def get(self, key: bytes) -> str | None:
        with self._lock:
            if key in self._texts:
                self._texts.move_to_end(key)
            return self._texts.get(key)

    def put(self, key: bytes, text: str) -> None:
        with self._lock:
            self._texts[key] = text
            self._texts.move_to_end(key)
            if len(self._texts) > self._most:
                self._texts.popitem(last=False)
