"""The explanation of a language model: asked within a deadline, shown only if all of it is true."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final, NamedTuple

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
        self._failures, self._paused_until = 0, 0.0
        self._reason: str | None = None

    @property
    def status(self) -> CircuitStatus:
        """The state for people, with the end of the pause and why it is not closed."""
        reason, until = self._reason, self._paused_until
        if reason is None:
            return CLOSED
        end = datetime.fromtimestamp(until, UTC) if self._clock() < until else None
        return CircuitStatus(state="open" if end else "half_open", until=end, reason=reason)

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Note how the call within ends; raises ``NarrativeError`` instead of beginning it."""
        with self._lock:
            # Half open lets one through: the pause that is set below keeps the others out until that one has ended.
            status = self.status
            if status.state == "open":
                raise NarrativeError(not_asked(f"calls to it are paused, because {status.reason}"))
            self._paused_until = self._clock() + PAUSE_SECONDS  # for the others, also if this call never ends
        try:
            yield
        except EndpointError as error:
            with self._lock:
                self._failures += 1
                if error.lasting or self._failures >= MAX_FAILURES:
                    self._paused_until = self._clock() + (LASTING_PAUSE_SECONDS if error.lasting else PAUSE_SECONDS)
                    self._reason = str(error)
            raise
        with self._lock:
            self._failures, self._reason = 0, None


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
                broken, failure = str(error), f"its text was withheld because {error}"
            except EndpointError as error:
                failure = str(error)
                if not error.passing or self.circuit.state == "open":
                    break
            if time.monotonic() + LEAST_SECONDS > deadline:
                break
        raise NarrativeError(f"The language model was asked, but {failure}.")


class ExplanationSource(NamedTuple):
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
