"""The explanation of a language model: asked within a deadline, shown only if all of it is true."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from common.messages import CircuitStatus
from config.settings import ServerSettings
from server.explanation.breaker import CircuitBreaker, CircuitOpenError
from server.explanation.endpoint import Endpoint, EndpointError
from server.explanation.facts import Facts
from server.explanation.language import WithheldError, checked
from server.explanation.prompt import PROMPT_VERSION, grammar_of, prompt_of

LEAST_SECONDS: Final = 2.0
"""What must be left of the time for a second attempt."""

PAUSE_SECONDS: Final = 0.2
"""Between two attempts."""


class NarrativeError(Exception):
    """The language model gave no usable text; the message is a sentence that says why, for people."""


def asked_but(clause: str) -> str:
    """Say why nothing came of asking the language model."""
    return f"The language model was asked, but {clause}."


def not_asked(clause: str) -> str:
    """Say why the language model was not asked."""
    return f"The language model was not asked: {clause}."


class Writer(Protocol):
    """A language model that explains by a deadline; raises ``NarrativeError`` when it cannot."""

    model: str
    prompt_version: str

    def write(self, facts: Facts, deadline: float) -> str: ...

    @property
    def circuit(self) -> CircuitStatus:
        """How its endpoint is doing."""


class LlamaWriter:
    """Writes explanations with a language model."""

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
        for is_last in (False, True):
            try:
                with self._breaker.watch():
                    draft = self._endpoint.ask(prompt_of(facts, broken=broken), grammar_of(facts), deadline=deadline)
                return checked(facts, draft)
            except CircuitOpenError as error:
                raise NarrativeError(failure or not_asked(str(error))) from None
            except WithheldError as error:
                broken, may_pass = str(error), True
                failure = asked_but(f"its text was withheld because {error}")
            except EndpointError as error:
                failure, may_pass = asked_but(str(error)), error.passing
            if is_last or not may_pass or time.monotonic() + PAUSE_SECONDS + LEAST_SECONDS > deadline:
                break
            time.sleep(PAUSE_SECONDS)
        raise NarrativeError(failure)


@dataclass(frozen=True)
class ExplanationSource:
    """Who writes explanations at the moment, beside the deterministic text, and why nobody else does."""

    writer: Writer | None
    reason: str


def explanation_source(settings: ServerSettings) -> ExplanationSource:
    """Choose the language model of the settings, or none."""
    if settings.llm_model.lower() == "off":
        return ExplanationSource(None, "LLM_MODEL is off, so explanations are the deterministic text.")
    if settings.llm_base_url or settings.huggingface_api_token:
        name = "LLM_BASE_URL" if settings.llm_base_url else "HUGGINGFACE_API_TOKEN"
        return ExplanationSource(LlamaWriter(settings), f"{name} is set.")
    return ExplanationSource(None, "HUGGINGFACE_API_TOKEN is not set in .env: computed text, no AI.")
