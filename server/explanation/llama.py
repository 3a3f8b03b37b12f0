"""The explanation of a language model: asked within a deadline, shown only if all of it is true."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from common.messages import CircuitStatus
from config.settings import ServerSettings
from server.explanation.breaker import CircuitBreaker, CircuitOpenError
from server.explanation.endpoint import Endpoint, EndpointError, Messages, RejectedParameterError
from server.explanation.facts import Facts
from server.explanation.language import WithheldError, checked, constrained, gbnf_of, regex_of
from server.explanation.prompt import PROMPT_VERSION, prompt_of

LEAST_SECONDS: Final = 2.0
"""What must be left of the time for a second attempt."""

PAUSE_SECONDS: Final = (0.1, 0.4)
"""Between two attempts, drawn at random, so that nobody keeps step."""

_JITTER = random.SystemRandom()


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

    def __init__(
        self,
        settings: ServerSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        self.model = settings.llm_model
        self.prompt_version = PROMPT_VERSION
        self._breaker = CircuitBreaker(clock)
        self._endpoint = Endpoint(settings)
        self._mode = settings.llm_constrained_decoding
        self._offers_grammar = self._mode != "off"
        self._clock = clock
        self._pause = pause

    @property
    def circuit(self) -> CircuitStatus:
        """How the endpoint is doing."""
        return self._breaker.status

    def write(self, facts: Facts, deadline: float) -> str:
        """Write one explanation, at the second attempt if there is time for one; all ends by ``deadline``.

        Raises
        ------
        NarrativeError
            When there is no true text by then, in seconds of the clock.
        """
        broken = failure = ""
        for is_last in (False, True):
            try:
                with self._breaker.watch():
                    draft = self._draft(facts, prompt_of(facts, broken=broken), deadline)
                return checked(facts, draft)
            except CircuitOpenError as error:
                raise NarrativeError(failure or not_asked(str(error))) from None
            except WithheldError as error:
                broken, failure = str(error), asked_but(f"its text was withheld because {error}")
                pause, may_pass = 0.0, True
            except EndpointError as error:
                failure = asked_but(str(error))
                pause, may_pass = max(error.retry_after, _JITTER.uniform(*PAUSE_SECONDS)), error.passing
            if is_last or not may_pass or self._clock() + pause + LEAST_SECONDS > deadline:
                break
            self._pause(pause)
        raise NarrativeError(failure)

    def _draft(self, facts: Facts, messages: Messages, deadline: float) -> str:
        """Ask under a grammar of true texts, unless the endpoint has refused one; who does not know it ignores it."""
        if self._offers_grammar:
            choices = constrained(facts)
            regex = regex_of(choices)
            # llama.cpp reads the first, vLLM the second or, newer, the third
            more = {"grammar": gbnf_of(choices), "guided_regex": regex, "structured_outputs": {"regex": regex}}
            try:
                return self._endpoint.ask(messages, more, deadline=deadline)
            except RejectedParameterError:
                if self._mode == "on":
                    clause = "it decodes under no grammar; set LLM_CONSTRAINED_DECODING in .env to automatic or off"
                    raise EndpointError(clause, lasting=True) from None
                self._offers_grammar = False
        return self._endpoint.ask(messages, {}, deadline=deadline)


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
    reason = "HUGGINGFACE_API_TOKEN is not set in .env: computed text, no AI."
    return ExplanationSource(None, reason)
