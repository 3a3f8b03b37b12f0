"""Waiting for what comes about by itself, with a bound."""

import time
from collections.abc import Callable
from typing import Any

from tests.support.raw_socket import WAIT_SECONDS


def wait_until(holds: Callable[[], Any], seconds: float = WAIT_SECONDS) -> None:
    """Look again and again until something holds; fails after so many seconds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.02)
