"""An OpenAI-compatible endpoint, asked by a call that ends by its deadline whatever the other side does."""

import os

os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"  # read at import; otherwise the first call asks the hub

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, closing, suppress
from contextvars import ContextVar
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import httpx2
from huggingface_hub import ChatCompletionStreamOutput, InferenceClient, set_client_factory
from huggingface_hub.errors import HfHubHTTPError, TextGenerationError

from config.secrets import ConfigurationError
from config.settings import ServerSettings, is_private

ROUTER_URL: Final = "https://router.huggingface.co/v1"
TEMPERATURE: Final = 0.2
MAX_BYTES: Final = 1_000_000
CHUNK: Final = 4096
"""Bytes worked off at once, before everybody else has a turn."""

CALL: Final = "call-of-a-language-model"
"""The name of the threads that calls are made in."""

NO_ANSWER: Final = "it did not answer in time"
NOT_TRUSTED: Final = "its certificate is not trusted; see to it, or name its authority in LLM_CA_FILE in .env"

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
    """The endpoint works, but gave no whole text."""


class RejectedParameterError(UnfinishedAnswerError):
    """The endpoint works, but does not know a parameter of the request."""


_REFUSALS: Final[Mapping[int, str]] = {
    400: "the request was refused; check LLM_MODEL in .env",
    401: "the key was refused; check {key} in .env",
    402: "it asks for payment; see to its account, or set another LLM_BASE_URL in .env",
    403: "the key may not use this model; check {key} in .env, and whether the model's own page gives access",
    404: "nothing was found there; check LLM_BASE_URL and LLM_MODEL in .env",
    408: "it had waited too long for the request",
    429: "it is asked too often at the moment",
}
_LASTING: Final = range(400, 405)
_PASSING: Final = {408, 429, *range(500, 600)}
_NO_PERMISSION: Final = (
    'the token lacks the permission "Make calls to Inference Providers"; see huggingface.co/settings/tokens'
)


_exchange: ContextVar[Callable[[httpx2.Request], httpx2.Response]] = ContextVar("exchange")
"""How the call that the running thread makes sends a request; the library has one HTTP client for all of them."""


class _Transport(httpx2.BaseTransport):
    """Leaves each of the library's requests to the call that it is part of; outside of one, nothing is sent."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        return _exchange.get()(request)


set_client_factory(lambda: httpx2.Client(transport=_Transport(), trust_env=False))


class Endpoint:
    """Where a model is asked, and with which key; each call has a thread of its own, which may be left behind."""

    def __init__(self, settings: ServerSettings) -> None:
        """Take the endpoint of the settings, Hugging Face's router unless there is a base URL.

        Raises
        ------
        ConfigurationError
            If ``LLM_CA_FILE`` cannot be used.
        """
        self.url = httpx2.URL((settings.llm_base_url or ROUTER_URL).rstrip("/") + "/chat/completions")
        self._key_name = "LLM_API_KEY" if settings.llm_base_url else "HUGGINGFACE_API_TOKEN"
        key = settings.llm_api_key if settings.llm_base_url else settings.huggingface_api_token
        self._key = key.get_secret_value() if key else "none"
        self._model = settings.llm_model
        self._limit = {"max_tokens": settings.llm_max_tokens}
        self._trusted = _trusted_authorities(settings.llm_ca_file)

    def ask(self, messages: Messages, more: Mapping[str, object], *, deadline: float) -> str:
        """Return the text of an answer that has come to its end.

        ``more`` goes into the request as well; ``deadline`` is in seconds of ``time.monotonic``.

        Raises
        ------
        EndpointError
            When there is no such answer by the deadline; a ``RejectedParameterError`` when ``more`` is the reason.
        """
        answer: Future[str] = Future()
        transport = httpx2.HTTPTransport(verify=self._trusted, trust_env=False)
        opened: list[socket.socket] = []

        def call() -> None:
            _exchange.set(partial(self._sent, transport, deadline, opened))
            try:
                answer.set_result(self._answer(messages, more, deadline))
            except Exception as error:  # noqa: BLE001 - any, once the connection is shut down at the deadline
                answer.set_exception(error)
            finally:
                transport.close()

        threading.Thread(target=call, name=CALL, daemon=True).start()
        try:
            return answer.result(timeout=max(0.001, deadline - time.monotonic()))
        except TimeoutError:
            raise EndpointError(NO_ANSWER) from None
        finally:
            # A peer that drips headers would keep the call's thread for ever; to close a socket wakes no reader of it.
            for connection in opened:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _answer(self, messages: Messages, more: Mapping[str, object], deadline: float) -> str:
        limit, plain = self._limit, {"Accept-Encoding": "identity"}
        left = max(0.001, deadline - time.monotonic())
        try:
            with InferenceClient(base_url=str(self.url), api_key=self._key, timeout=left, headers=plain) as client:
                chunks = client.chat_completion(
                    [dict(message) for message in messages],
                    model=self._model,
                    stream=True,
                    temperature=TEMPERATURE,
                    extra_body={**limit, **more},
                )
                return text_of(chunks)
        except HfHubHTTPError as error:
            refusal = error.response
        status, text, wait = refusal.status_code, refusal.text, refusal.headers["Retry-After"]
        if status == HTTPStatus.BAD_REQUEST and "max_completion_tokens" in text and "max_tokens" in limit:
            self._limit = {"max_completion_tokens": limit["max_tokens"]}
            return self._answer(messages, more, deadline)
        if status in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY} and any(name in text for name in more):
            raise RejectedParameterError("it does not know a parameter")
        clause = _REFUSALS.get(status, f"it answered with HTTP status {status}").format(key=self._key_name)
        if status == HTTPStatus.FORBIDDEN and "Inference Providers" in text:
            clause = _NO_PERMISSION
        retry_after = float(wait) if wait.isdecimal() else 0
        raise EndpointError(clause, lasting=status in _LASTING, passing=status in _PASSING, retry_after=retry_after)

    def _sent(
        self, transport: httpx2.HTTPTransport, deadline: float, opened: list[socket.socket], request: httpx2.Request
    ) -> httpx2.Response:
        """Send a request of the library to the endpoint itself; return an answer that the library can read."""
        named = {**request.extensions, "sni_hostname": self.url.host, "trace": partial(_note, opened)}
        failure: httpx2.HTTPError = httpx2.ConnectError("no address")
        for address in self._addresses():
            url = self.url.copy_with(host=address)  # looked up once: what was checked is what is connected to
            pinned = httpx2.Request("POST", url, headers=request.headers, stream=request.stream, extensions=named)
            try:
                with closing(transport.handle_request(pinned)) as response:
                    text = _read(response, deadline)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                failure = error
            except httpx2.HTTPError as error:
                failure = error
                break
            else:
                if response.is_success:
                    return httpx2.Response(HTTPStatus.OK, text=_stream_of(text))
                wait = {"Retry-After": response.headers.get("Retry-After", "")}
                return httpx2.Response(response.status_code, headers=wait, json={"error": text})
        if "CERTIFICATE_VERIFY_FAILED" in str(failure):  # OpenSSL's own name for it
            raise EndpointError(NOT_TRUSTED, lasting=True)
        if isinstance(failure, httpx2.TimeoutException):
            raise EndpointError(NO_ANSWER)
        what = "it could not be reached" if isinstance(failure, httpx2.ConnectError) else "the connection to it broke"
        raise EndpointError(f"{what} ({type(failure).__name__})", passing=True)

    def _addresses(self) -> list[str]:
        port = self.url.port or (443 if self.url.scheme == "https" else 80)
        try:
            found = [str(entry[4][0]) for entry in socket.getaddrinfo(self.url.host, port, type=socket.SOCK_STREAM)]
        except OSError:
            return []
        if self.url.scheme != "https" and not all(map(is_private, found)):
            clause = "its address is neither on this machine nor private; use https in LLM_BASE_URL"
            raise EndpointError(clause, lasting=True)
        return found


def _note(opened: list[socket.socket], event: str, info: Mapping[str, Any]) -> None:
    """Keep the sockets that a call opens, as the client tells of them."""
    if event in {"connection.connect_tcp.complete", "connection.start_tls.complete"}:
        opened.append(info["return_value"].get_extra_info("socket"))


def _read(response: httpx2.Response, deadline: float) -> str:
    if response.is_redirect:
        raise EndpointError("it answered with a redirect, and none is followed")
    body = bytearray()
    for chunk in response.iter_raw(CHUNK):
        body += chunk
        if len(body) > MAX_BYTES:
            raise EndpointError("its answer was too long")
        if time.monotonic() > deadline:
            raise EndpointError(NO_ANSWER)
        if b"data: [DONE]" in body[-2 * CHUNK :]:
            break
        time.sleep(0)
    return body.decode("utf-8", "replace")


def _stream_of(body: str) -> str:
    """Return a body as a stream of events; one that is plain JSON becomes one event."""
    if body.lstrip().startswith("<"):
        raise EndpointError("it answered with a web page (HTML); check LLM_BASE_URL in .env", lasting=True)
    lines = ["data: " + body] if body.lstrip().startswith("{") else body.split("\n")
    # The library also ends lines at U+2028 and its like, which a text may hold, and knows the end by this space.
    return "\n".join(" ".join(line.splitlines()) for line in lines).replace("data:[DONE]", "data: [DONE]")


def text_of(chunks: Iterable[ChatCompletionStreamOutput]) -> str:
    """Return the text of an answer, streamed or whole, without what a model thought before it."""
    try:
        content, thought, finish = _joined(chunks)
    except TextGenerationError:
        raise EndpointError("it reported an error of its own", passing=True) from None
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):  # the library checks nothing
        raise EndpointError("its answer was not understood", passing=True) from None
    _, closed, text = content.rpartition("</think>")
    thought = thought or bool(closed) or "<think>" in text
    text = "" if "<think>" in text else text.strip()
    if finish is None:
        raise EndpointError("its answer was cut off", passing=True)
    if finish not in {"stop", "eos_token"}:
        if thought and not text:
            raise UnfinishedAnswerError("it was still thinking at its output limit; raise LLM_MAX_TOKENS in .env")
        raise UnfinishedAnswerError("its text was withheld because it did not come to an end of its own")
    if not text:
        raise UnfinishedAnswerError("it thought, but wrote no text" if thought else "it wrote no text")
    return text


def _joined(chunks: Iterable[ChatCompletionStreamOutput]) -> tuple[str, bool, str | None]:
    """Return the content of an answer, whether the model thought apart from it, and the reason that it ended for."""
    content, thought, finish = "", False, None
    for chunk in chunks:
        for choice in chunk.choices[:1]:
            part = vars(choice.delta) if choice.delta else vars(choice)["message"]
            content += part.get("content") or ""
            thought = thought or bool(part.get("reasoning") or part.get("reasoning_content"))
            finish = choice.finish_reason or finish
        time.sleep(0)
    return content, thought, finish


class _ClosingContext(ssl.SSLContext):
    """Closes a socket whose handshake fails; eventlet leaves it open."""

    def wrap_socket(self, *connection: Any, **options: Any) -> ssl.SSLSocket:
        secured = super().wrap_socket(*connection, **options | {"do_handshake_on_connect": False})
        with ExitStack() as failing:
            failing.callback(secured.close)
            secured.do_handshake()
            failing.pop_all()
        return secured


def _trusted_authorities(file: Path | None) -> ssl.SSLContext:
    """Return what certificates are checked against: the authorities of a PEM file, or those of this machine."""
    trusted = _ClosingContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        trusted.load_verify_locations(file) if file else trusted.load_default_certs()
    except OSError as error:
        said = error.strerror or "no certificate"
        raise ConfigurationError(f"LLM_CA_FILE must name a file of PEM certificates; {file}: {said}.") from None
    return trusted
