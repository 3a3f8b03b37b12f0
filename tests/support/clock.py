"""A clock that stands still until a test sets it."""

from dataclasses import dataclass


@dataclass
class StoppedClock:
    """Returns ``now``, in seconds."""

    now: float

    def __call__(self) -> float:
        return self.now
