"""A language model's HTTP interface on loopback: it streams what it is told to, and keeps what it received."""

import json
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from typing import Any, Self

WAIT_SECONDS = 20.0
NONE: Mapping[str, str] = {}
DONE = "data: [DONE]\n\n"

Script = Callable[["Reply"], None]


def event(content: str = "", finish: str | None = None, **delta: str) -> str:
    """Return a piece of a streamed answer."""
    choice = {"index": 0, "delta": {"role": "assistant", "content": content, **delta}, "finish_reason": finish}
    return f"data: {json.dumps({'choices': [choice]})}\n\n"


class Reply:
    """One request to the model, and the means to answer it piece by piece."""

    def __init__(self, handler: BaseHTTPRequestHandler, body: dict[str, Any], closing: threading.Event) -> None:
        self._handler = handler
        self._closing = closing
        self.body = body
        self.path = handler.path
        self.headers = {name.lower(): value for name, value in handler.headers.items()}

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        self._handler.send_response(status)
        for header in {"Content-Type": "text/event-stream", "Connection": "close", **headers}.items():
            self._handler.send_header(*header)
        self._handler.end_headers()

    def raw(self, text: str) -> None:
        self._handler.wfile.write(text.encode())
        self._handler.wfile.flush()

    def stall(self, seconds: float = WAIT_SECONDS) -> bool:
        """Say nothing until the test ends; return whether it has ended."""
        return self._closing.wait(seconds)


def sends(*parts: str, status: int = 200, drips: str | None = None, headers: Mapping[str, str] = NONE) -> Script:
    """A model that sends these parts, and then, if it drips, this again and again (or nothing) until the test ends."""

    def script(reply: Reply) -> None:
        reply.begin(status, headers)
        for part in parts:
            reply.raw(part)
        while drips is not None and not reply.stall(0.1):
            reply.raw(drips)

    return script


def says(text: str) -> Script:
    """A model that streams this text word by word, as models do, and ends."""
    first, *rest = text.split(" ")
    return sends(event(first), *(event(f" {word}") for word in rest), event(finish="stop"), DONE)


def answers(status: int, error: str = "refused") -> Script:
    """A model that refuses with this HTTP status."""
    return sends(json.dumps({"error": error}), status=status, headers={"Content-Type": "application/json"})


def in_turn(*scripts: Script) -> Script:
    """Do each of these at one request, in turn."""
    left = iter(scripts)

    def script(reply: Reply) -> None:
        next(left)(reply)

    return script


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


class LanguageModel:
    """Serves OpenAI-compatible chat completions on a port of its own; ``script`` is what it does next."""

    def __init__(self, script: Script, *, tls: ssl.SSLContext | None = None) -> None:
        self.script = script
        self.received: Queue[Reply] = Queue()
        self._closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_address[1]}/v1"
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(WAIT_SECONDS)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        model = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                reply = Reply(self, body, model._closing)
                model.received.put(reply)
                # A writer that gives up closes the connection, which is what some tests are about.
                with suppress(BrokenPipeError, ConnectionResetError):
                    model.script(reply)

            def log_message(self, format: str, *arguments: object) -> None:
                """Say nothing."""

        return Handler
