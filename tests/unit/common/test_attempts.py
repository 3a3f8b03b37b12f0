"""Failed attempts cost a pause that grows, for those who failed and for nobody else."""

import pytest

from common.access.attempts import Attempts, Counted
from common.errors import TooManyAttemptsError
from tests.support.clock import StoppedClock

ADA = Counted(("name", "ada"), free=5, longest=300)
BOB = Counted(("name", "bob"), free=5, longest=300)
HERE = Counted(("address", "192.0.2.7"), free=50, longest=60)


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock(0.0)


@pytest.fixture
def attempts(clock: StoppedClock) -> Attempts:
    return Attempts(clock=clock)


def pause(attempts: Attempts, *counted: Counted) -> int:
    with pytest.raises(TooManyAttemptsError) as raised:
        attempts.begin(counted)
    return raised.value.retry_after


def test_pauses_double_up_to_the_longest(attempts: Attempts, clock: StoppedClock) -> None:
    for _ in range(ADA.free):
        attempts.begin([ADA])
    pauses = []
    for _ in range(11):
        pauses.append(pause(attempts, ADA))
        clock.now += pauses[-1]
        attempts.begin([ADA])
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


def test_an_attempt_during_a_pause_does_not_prolong_it(attempts: Attempts, clock: StoppedClock) -> None:
    for _ in range(ADA.free):
        attempts.begin([ADA])
    for _ in range(100):
        pause(attempts, ADA, HERE)
    clock.now += 1
    attempts.begin([ADA, HERE])


def test_nobody_else_waits(attempts: Attempts) -> None:
    for _ in range(ADA.free):
        attempts.begin([ADA, HERE])
    pause(attempts, ADA, HERE)
    attempts.begin([BOB, HERE])


def test_many_names_from_one_address_are_slowed_down_together(attempts: Attempts) -> None:
    for number in range(HERE.free):
        attempts.begin([Counted(("name", str(number)), 5, 300), HERE])
    assert pause(attempts, BOB, HERE) == 1


def test_success_forgets_the_failures(attempts: Attempts) -> None:
    for _ in range(ADA.free):
        attempts.begin([ADA])
    attempts.succeeded([ADA])
    attempts.begin([ADA])


def test_an_hour_forgets_the_failures(attempts: Attempts, clock: StoppedClock) -> None:
    for _ in range(ADA.free):
        attempts.begin([ADA])
    clock.now += Attempts.FORGET_SECONDS
    for _ in range(ADA.free):
        attempts.begin([ADA])


def test_memory_is_bounded(attempts: Attempts) -> None:
    for number in range(Attempts.MOST_KEYS + 50):
        attempts.begin([Counted(("name", str(number)), 1, 300)])
    assert len(attempts._failures) == Attempts.MOST_KEYS
    assert pause(attempts, Counted(("name", "50"), 1, 300)) == 1
    attempts.begin([Counted(("name", "49"), 1, 300)])
