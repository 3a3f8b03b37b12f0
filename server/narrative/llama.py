"""The explanation of a Llama model, through Hugging Face or an OpenAI-compatible endpoint: bounded, and under guard."""

import math
import os
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import Any

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # read at import; otherwise the first call asks the hub

import httpcore2
import httpx2
from huggingface_hub import ChatCompletionStreamOutput, InferenceClient, set_client_factory
from huggingface_hub.errors import HfHubHTTPError, InferenceTimeoutError

from config.messages import Explanation
from config.settings import ServerSettings
from server.narrative.facts import Facts
from server.narrative.guard import GuardError, check_whole, checked_sentence, sentences_of
from server.narrative.prompt import prompt_of

MAX_TOKENS = 200
MAX_CHARACTERS = 2000
TEMPERATURE = 0.2


class NarrativeError(Exception):
    """The language model gave no usable text; the message is a clause that says why, for people."""


_deadline = ContextVar("_deadline", default=math.inf)
"""When the text that is being written has to be there, in seconds of ``time.monotonic``."""


def _time_left(_: float | None = None) -> float | None:
    """Return the seconds until the deadline, whatever one step would be allowed by itself.

    Raises
    ------
    httpcore2.ReadTimeout
        When there are none.
    """
    left = _deadline.get() - time.monotonic()
    if left <= 0:
        raise httpcore2.ReadTimeout("the whole answer took too long")
    return left if math.isfinite(left) else None


class _BoundedStream(httpcore2.NetworkStream):
    """A connection on which every step ends by the deadline: a server may keep each one short and yet never end."""

    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _time_left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _time_left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        return _BoundedStream(self._stream.start_tls(ssl_context, server_hostname, _time_left(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _BoundedBackend(httpcore2.SyncBackend):
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        left = _time_left(timeout)
        return _BoundedStream(super().connect_tcp(host, port, left, local_address, socket_options))


class _BoundedTransport(httpx2.HTTPTransport):
    """Bounds everything by the deadline, from connecting to the last byte, and follows no redirect."""

    def __init__(self) -> None:
        super().__init__(trust_env=False)
        self._pool = httpcore2.ConnectionPool(
            ssl_context=httpx2.create_ssl_context(trust_env=False), network_backend=_BoundedBackend()
        )

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        response = super().handle_request(request)
        if response.is_redirect:
            response.close()
            raise httpx2.TooManyRedirects("no redirect is followed", request=request)
        return response


def _http_client() -> httpx2.Client:
    """Make the client that all calls share; nothing of the environment tells it to ask another host."""
    return httpx2.Client(transport=_BoundedTransport(), trust_env=False, follow_redirects=False)


class LlamaWriter:
    """Writes explanations with a language model; holds no state between two of them."""

    def __init__(self, settings: ServerSettings) -> None:
        self.model = settings.llm_model
        self._timeout = settings.llm_timeout_seconds
        self._base_url = settings.llm_base_url
        key = settings.llm_api_key if self._base_url else settings.huggingface_api_token
        # With a base URL and no key the library would send whatever HF_TOKEN the environment holds.
        self._key = key.get_secret_value() if key else "none"
        set_client_factory(_http_client)

    def write(self, facts: Facts, *, release: Callable[[str], None]) -> Explanation:
        """Write one explanation, handing each sentence to ``release`` once it has passed the guard.

        All of it, whatever the library asks on the way, ends by one deadline counted from here.

        Raises
        ------
        NarrativeError
            When the model cannot be reached in time, or its text breaks a rule; what was released is void then.
        """
        _deadline.set(time.monotonic() + self._timeout)
        try:
            text = self._checked(facts, release)
        except GuardError as error:
            raise NarrativeError(f"its text was withheld because {error}") from None
        except (InferenceTimeoutError, httpx2.TimeoutException):
            raise NarrativeError("it did not answer in time") from None
        except HfHubHTTPError as error:
            raise NarrativeError(_refusal(error.response.status_code)) from None
        except (httpx2.HTTPError, OSError, ValueError) as error:
            # ValueError: an answer that is no JSON, or a provider that the library does not know.
            raise NarrativeError(f"it could not be reached ({type(error).__name__})") from None
        return Explanation(text=text, source="llm", model=self.model)

    def _checked(self, facts: Facts, release: Callable[[str], None]) -> str:
        raw = ""
        released: list[str] = []
        for piece in self._stream(facts):
            raw += piece
            if len(raw) > MAX_CHARACTERS:
                raise GuardError("it is too short or too long")
            *finished, _ = sentences_of(raw) or [""]
            for sentence in finished[len(released) :]:
                released.append(checked_sentence(sentence, facts))
                release(released[-1])
        for sentence in sentences_of(raw)[len(released) :]:
            released.append(checked_sentence(sentence, facts))
            release(released[-1])
        check_whole(raw, facts)
        return " ".join(released)

    def _stream(self, facts: Facts) -> Iterator[str]:
        """Yield the pieces of the answer."""
        with self._client() as client:
            stream = client.chat_completion(
                prompt_of(facts),
                model=self.model if self._base_url else self.model.partition(":")[0],
                stream=True,
                max_tokens=MAX_TOKENS,
                temperature=TEMPERATURE,
            )
            finish = None
            for piece, ending in _pieces(stream):
                finish = ending or finish
                yield piece
        if finish != "stop":
            raise NarrativeError("its answer was cut off")

    def _client(self) -> InferenceClient:
        if self._base_url:
            return InferenceClient(base_url=self._base_url, api_key=self._key, timeout=self._timeout)
        name, _, provider = self.model.partition(":")
        return InferenceClient(
            model=name,
            provider=provider or "auto",  # type: ignore[arg-type]  # the library checks the name
            token=self._key,
            timeout=self._timeout,
        )


def _pieces(stream: Iterable[ChatCompletionStreamOutput]) -> Iterator[tuple[str, str | None]]:
    """Yield each piece of text, and why the text ended once it has; the library checks nothing of what it received."""
    try:
        for chunk in stream:
            for choice in chunk.choices[:1]:
                yield "" + (choice.delta.content or ""), choice.finish_reason
    except (AttributeError, KeyError, TypeError):
        raise NarrativeError("its answer was not understood") from None


def _refusal(status: int) -> str:
    return {
        401: "the token was refused; check HUGGINGFACE_API_TOKEN in .env",
        402: "the Hugging Face account has no credit left",
        403: "the token may not use this model; ask for access to it on its Hugging Face page",
        404: "the model was not found; check LLM_MODEL in .env",
        429: "it is asked too often at the moment",
    }.get(status, f"it answered with HTTP status {status}")
