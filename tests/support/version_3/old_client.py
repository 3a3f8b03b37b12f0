"""A client app of version 3 as far as its handshake: what a server of today's protocol has to answer in its words."""

import socket
from queue import Empty, Queue
from typing import Any, Final
from urllib.parse import urlsplit

import socketio

PROTOCOL: Final = 3
SECONDS: Final = 5.0
UNREACHABLE: Final = "The server cannot be reached at the moment."


def sentence_of_refusal(url: str, token: str, *, waiting: int = 0) -> str | None:
    """Connect as version 3 does; return the sentence that its page then shows, ``None`` if the server took it in.

    Version 3 knows a refusal by the ``data`` of Socket.IO's connect error, which has to be exactly a ``WireError``
    (code, message, retryable, fields). Everything else it takes for a server that is not there.
    """
    refusals: Queue[Any] = Queue()
    address = urlsplit(url)
    with socket.create_connection((address.hostname or "", address.port or 80), SECONDS) as connection:
        client = socketio.Client(
            reconnection=False,
            handle_sigint=False,
            request_timeout=SECONDS,
            websocket_extra_options={"redirect_limit": 0, "socket": connection},
        )
        client.on("connect_error", refusals.put, namespace="/clients")
        try:
            client.connect(
                url,
                auth={"protocol": PROTOCOL, "token": token, "waiting": waiting},
                namespaces=["/clients"],
                transports=["websocket"],
                wait_timeout=SECONDS,
            )
        except socketio.exceptions.ConnectionError:
            return _sentence(refusals)
        client.disconnect()
        client.wait()
    return None


def _sentence(refusals: "Queue[Any]") -> str:
    try:
        said = refusals.get(timeout=SECONDS)
    except Empty:
        return UNREACHABLE
    error = said.get("data") if isinstance(said, dict) else None
    known = {"code": str, "message": str, "retryable": bool, "fields": dict}
    if not isinstance(error, dict) or not {"code", "message", "retryable"} <= error.keys() <= known.keys():
        return UNREACHABLE
    if not all(isinstance(value, known[name]) for name, value in error.items()):
        return UNREACHABLE
    return str(error["message"])
