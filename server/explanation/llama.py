"""The explanation of a language model: asked within a deadline, shown only if all of it is true."""

import random
import re
import time
from collections.abc import Callable, Mapping
from typing import Final

from common.messages import CircuitStatus
from config.settings import ServerSettings
from server.explanation.breaker import CircuitBreaker, CircuitOpenError
from server.explanation.endpoint import Endpoint, EndpointError, Messages, RejectedParameterError
from server.explanation.facts import Facts
from server.explanation.language import Language, WithheldError, constrained, gbnf_of, regex_of
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


class LlamaWriter:
    """Writes explanations with a language model."""

    def __init__(
        self,
        settings: ServerSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], object] = time.sleep,
        jitter: Callable[[float, float], float] = _JITTER.uniform,
    ) -> None:
        self.model = settings.llm_model
        self.prompt_version = PROMPT_VERSION
        self._breaker = CircuitBreaker(clock)
        self._endpoint = Endpoint(settings)
        self._mode = settings.llm_constrained_decoding
        self._offer = 0 if self._mode != "off" else len(_OFFERS)
        self._clock = clock
        self._pause = pause
        self._jitter = jitter

    @property
    def circuit(self) -> CircuitStatus:
        """How the endpoint is doing."""
        return self._breaker.status

    def write(self, facts: Facts, deadline: float) -> str:
        """Write one explanation; all of it ends by ``deadline``, in seconds of the clock.

        Raises
        ------
        NarrativeError
            When there is no true text by then.
        """
        if self._clock() >= deadline:
            raise NarrativeError(not_asked("no time was left for it"))
        try:
            return self._attempt_twice(facts, deadline)
        except CircuitOpenError as error:
            raise NarrativeError(not_asked(str(error))) from None
        except EndpointError as error:
            raise NarrativeError(asked_but(str(error))) from None
        except WithheldError as error:
            raise NarrativeError(asked_but(f"its text was withheld because {error}")) from None

    def _attempt_twice(self, facts: Facts, deadline: float) -> str:
        failure: EndpointError | WithheldError
        try:
            return self._attempt(facts, prompt_of(facts), deadline)
        except EndpointError as error:
            pause = max(error.retry_after, self._jitter(*PAUSE_SECONDS))
            if not error.passing or self._clock() + pause + LEAST_SECONDS > deadline:
                raise
            failure, messages = error, prompt_of(facts)
            self._pause(pause)
        except WithheldError as error:
            if self._clock() + LEAST_SECONDS > deadline:
                raise
            failure, messages = error, prompt_of(facts, broken=str(error))
        try:
            return self._attempt(facts, messages, deadline)
        except CircuitOpenError:
            raise failure from None

    def _attempt(self, facts: Facts, messages: Messages, deadline: float) -> str:
        with self._breaker.watch():
            draft = self._draft(facts, messages, deadline)
        return Language(facts).checked(draft)

    def _draft(self, facts: Facts, messages: Messages, deadline: float) -> str:
        """Ask under the grammar as the endpoint takes it, which is found out by asking; without it if it takes none."""
        choices = constrained(facts)
        while (offer := self._offer) < len(_OFFERS):
            try:
                draft = self._endpoint.ask(messages, _OFFERS[offer](choices), deadline=deadline)
            except RejectedParameterError:
                self._offer = offer + 1
                continue
            if self._mode == "automatic" and not re.fullmatch(regex_of(choices), draft):
                self._offer = offer + 1  # it was ignored
            return draft
        if self._mode == "on":
            clause = "it decodes under no grammar; set LLM_CONSTRAINED_DECODING in .env to automatic or off"
            raise EndpointError(clause, lasting=True)
        return self._endpoint.ask(messages, {}, deadline=deadline)


def _for_llama_cpp_and_vllm(choices: list[list[str]]) -> Mapping[str, object]:
    """Offer GBNF to llama.cpp, a regular expression to vLLM by its older and its newer name; each ignores the other."""
    regex = regex_of(choices)
    return {"grammar": gbnf_of(choices), "guided_regex": regex, "structured_outputs": {"regex": regex}}


def _for_tgi(choices: list[list[str]]) -> Mapping[str, object]:
    return {"response_format": {"type": "regex", "value": regex_of(choices)}}


_OFFERS: Final = (_for_llama_cpp_and_vllm, _for_tgi)
