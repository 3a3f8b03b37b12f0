"""Waiting for a condition, with a limit."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

WAIT_SECONDS: Final = 60.0
T = TypeVar("T")


def wait_until(holds: Callable[[], T], seconds: float = WAIT_SECONDS) -> T:
    """Check repeatedly until something is true, and return it; fails after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(0.02)
    return found
