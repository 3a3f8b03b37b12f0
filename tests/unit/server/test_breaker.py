"""The circuit breaker: when it opens, for how long, and how one call finds out that it may close."""

from datetime import UTC, datetime, timedelta

import pytest

from server.explanation.breaker import CLOSED, CircuitBreaker, CircuitOpenError
from server.explanation.endpoint import EndpointError, UnfinishedAnswerError
from tests.support.clock import StoppedClock

ERRORS = {
    "fails": EndpointError("of a reason"),
    "lasting": EndpointError("of a reason", lasting=True),
    "no text": UnfinishedAnswerError("of its limit"),
}


def after(*calls: str | float) -> CircuitBreaker:
    """Return a breaker after calls that end like this, one after the other, and seconds that pass."""
    breaker = CircuitBreaker(clock := StoppedClock(1000.0))
    for call in calls:
        if isinstance(call, str):
            call_once(breaker, call)
        else:
            clock.now += call
    return breaker


def call_once(breaker: CircuitBreaker, ends: str) -> None:
    if ends == "succeeds":
        with breaker.watch():
            return
    with pytest.raises(EndpointError, match="of"), breaker.watch():
        raise ERRORS[ends]


FIVE = ["fails"] * 5


@pytest.mark.parametrize(
    ("calls", "state", "seconds"),
    [
        (["fails"] * 4, "closed", None),
        (FIVE, "open", 30),
        ([*FIVE, 29.9], "open", 30),
        ([*FIVE, 30], "half_open", None),
        (["fails"] * 4 + ["succeeds"] + ["fails"] * 4, "closed", None),
        ([*FIVE, 30, "succeeds"], "closed", None),
        ([*FIVE, 30, "succeeds", *FIVE], "open", 30),
        ([*FIVE, 30, "no text"], "closed", None),
        ([*FIVE, 30, "fails"], "open", 60),
        ([*FIVE, 30, "fails", 60, "fails"], "open", 120),
        ([*FIVE, *[300, "fails"] * 4], "open", 300),
        ([*FIVE, *[300, "fails"] * 5], "open", 300),
        (["lasting"], "open", 300),
        (["lasting", 300, "lasting"], "open", 300),
    ],
)
def test_it_opens_and_closes_as_calls_end(calls: list[str | float], state: str, seconds: int | None) -> None:
    status = after(*calls).status
    assert status.state == state
    assert status.reason == (None if state == "closed" else "of a reason")
    assert (status.until is None) == (seconds is None)
    if status.until is not None:  # for people, by the time of day
        assert abs(status.until - datetime.now(UTC) - timedelta(seconds=seconds or 0)) < timedelta(seconds=20)


def test_while_it_is_open_nobody_calls_and_then_one_call_finds_out() -> None:
    with pytest.raises(CircuitOpenError, match=r"^calls to it are paused, because of a reason$"):
        call_once(after(*FIVE), "succeeds")
    breaker = after(*FIVE, 30)
    with breaker.watch(), pytest.raises(CircuitOpenError):
        call_once(breaker, "succeeds")
    assert breaker.status == CLOSED


def test_a_call_that_fails_unexpectedly_leaves_it_usable() -> None:
    breaker = after(*FIVE, 30)
    with pytest.raises(ZeroDivisionError), breaker.watch():
        raise ZeroDivisionError
    assert breaker.status.state == "open"
