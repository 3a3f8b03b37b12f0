"""An OpenAI-compatible endpoint, asked by a call that ends by its deadline whatever the other side does."""

import os

os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"  # read at import; otherwise the first call asks the hub

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from http import HTTPStatus
from typing import Final

import httpx2
from huggingface_hub import InferenceClient, get_session, set_client_factory
from huggingface_hub.errors import HfHubHTTPError, InferenceTimeoutError, TextGenerationError

from config.settings import ServerSettings
from server.explanation.transport import (
    ForbiddenAnswerError,
    Limits,
    limits_of_call,
    make_http_client,
    trusted_authorities,
)

ROUTER_URL: Final = "https://router.huggingface.co/v1"
MAX_TOKENS: Final = 160
TEMPERATURE: Final = 0.2
MOST_BYTES: Final = 1_000_000
CALL: Final = "call-of-a-language-model"
"""The name of the threads that calls are made in."""

NO_ANSWER: Final = "it did not answer in time"

Messages = Sequence[Mapping[str, str]]


class EndpointError(Exception):
    """The endpoint gave no usable answer; the message is a clause that says why, for people.

    ``lasting``: it will not change without somebody doing what the clause says. ``passing``: the same request may
    succeed, after ``retry_after`` seconds at the earliest.
    """

    def __init__(self, clause: str, *, lasting: bool = False, passing: bool = False, retry_after: float = 0) -> None:
        super().__init__(clause)
        self.lasting = lasting
        self.passing = passing
        self.retry_after = retry_after


class UnfinishedAnswerError(EndpointError):
    """The endpoint works, but the answer went on until its limit."""


_LASTING_AT_THE_ROUTER: Mapping[int, str] = {
    400: "the request was refused; check LLM_MODEL in .env",
    401: "the token was refused; check HUGGINGFACE_API_TOKEN in .env",
    402: "the Hugging Face account has no credit left; add some, or set LLM_BASE_URL in .env",
    403: "the token may not use this model; ask for access to it on its Hugging Face page",
    404: "the model was not found; check LLM_MODEL in .env",
}
_LASTING_ELSEWHERE: Mapping[int, str] = {
    400: "the request was refused; check LLM_MODEL in .env and the endpoint's own log",
    401: "the key was refused; check LLM_API_KEY in .env",
    402: "the endpoint asks for payment; see to its account",
    403: "the key may not use this model; check LLM_API_KEY and LLM_MODEL in .env",
    404: "nothing was found there; check LLM_BASE_URL and LLM_MODEL in .env",
}
_PASSING: Mapping[int, str] = {
    HTTPStatus.REQUEST_TIMEOUT: "it had waited too long for the request",
    HTTPStatus.TOO_MANY_REQUESTS: "it is asked too often at the moment",
}


@dataclass(frozen=True)
class Endpoint:
    """Where a model is asked, and with which key; each call has a thread of its own, which may be left behind."""

    base_url: str
    key: str = field(repr=False)
    model: str

    @classmethod
    def of(cls, settings: ServerSettings) -> "Endpoint":
        """Return the endpoint of the settings, Hugging Face's router unless there is a base URL.

        The library has one HTTP client a process; it is made here, because reading certificates takes a while.

        Raises
        ------
        ConfigurationError
            If ``LLM_CA_FILE`` cannot be used.
        """
        trusted = trusted_authorities(settings.llm_ca_file)
        set_client_factory(partial(make_http_client, trusted))
        get_session()
        key = settings.llm_api_key if settings.llm_base_url else settings.huggingface_api_token
        # With a base URL and no key the library would send whatever HF_TOKEN the environment holds.
        return cls(settings.llm_base_url or ROUTER_URL, key.get_secret_value() if key else "none", settings.llm_model)

    def stream(self, messages: Messages, *, deadline: float) -> Generator[str]:
        """Yield the pieces of an answer as they come, and return when it has ended with the finish reason *stop*.

        ``deadline`` is in seconds of ``time.monotonic``. Whoever stops listening stops the call.

        Raises
        ------
        EndpointError
            When there is no such answer by the deadline.
        """
        url = httpx2.URL(self.base_url)
        limits = Limits(deadline, MOST_BYTES, url.raw_host.decode("ascii"), url.scheme == "https")
        events: queue.Queue[str | EndpointError | None] = queue.Queue()
        threading.Thread(target=self._read, args=(messages, limits, events.put), name=CALL, daemon=True).start()
        try:
            while (event := _next(events, deadline)) is not None:
                if isinstance(event, EndpointError):
                    raise event
                yield event
        finally:
            limits.deadline = 0

    def _read(self, messages: Messages, limits: Limits, put: Callable[[str | EndpointError | None], None]) -> None:
        """Hand over each piece and how the answer ended."""
        limits_of_call.set(limits)
        ending: EndpointError | None = EndpointError("it failed unexpectedly")
        try:
            for piece in self._pieces(messages):
                put(piece)
            ending = None
        except EndpointError as error:
            ending = error
        finally:  # whatever else was raised is reported by the thread
            put(ending)

    def _pieces(self, messages: Messages) -> Iterator[str]:
        try:
            yield from self._answer(messages)
        except (InferenceTimeoutError, httpx2.TimeoutException):
            raise EndpointError(NO_ANSWER) from None
        except HfHubHTTPError as error:
            raise self._refusal(error.response) from None
        except TextGenerationError:
            raise EndpointError("it reported an error of its own", passing=True) from None
        except ForbiddenAnswerError as error:
            raise EndpointError(str(error), lasting=error.lasting) from None
        except (httpx2.ConnectError, OSError) as error:
            raise EndpointError(f"it could not be reached ({type(error).__name__})", passing=True) from None
        except httpx2.HTTPError as error:
            raise EndpointError(f"the connection to it broke ({type(error).__name__})", passing=True) from None
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
            # The library checks nothing of what it receives.
            raise EndpointError("its answer was not understood", passing=True) from None

    def _answer(self, messages: Messages) -> Iterator[str]:
        finish = None
        with InferenceClient(base_url=self.base_url, api_key=self.key) as client:
            for chunk in client.chat_completion(
                [dict(message) for message in messages],
                model=self.model,
                stream=True,
                max_tokens=MAX_TOKENS,
                temperature=TEMPERATURE,
            ):
                for choice in chunk.choices[:1]:
                    yield "" + (choice.delta.content or "")
                    finish = choice.finish_reason or finish
        if finish is None:
            raise EndpointError("its answer was cut off", passing=True)
        if finish != "stop":
            raise UnfinishedAnswerError("its text was withheld because it did not come to an end of its own")

    def _refusal(self, response: httpx2.Response) -> EndpointError:
        status = response.status_code
        lasting = _LASTING_AT_THE_ROUTER if self.base_url == ROUTER_URL else _LASTING_ELSEWHERE
        if status in lasting:
            return EndpointError(lasting[status], lasting=True)
        passing = response.is_server_error or status in _PASSING
        clause = _PASSING.get(status, f"it answered with HTTP status {status}")
        return EndpointError(clause, passing=passing, retry_after=_retry_after(response.headers.get("Retry-After")))


def _next(events: "queue.Queue[str | EndpointError | None]", deadline: float) -> str | EndpointError | None:
    try:
        return events.get(timeout=max(0.0, deadline - time.monotonic()))
    except queue.Empty:
        return EndpointError(NO_ANSWER)


def _retry_after(value: str | None) -> float:
    """Return the seconds of a Retry-After header, which holds a number or a date (RFC 9110, section 10.2.3)."""
    if value is None:
        return 0
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return 0
