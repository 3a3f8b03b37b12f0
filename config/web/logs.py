"""Logging of a process, configured once: standard error, one line a record, never a patient's value."""

import logging
import sys
import time

OWN_PACKAGES = ("config", "server", "client")


def configure_logging(level: str) -> None:
    """Send this project's records of at least ``level`` to standard error, times in UTC.

    Libraries are heard from WARNING on only: below that they log what they carry, which is patients' values.
    """
    formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    handler.addFilter(_is_own_or_serious)
    handler.setLevel(level)
    severity = logging.getLevelNamesMapping()[level]
    logging.basicConfig(level=max(severity, logging.WARNING), handlers=[handler], force=True)
    for package in OWN_PACKAGES:
        logging.getLogger(package).setLevel(severity)


def _is_own_or_serious(record: logging.LogRecord) -> bool:
    """Hold back what a library logs that sets its own level, as werkzeug does."""
    return record.levelno >= logging.WARNING or record.name.partition(".")[0] in OWN_PACKAGES
