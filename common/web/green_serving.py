"""Eventlet's HTTP server, which says nothing of what came; imported only where eventlet is on."""

import logging
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from eventlet import wsgi

from common.web.http_peers import IDLE_SECONDS, Discreet, ListenerShutDown, PatientListener, say_unreadable

if TYPE_CHECKING:
    import socket

    from _typeshed.wsgi import WSGIApplication

log = logging.getLogger(__name__)


class _Protocol(Discreet, wsgi.HttpProtocol):  # type: ignore[misc]
    """Answers and logs what is no request without repeating it."""


class _Log:
    """What is kept of what eventlet says: no request, and of a failure the place and kind, not the words."""

    def debug(self, *_: Any) -> None:
        """Nothing: who connects and leaves is not worth a line."""

    def info(self, *_: Any) -> None:
        if sys.exc_info()[0] is not None:
            log.error("a request failed outside of the app", exc_info=True)

    def error(self, *_: Any) -> None:
        """Say that a body could not be read to its end: eventlet reports nothing else as an error."""
        say_unreadable("a peer whose answer was sent")


def run(app: "WSGIApplication", listener: "socket.socket", most_connections: int) -> None:
    """Answer requests until the listener is shut down."""
    with suppress(ListenerShutDown):
        wsgi.server(
            PatientListener(listener),
            app,
            log=_Log(),
            debug=False,
            protocol=_Protocol,
            max_size=most_connections,
            keepalive=IDLE_SECONDS,
            socket_timeout=IDLE_SECONDS,
        )
