"""Logging of a process, configured once: standard error, one line a record, never a patient's value."""

import io
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

from common.errors import DetectionSystemError

log = logging.getLogger(__name__)

OWN_PACKAGES = ("config", "common", "server", "client")

WRITE_BY_THEMSELVES = ("engineio.server", "engineio.client", "socketio.server", "socketio.client")
"""Loggers to which their libraries add a handler of their own, which says everything, unless a level is set."""


LINES_A_MINUTE: Final = RateLimitItemPerMinute(60)

_lines_said = FixedWindowRateLimiter(MemoryStorage())


def may_be_said(what: str) -> bool:
    """Count a line that peers can cause at will; tell whether it may be logged, or would help to fill the disk."""
    return _lines_said.hit(LINES_A_MINUTE, what)


def configure_logging(level: str) -> None:
    """Send this project's records of at least ``level`` to standard error, times in UTC.

    Libraries are heard from WARNING on only: below that they log what they carry, which is patients' values.
    """
    formatter = _Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    handler.addFilter(_is_own_or_serious)
    handler.setLevel(level)
    severity = logging.getLevelNamesMapping()[level]
    logging.basicConfig(level=max(severity, logging.WARNING), handlers=[handler], force=True)
    for package in OWN_PACKAGES:
        logging.getLogger(package).setLevel(severity)
    for library in WRITE_BY_THEMSELVES:
        logging.getLogger(library).setLevel(max(severity, logging.ERROR))
        logging.getLogger(library).addFilter(_may_be_said)
    logging.getLogger("werkzeug").addFilter(_without_words)
    logging.raiseExceptions = False  # a log that cannot be written would print the failure itself, with all it says
    sys.excepthook = _log_uncaught
    sys.unraisablehook = _log_unraisable
    threading.excepthook = _log_in_thread


def _may_be_said(record: logging.LogRecord) -> bool:
    return may_be_said(record.name)


def _without_words(record: logging.LogRecord) -> bool:
    """Keep the place and kind of a failure that werkzeug reports: it writes out what the error says."""
    if record.levelno >= logging.ERROR:
        record.msg, record.args, record.exc_info = "a request failed outside of the app", (), sys.exc_info()
    return True


def keep_libraries_quiet() -> None:
    """Let nothing into standard error but records: eventlet's HTTP server writes what it cannot read there."""
    sys.stderr = _Unrepeated()


class _Unrepeated(io.TextIOBase):
    def write(self, text: str, /) -> int:
        if text.strip() and may_be_said("unrepeated"):
            error = sys.exc_info()[1]
            log.warning("what a library reports is not repeated: no readable request, or a failure", exc_info=error)
        return len(text)


class _Formatter(logging.Formatter):
    def formatException(self, ei: object) -> str:  # noqa: N802 - the name is logging's
        """Show where an exception was raised and of what kind it is: what it says may be a patient's value."""
        error = ei[1] if isinstance(ei, tuple) else None
        return "".join(_lines(error)).rstrip() if isinstance(error, BaseException) else ""


def _lines(error: BaseException) -> Iterator[str]:
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None:
        yield from _lines(before)
        yield "\nThen, because of it or while it was handled:\n\n"
    yield "Traceback (most recent call last):\n"
    yield from traceback.format_tb(error.__traceback__)
    known = f": {error.message}" if isinstance(error, DetectionSystemError) else ""
    yield f"{type(error).__qualname__}{known}\n"


def _log_uncaught(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, at)
    else:
        log.critical("ended by an unexpected failure", exc_info=error)


def _log_in_thread(failure: threading.ExceptHookArgs) -> None:
    log.critical(
        "%s ended by an unexpected failure", getattr(failure.thread, "name", "a thread"), exc_info=failure.exc_value
    )


def _log_unraisable(failure: "sys.UnraisableHookArgs") -> None:
    """Log what failed where nobody can be told, as in a finalizer; the object itself is not named."""
    log.error("a failure could not be raised", exc_info=failure.exc_value)


def _is_own_or_serious(record: logging.LogRecord) -> bool:
    """Hold back what a library logs that sets its own level, as werkzeug does."""
    return record.levelno >= logging.WARNING or record.name.partition(".")[0] in OWN_PACKAGES
