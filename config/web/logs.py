"""Logging of a process, configured once: standard error, one line a record, never a patient's value."""

import logging
import sys
import time


def configure_logging(level: str) -> None:
    """Send records of at least ``level`` to standard error, times in UTC."""
    formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in ("engineio", "socketio", "werkzeug", "shap", "httpx", "httpx2", "numba", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
