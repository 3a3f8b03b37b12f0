"""An OpenAI-compatible endpoint, asked by a call that ends by its deadline whatever the other side does."""

import os

os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"  # read at import; otherwise the first call asks the hub

import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from typing import Any, Final

import httpx2
from huggingface_hub import InferenceClient, set_client_factory
from huggingface_hub.errors import HfHubHTTPError

from config.hosts import is_private
from config.secrets import ConfigurationError
from config.settings import ServerSettings

ROUTER_URL: Final = "https://router.huggingface.co/v1"
MAX_BYTES: Final = 1_000_000
NOT_TRUSTED: Final = "its certificate is not trusted; check it, or name its authority in LLM_CA_FILE in .env"


class EndpointError(Exception):
    """The endpoint gave no usable answer; the message is a clause that says why, for people.

    ``lasting``: it will not change until somebody does what the clause says. ``passing``: the same request may succeed
    at a second attempt.
    """

    def __init__(self, clause: str, *, lasting: bool = False, passing: bool = False) -> None:
        super().__init__(clause)
        self.lasting, self.passing = lasting, passing


_REFUSALS: Final[Mapping[int, str]] = {
    400: "the request was refused; check LLM_MODEL in .env",
    401: "the key was refused; check {key} in .env",
    402: "it asks for payment; check its account, or set another LLM_BASE_URL in .env",
    403: "the key may not use this model; check {key} in .env, and whether the model's own page gives access",
    404: "nothing was found there; check LLM_BASE_URL and LLM_MODEL in .env",
    429: "it is getting too many requests",
}
_NOT_ALLOWED = 'the token lacks the permission "Make calls to Inference Providers"; see huggingface.co/settings/tokens'
_NO_GRAMMAR: Final = "it decodes under no grammar; set LLM_CONSTRAINED_DECODING in .env to automatic or off"


_call: ContextVar[tuple[ssl.SSLContext, list[socket.socket], float]] = ContextVar("call")
"""What the running thread's call trusts, where it keeps its connections, and its deadline."""


class _Transport(httpx2.BaseTransport):
    """Sends a request of the library by the call that it is part of; outside of one, nothing is sent."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Return an answer of any form as one JSON object, the form that the library reads without fault."""
        trusted, opened, deadline = _call.get()
        request.extensions["trace"] = partial(_connected, opened, deadline, request.url.scheme)
        # Read here and not by the library, whose own reading has no end where an answer has none.
        body = bytearray()
        with httpx2.HTTPTransport(verify=trusted, trust_env=False) as http:
            response = http.handle_request(request)
            if response.is_redirect:
                raise EndpointError("it answered with a redirect, and none is followed")
            for chunk in response.iter_raw():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise EndpointError("its answer was too long")
                if re.search(rb"data: ?\[DONE\]\s*$", body[-20:]):  # some keep the connection open
                    break
                time.sleep(0)  # on eventlet, others have a turn
        text = body.decode("utf-8", "replace")
        if not response.is_success:
            return httpx2.Response(response.status_code, json={"error": text})
        message = {"role": "assistant", "content": _text_of(text)}
        return httpx2.Response(httpx2.codes.OK, json={"choices": [{"message": message}]})


set_client_factory(lambda: httpx2.Client(transport=_Transport(), trust_env=False))


class _ClosingContext(ssl.SSLContext):
    """Closes a socket whose handshake fails; eventlet leaves it open."""

    def wrap_socket(self, *connection: Any, **options: Any) -> ssl.SSLSocket:
        secured = super().wrap_socket(*connection, **options | {"do_handshake_on_connect": False})
        try:
            secured.do_handshake()
        except OSError:
            secured.close()
            raise
        return secured


class Endpoint:
    """Where a model is asked, and with which key; each call has a thread of its own, which may be left behind."""

    def __init__(self, settings: ServerSettings) -> None:
        """Take the endpoint of the settings, Hugging Face's router unless there is a base URL.

        Raises
        ------
        ConfigurationError
            If ``LLM_CA_FILE`` cannot be used.
        """
        base, key, self._key_name = settings.llm_base_url, settings.llm_api_key, "LLM_API_KEY"
        if not base:
            base, key, self._key_name = ROUTER_URL, settings.huggingface_api_token, "HUGGINGFACE_API_TOKEN"
        self._client = InferenceClient(
            base_url=f"{base.rstrip('/')}/chat/completions",
            api_key=key.get_secret_value() if key else "none",  # without one the library takes that of the environment
            timeout=settings.llm_seconds + 1,  # for a call left behind; the deadline ends all others
            headers={"Accept-Encoding": "identity"},
        )
        self._model, self._decoding = settings.llm_model, settings.llm_constrained_decoding
        self._limit: Mapping[str, object] = {"max_tokens": settings.llm_max_tokens}
        self._trusted, file = _ClosingContext(ssl.PROTOCOL_TLS_CLIENT), settings.llm_ca_file
        try:
            self._trusted.load_verify_locations(file) if file else self._trusted.load_default_certs()
        except OSError as error:
            said = f"{file}: {error.strerror or 'no certificate'}"
            raise ConfigurationError(f"LLM_CA_FILE must name a file of PEM certificates; {said}.") from None

    def ask(self, messages: list[dict[str, str]], grammar: Mapping[str, object], *, deadline: float) -> str:
        """Return the text of an answer that has come to its end.

        Parameters
        ----------
        grammar
            What goes into the request as well, for constrained decoding, unless it is off or the endpoint refused it.
        deadline
            In seconds of ``time.monotonic``.

        Raises
        ------
        EndpointError
            When there is no such answer by the deadline.
        """
        answer: Future[str] = Future()
        opened: list[socket.socket] = []

        def call() -> None:
            _call.set((self._trusted, opened, deadline))
            try:
                answer.set_result(self._answer(messages, grammar if self._decoding != "off" else {}))
            except Exception as error:  # noqa: BLE001 - any, once the connection is shut down at the deadline
                answer.set_exception(error)

        threading.Thread(target=call, name="language-model-call", daemon=True).start()
        try:
            return answer.result(timeout=deadline - time.monotonic())
        except TimeoutError:
            raise EndpointError("it did not answer in time") from None
        finally:
            # A peer that drips headers would keep the call's thread forever; to close a socket wakes no reader of it.
            for connection in opened:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _answer(self, messages: list[dict[str, str]], grammar: Mapping[str, object]) -> str:
        body: dict[str, object] = {"stream": True, "temperature": 0.2, **self._limit, **grammar}
        try:
            answer = self._client.chat_completion([*messages], model=self._model, extra_body=body)
            return answer.choices[0].message.content or ""
        except HfHubHTTPError as error:
            status, text = error.response.status_code, error.response.text
        except httpx2.HTTPError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):  # OpenSSL's own name for it
                raise EndpointError(NOT_TRUSTED, lasting=True) from None
            what = "it could not be reached" if isinstance(error, httpx2.ConnectError) else "the connection to it broke"
            raise EndpointError(f"{what} ({type(error).__name__})", passing=True) from None
        # Servers differ in what they take, and say so: later requests leave out what this one was refused for.
        may_differ = status in {400, 422}
        if may_differ and "max_completion_tokens" in text and "max_tokens" in body:
            self._limit = {"max_completion_tokens": body["max_tokens"]}
            return self._answer(messages, grammar)
        if may_differ and any(name in text for name in grammar):
            if self._decoding == "on":
                raise EndpointError(_NO_GRAMMAR, lasting=True)
            self._decoding = "off"
            return self._answer(messages, {})
        clause = _REFUSALS.get(status, f"it answered with HTTP status {status}").format(key=self._key_name)
        if status == httpx2.codes.FORBIDDEN and "Inference Providers" in text:
            clause = _NOT_ALLOWED
        raise EndpointError(clause, lasting=status in range(400, 405), passing=status in {408, *range(500, 600)})


def _connected(opened: list[socket.socket], deadline: float, scheme: str, event: str, info: Mapping[str, Any]) -> None:
    """Keep a connection that the client tells of; raise if plain http would leave this machine or a private network."""
    if event not in {"connection.connect_tcp.complete", "connection.start_tls.complete"}:
        return
    connection = info["return_value"]
    opened.append(connection.get_extra_info("socket"))
    is_late = time.monotonic() > deadline  # and so was left behind before it had a connection to shut down
    # What is checked is the address at the other end, before a byte is sent: a name may lead elsewhere each time.
    if is_late or (scheme != "https" and not is_private(connection.get_extra_info("server_addr")[0])):
        connection.close()
        clause = "its address is neither on this machine nor private; use https in LLM_BASE_URL"
        raise EndpointError(clause, lasting=True)


def _text_of(body: str) -> str:
    """Return the text of an answer, a stream of events or one object, without what a model thought before it."""
    if body.lstrip().startswith("<"):
        raise EndpointError("it answered with a web page (HTML); check LLM_BASE_URL in .env", lasting=True)
    events = re.findall(r"(?m)^data:(?! ?\[DONE\])(.*)", body) or [body]
    try:
        choices = [choice for event in events for choice in json.loads(event)["choices"][:1]]
        parts = [choice.get("delta") or choice.get("message") or {} for choice in choices]
        content = "".join(part.get("content") or "" for part in parts)
        ends = [choice["finish_reason"] for choice in choices if choice.get("finish_reason")]
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        said = "it reported an error of its own" if '"error":' in body else "its answer was not understood"
        raise EndpointError(said, passing=True) from None
    if not ends:
        raise EndpointError("its answer was cut off", passing=True)
    if ends[-1] not in {"stop", "eos_token"}:
        raise EndpointError("it stopped before the end of its text; raise LLM_MAX_TOKENS in .env")
    # Thoughts come in a field of their own, which is not read, or before this tag.
    text = content.rpartition("</think>")[2].strip()
    if not text or "<think>" in text:
        raise EndpointError("it wrote no text")
    return text
