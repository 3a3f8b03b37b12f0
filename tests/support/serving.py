"""Serving an app of this process on a real socket, in the concurrency the process runs on."""

from collections.abc import Iterator
from contextlib import contextmanager

import eventlet.patcher
from flask import Flask

from common.web.serve import accept, listen

ASYNC_MODE = "eventlet" if eventlet.patcher.is_monkey_patched("socket") else "threading"


@contextmanager
def served(app: Flask) -> Iterator[str]:
    """Serve an app on a port of its own, and yield its address."""
    listener = listen("127.0.0.1", 0)
    stop_accepting = accept(app, listener, ASYNC_MODE)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        app.extensions["door"].close()
        stop_accepting()
