"""The explanation of a language model: asked within a deadline, shown only if all of it is true."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from common.messages import CircuitStatus
from config.settings import ServerSettings
from server.explanation.endpoint import Endpoint, EndpointError
from server.explanation.facts import Facts
from server.explanation.language import WithheldError, checked
from server.explanation.prompt import PROMPT_VERSION, grammar_of, prompt_of

LEAST_SECONDS: Final = 2.0
"""What must be left of the time for a second attempt."""

MAX_FAILURES: Final = 5
PAUSE_SECONDS: Final = 30.0
LASTING_PAUSE_SECONDS: Final = 300.0
CLOSED: Final = CircuitStatus(state="closed", until=None, reason=None)


class NarrativeError(Exception):
    """The language model gave no usable text; the message is a sentence that says why, for people."""


def asked_but(clause: str) -> str:
    """Say why nothing came of asking the language model."""
    return f"The language model was asked, but {clause}."


def not_asked(clause: str) -> str:
    """Say why the language model was not asked."""
    return f"The language model was not asked: {clause}."


class CircuitBreaker:
    """Opens for 5 minutes at a lasting error, and for 30 seconds at five failures in a row.

    While it is open, no call is made. Afterwards one call goes through; the others wait for how that one ends.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._status = CLOSED

    @property
    def status(self) -> CircuitStatus:
        """The state for people, with the end of the pause and why it is not closed."""
        status = self._status
        if status.until is None or self._clock() < status.until.timestamp():
            return status
        return CircuitStatus(state="half_open", until=None, reason=status.reason)

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Note how the call within ends; raises ``NarrativeError`` instead of beginning it."""
        with self._lock:
            status = self.status
            if status.state == "open":
                raise NarrativeError(not_asked(f"calls to it are paused, because {status.reason}"))
            if status.state == "half_open":
                self._open(PAUSE_SECONDS, status.reason)  # for the others, also if this call never ends
        try:
            yield
        except EndpointError as error:
            with self._lock:
                self._failures += 1
                if error.lasting or self._failures >= MAX_FAILURES:
                    self._open(LASTING_PAUSE_SECONDS if error.lasting else PAUSE_SECONDS, str(error))
            raise
        with self._lock:
            self._failures, self._status = 0, CLOSED

    def _open(self, seconds: float, reason: str | None) -> None:
        until = datetime.fromtimestamp(self._clock() + seconds, UTC)
        self._status = CircuitStatus(state="open", until=until, reason=reason)


class LlamaWriter:
    """Writes explanations with a language model, by a deadline or not at all."""

    prompt_version = PROMPT_VERSION

    def __init__(self, settings: ServerSettings, clock: Callable[[], float] = time.time) -> None:
        self.model = settings.llm_model
        self._breaker = CircuitBreaker(clock)
        self._endpoint = Endpoint(settings)

    @property
    def circuit(self) -> CircuitStatus:
        """How the endpoint is doing."""
        return self._breaker.status

    def write(self, facts: Facts, deadline: float) -> str:
        """Write one explanation, at the second attempt if there is time for one.

        Parameters
        ----------
        deadline
            In seconds of ``time.monotonic``; all ends by then.

        Raises
        ------
        NarrativeError
            When there is no true text by then.
        """
        broken = failure = ""
        for _ in range(2):
            try:
                with self._breaker.watch():
                    draft = self._endpoint.ask(prompt_of(facts, broken=broken), grammar_of(facts), deadline=deadline)
                return checked(facts, draft)
            except WithheldError as error:
                broken, failure = str(error), asked_but(f"its text was withheld because {error}")
            except EndpointError as error:
                failure = asked_but(str(error))
                if not error.passing or self.circuit.state == "open":
                    break
            if time.monotonic() + LEAST_SECONDS > deadline:
                break
        raise NarrativeError(failure)


@dataclass(frozen=True)
class ExplanationSource:
    """Who writes explanations at the moment, beside the deterministic text, and why nobody else does."""

    writer: LlamaWriter | None
    reason: str


def explanation_source(settings: ServerSettings) -> ExplanationSource:
    """Choose the language model of the settings, or none."""
    if settings.llm_model.lower() == "off":
        return ExplanationSource(None, "LLM_MODEL is off, so explanations are the deterministic text.")
    if settings.llm_base_url or settings.huggingface_api_token:
        name = "LLM_BASE_URL" if settings.llm_base_url else "HUGGINGFACE_API_TOKEN"
        return ExplanationSource(LlamaWriter(settings), f"{name} is set.")
    return ExplanationSource(None, "HUGGINGFACE_API_TOKEN is not set in .env: computed text, no AI.")
