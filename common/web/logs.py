"""Logging of a process, configured once: standard error, one line a record, never a patient's value."""

import io
import json
import logging
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import Final

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from common.errors import DetectionSystemError, InternalError

log = logging.getLogger(__name__)

OWN_PACKAGES: Final = ("config", "common", "server", "client")

WITH_OWN_HANDLERS: Final = ("engineio.server", "engineio.client", "socketio.server", "socketio.client")
"""Loggers whose libraries add a handler of their own, which logs everything, unless a level is set."""

LINES_A_MINUTE: Final = RateLimitItemPerMinute(60)

_lines = FixedWindowRateLimiter(MemoryStorage())


def may_log(what: str) -> bool:
    """Count a line that peers can cause at will; tell whether it may be logged, or would help to fill the disk."""
    return _lines.hit(LINES_A_MINUTE, what)


def named(error: Exception, what: str) -> DetectionSystemError:
    """Return an error that a peer may see; any other is logged under ``what`` failed, and shown as an internal one."""
    if isinstance(error, DetectionSystemError):
        return error
    log.error("%s: %s", what, type(error).__name__, exc_info=error)
    return InternalError()


def configure_logging(level: str, form: str = "text") -> None:
    """Send this project's records of at least ``level`` to standard error, as text or JSON, times in UTC.

    Libraries are logged from WARNING on only: below that they log what they carry, which is patients' values.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter() if form == "json" else _Formatter())
    handler.addFilter(_is_own_or_serious)
    handler.setLevel(level)
    severity = logging.getLevelNamesMapping()[level]
    logging.basicConfig(level=max(severity, logging.WARNING), handlers=[handler], force=True)
    for package in OWN_PACKAGES:
        logging.getLogger(package).setLevel(severity)
    for library in WITH_OWN_HANDLERS:
        logging.getLogger(library).setLevel(max(severity, logging.ERROR))
        logging.getLogger(library).addFilter(lambda record: may_log(record.name))
    logging.getLogger("werkzeug").addFilter(_without_words)
    logging.raiseExceptions = False  # a log that cannot be written would print the failure itself, with all it says
    # Python's own hooks print what an exception says.
    sys.excepthook = _log_uncaught
    sys.unraisablehook = threading.excepthook = _log_in_background


def _without_words(record: logging.LogRecord) -> bool:
    """Keep the place and kind of a failure that werkzeug reports: it writes out what the error says."""
    if record.levelno >= logging.ERROR:
        record.msg, record.args, record.exc_info = "a request failed outside of the app", (), sys.exc_info()
    return True


def keep_libraries_quiet() -> None:
    """Let nothing into standard error but records: eventlet's HTTP server writes there what it cannot read."""
    sys.stderr = _Unrepeated()


class _Unrepeated(io.TextIOBase):
    def write(self, text: str, /) -> int:
        # Libraries write one message in many pieces, and each may be a part of a patient.
        if text.strip() and may_log("unrepeated"):
            error = sys.exc_info()[1]
            log.warning(
                "a library reports an unreadable request or a failure; its message is not shown", exc_info=error
            )
        return len(text)


class _Formatter(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
        self.converter = time.gmtime

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is logging's
        """Add the request that a record is about, whose id is the same at the client app and at the server."""
        request_id = getattr(record, "request_id", None)
        return super().formatMessage(record) + (f" request_id={request_id}" if request_id else "")

    def formatException(self, ei: object) -> str:  # noqa: N802 - the name is logging's
        """Show where an exception was raised and of what kind it is: what it says may be a patient's value."""
        error = ei[1] if isinstance(ei, tuple) else None
        return "".join(_traceback(error)).rstrip() if isinstance(error, BaseException) else ""


class _JsonFormatter(_Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """Return one line with all of a record, an exception included."""
        line = {
            "time": f"{self.formatTime(record, self.datefmt)}.{record.msecs:03.0f}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": getattr(record, "request_id", None),
            "exception": self.formatException(record.exc_info) if record.exc_info else None,
        }
        return json.dumps({name: value for name, value in line.items() if value is not None})


def _traceback(error: BaseException) -> Iterator[str]:
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None:
        yield from _traceback(before)
        yield "\nThen, because of it or while it was handled:\n\n"
    yield "Traceback (most recent call last):\n"  # without local variables, which hold patients
    yield from traceback.format_tb(error.__traceback__)
    known = f": {error.message}" if isinstance(error, DetectionSystemError) else ""
    yield f"{type(error).__qualname__}{known}\n"


def _log_uncaught(kind: type[BaseException], error: BaseException, _: TracebackType | None) -> None:
    log.critical("the process was ended by %s", kind.__name__, exc_info=error)


def _log_in_background(failure: "threading.ExceptHookArgs | sys.UnraisableHookArgs") -> None:
    """Log what failed where no caller could catch it: a thread, or a finalizer."""
    log.critical("a thread or a finalizer failed", exc_info=failure.exc_value)


def _is_own_or_serious(record: logging.LogRecord) -> bool:
    """Hold back what a library logs that sets its own level, as werkzeug does."""
    return record.levelno >= logging.WARNING or record.name.partition(".")[0] in OWN_PACKAGES
