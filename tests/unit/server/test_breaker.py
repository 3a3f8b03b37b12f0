"""The circuit breaker: when it opens, for how long, and how one call finds out that it may close."""

import pytest

from common.messages import CircuitStatus
from server.explanation.breaker import CircuitBreaker, CircuitOpenError
from server.explanation.endpoint import EndpointError, UnfinishedAnswerError
from tests.support.clock import StoppedClock
from tests.support.writing import CLOSED


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock(1000.0)


@pytest.fixture
def breaker(clock: StoppedClock) -> CircuitBreaker:
    return CircuitBreaker(clock)


def fail(breaker: CircuitBreaker, *, lasting: bool = False) -> None:
    with pytest.raises(EndpointError, match="of a reason"), breaker.watch():
        raise EndpointError("of a reason", lasting=lasting)


def succeed(breaker: CircuitBreaker) -> None:
    with breaker.watch():
        pass


def is_open(breaker: CircuitBreaker) -> bool:
    """Tell whether a call is refused, without letting one through."""
    return breaker.status.state == "open"


def seconds_left(breaker: CircuitBreaker) -> int:
    return breaker.status.seconds_left


def test_the_fifth_failure_in_a_row_opens_it_for_30_seconds(breaker: CircuitBreaker, clock: StoppedClock) -> None:
    for _ in range(4):
        fail(breaker)
    assert not is_open(breaker)
    fail(breaker)
    assert seconds_left(breaker) == 30
    with pytest.raises(CircuitOpenError, match=r"^it is left alone for a while, because of a reason$"):
        succeed(breaker)
    clock.now += 29.9
    assert is_open(breaker)
    clock.now += 0.1
    assert breaker.status == CircuitStatus(state="half_open", seconds_left=0, reason="of a reason")


def test_a_success_in_between_starts_the_count_anew(breaker: CircuitBreaker) -> None:
    for _ in range(4):
        fail(breaker)
    succeed(breaker)
    for _ in range(4):
        fail(breaker)
    assert not is_open(breaker)


def test_a_probe_that_fails_doubles_the_pause_up_to_5_minutes(breaker: CircuitBreaker, clock: StoppedClock) -> None:
    for _ in range(5):
        fail(breaker)
    pauses = []
    for _ in range(5):
        clock.now += 301
        fail(breaker)
        pauses.append(seconds_left(breaker))
    assert pauses == [60, 120, 240, 300, 300]


def test_a_probe_that_succeeds_closes_it_and_forgets_the_pause(breaker: CircuitBreaker, clock: StoppedClock) -> None:
    for _ in range(5):
        fail(breaker)
    clock.now += 30
    succeed(breaker)
    assert breaker.status == CLOSED
    for _ in range(5):
        fail(breaker)
    assert seconds_left(breaker) == 30


def test_one_call_probes_and_the_others_wait_for_how_it_ends(breaker: CircuitBreaker, clock: StoppedClock) -> None:
    for _ in range(5):
        fail(breaker)
    clock.now += 30
    with breaker.watch():
        assert breaker.status.state == "half_open"
        with pytest.raises(CircuitOpenError):
            succeed(breaker)
    succeed(breaker)


def test_an_endpoint_that_works_but_gives_no_whole_text_closes_it(breaker: CircuitBreaker, clock: StoppedClock) -> None:
    for _ in range(5):
        fail(breaker)
    clock.now += 30
    with pytest.raises(UnfinishedAnswerError), breaker.watch():
        raise UnfinishedAnswerError("of its limit")
    assert breaker.status == CLOSED


def test_a_lasting_error_opens_it_at_once_for_5_minutes(breaker: CircuitBreaker, clock: StoppedClock) -> None:
    fail(breaker, lasting=True)
    assert breaker.status == CircuitStatus(state="open", seconds_left=300, reason="of a reason")
    clock.now += 300
    fail(breaker, lasting=True)
    assert seconds_left(breaker) == 300


def test_calls_that_were_under_way_when_it_opened_do_not_lengthen_the_pause(
    breaker: CircuitBreaker, clock: StoppedClock
) -> None:
    watching = [breaker.watch() for _ in range(7)]
    for watched in watching:
        watched.__enter__()
    for watched in watching:
        error = EndpointError("of a reason")
        watched.__exit__(type(error), error, None)
        clock.now += 1
    assert seconds_left(breaker) == 27
