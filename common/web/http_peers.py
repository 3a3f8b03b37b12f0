"""How both HTTP servers treat their peers: how many there may be, how one is accepted, what is said of a bad one."""

import errno
import logging
import socket
import sys
import time
from contextlib import suppress
from typing import Any, Final

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

if sys.platform != "win32":
    import resource

log = logging.getLogger(__name__)

MAX_CONNECTIONS: Final = 25_000
"""Sockets at once, pages' requests included; how many stand is limited in ``engine``."""

SPARE_FILES: Final = 256
"""What a process opens beside its peers' sockets: databases, the trail, a language model."""

IDLE_SECONDS: Final = 30
"""How long a peer may take for its next bytes; a websocket has pings instead."""

PAUSE_SECONDS: Final = 0.1

LINES_A_MINUTE: Final = RateLimitItemPerMinute(60)

_said = FixedWindowRateLimiter(MemoryStorage())

_PASSING = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ECONNABORTED, errno.ECONNRESET, errno.EPROTO}
)


def most_connections() -> int:
    """Return how many sockets may be open at once, having asked the system for as many files as it lets us have.

    Whoever connects again and again must not leave the process without a file for its own databases.
    """
    if sys.platform == "win32":
        return MAX_CONNECTIONS
    wanted = MAX_CONNECTIONS + SPARE_FILES
    now, at_most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if now != resource.RLIM_INFINITY and now < wanted:
        with suppress(ValueError, OSError):  # a Mac says that there is no limit, and has one
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if at_most < 0 else min(wanted, at_most), at_most))
        now, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if now < 0 else min(MAX_CONNECTIONS, now - min(SPARE_FILES, now // 2))


def say_unreadable(address: str) -> None:
    """Log that a peer sent what is no request, but not so often that it fills the disk."""
    if _said.hit(LINES_A_MINUTE, "no readable request"):
        log.warning("no readable request came from %s", address)


class ListenerShutDown(Exception):  # noqa: N818 - no error: it is how serving ends
    """The listening socket was shut down; an ``OSError`` would have its servers ask again."""


class PatientListener:
    """A listening socket that waits where a connection cannot be taken now, and does not fail."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener

    def accept(self) -> tuple[socket.socket, Any]:
        while True:
            try:
                return self._listener.accept()
            except OSError as error:
                if error.errno == errno.EINVAL:
                    raise ListenerShutDown from error
                if error.errno not in _PASSING:
                    raise
                log.warning("a connection could not be taken: %s", error.strerror)
                time.sleep(PAUSE_SECONDS)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._listener, name)


class Discreet:
    """Mixed into an HTTP server's handler: what it cannot read may be the rest of a patient, and is not repeated."""

    error_message_format = "%(code)d %(message)s\n"
    error_content_type = "text/plain; charset=utf-8"

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer with the usual words for the status; the original quotes what came."""
        handler: Any = super()
        handler.send_error(code)

    def log_error(self, format: str, *args: Any) -> None:
        """Log that nothing readable came in time."""
        handler: Any = self
        say_unreadable(handler.client_address[0])

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log no request: an address may be made to hold anything."""
