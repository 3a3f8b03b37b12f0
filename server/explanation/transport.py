"""HTTP to one endpoint alone: bounded by a deadline and a size, without proxies or redirects, over TLS or privately."""

import socket
import ssl
import time
from collections.abc import Iterable
from contextlib import ExitStack
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpcore2
import httpx2

from config.secrets import ConfigurationError
from config.settings import is_private


class ForbiddenAnswerError(Exception):
    """The other side is not the endpoint that was asked for, or answers in a way that is not accepted; says how.

    ``lasting``: it will not change without somebody doing what the message says.
    """

    def __init__(self, message: str, *, lasting: bool = False) -> None:
        super().__init__(message)
        self.lasting = lasting


@dataclass
class Limits:
    """What one call may do: until when (seconds of ``time.monotonic``), how much it may read, and from which host."""

    deadline: float
    bytes_left: int
    host: str
    is_encrypted: bool

    def time_left(self) -> float:
        """Return the seconds until the deadline.

        Raises
        ------
        httpcore2.ReadTimeout
            When there are none.
        """
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise httpcore2.ReadTimeout("the whole answer took too long")
        return left

    def take(self, received: bytes) -> bytes:
        """Count received bytes; raises ``ForbiddenAnswerError`` when they are too many."""
        self.bytes_left -= len(received)
        if self.bytes_left < 0:
            raise ForbiddenAnswerError("its answer was too long")
        return received


MOST_AT_ONCE: Final = 4096
"""Bytes that one read gives: what they hold is worked off in milliseconds, and then everybody else has a turn."""

NOT_TRUSTED: Final = "its certificate is not trusted; see to it, or name its authority in LLM_CA_FILE in .env"

limits_of_call: ContextVar[Limits] = ContextVar("limits_of_call")
"""The limits of the call that the running thread makes; without any, nothing is sent anywhere."""


class _BoundedStream(httpcore2.NetworkStream):
    """A connection on which every step ends by the deadline: a server may keep each one short and yet never end."""

    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        limits = limits_of_call.get()
        received = limits.take(self._stream.read(min(max_bytes, MOST_AT_ONCE), limits.time_left()))
        time.sleep(0)
        return received

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, limits_of_call.get().time_left())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        left = limits_of_call.get().time_left()
        context: Any = _Handshake(ssl_context)
        return _BoundedStream(self._stream.start_tls(context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Handshake:
    """A TLS context whose sockets are closed when their handshake fails, where eventlet's are left open."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context

    def wrap_socket(self, connection: socket.socket, server_hostname: str | None) -> ssl.SSLSocket:
        secured = self._context.wrap_socket(connection, server_hostname=server_hostname, do_handshake_on_connect=False)
        with ExitStack() as closing:
            closing.callback(secured.close)
            try:
                secured.do_handshake()
            except ssl.SSLCertVerificationError:
                raise ForbiddenAnswerError(NOT_TRUSTED, lasting=True) from None
            closing.pop_all()
        return secured


class _BoundedBackend(httpcore2.SyncBackend):
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        """Connect to the endpoint; what is checked is the very address that is connected to."""
        limits = limits_of_call.get()
        if host != limits.host:
            raise ForbiddenAnswerError("another host was to be asked than the endpoint's")
        failure: httpcore2.ConnectError | httpcore2.ConnectTimeout = httpcore2.ConnectError("it has no address")
        for address in _addresses(host, port, limits):
            try:
                stream = super().connect_tcp(address, port, limits.time_left(), local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
            else:
                return _BoundedStream(stream)
        raise failure


def _addresses(host: str, port: int, limits: Limits) -> list[str]:
    try:
        found = [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except OSError:
        raise httpcore2.ConnectError("its name is not known") from None
    if not limits.is_encrypted and not all(is_private(address) for address in found):
        raise ForbiddenAnswerError(
            "its address is neither on this machine nor private; use https in LLM_BASE_URL", lasting=True
        )
    return found


class _BoundedTransport(httpx2.HTTPTransport):
    """Bounds everything by the limits of the call; follows no redirect and unpacks nothing."""

    def __init__(self, trusted: ssl.SSLContext) -> None:
        super().__init__(trusted, trust_env=False)
        self._pool = httpcore2.ConnectionPool(
            ssl_context=trusted,
            max_connections=None,
            max_keepalive_connections=0,
            network_backend=_BoundedBackend(),
        )

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        request.headers["Accept-Encoding"] = "identity"
        response = super().handle_request(request)
        if response.is_redirect:
            response.close()
            raise ForbiddenAnswerError("it answered with a redirect, and none is followed")
        if response.headers.get("Content-Encoding", "identity") != "identity":
            response.close()
            raise ForbiddenAnswerError("its answer was compressed, which had not been asked for")
        return response


def make_http_client(trusted: ssl.SSLContext) -> httpx2.Client:
    """Make an HTTP client; nothing of the environment tells it to ask another host."""
    return httpx2.Client(transport=_BoundedTransport(trusted), trust_env=False, follow_redirects=False)


def trusted_authorities(file: Path | None) -> ssl.SSLContext:
    """Return what certificates are checked against: the authorities of a PEM file, or those of this machine.

    Raises
    ------
    ConfigurationError
        If the file holds none.
    """
    if file is None:
        return httpx2.create_ssl_context(trust_env=False)
    try:
        return ssl.create_default_context(cafile=file)
    except OSError as error:
        said = error.strerror or "no certificate"
        raise ConfigurationError(f"LLM_CA_FILE must name a file of PEM certificates; {file}: {said}.") from None
