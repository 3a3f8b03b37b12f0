"""Anybody may ask whether an app is ready, so that the answer costs a check only once in a while."""

import pytest

from common.errors import StoreUnavailableError
from common.web.readiness import RememberedCheck
from tests.support.clock import StoppedClock


class Checked:
    """Something to check that fails as it is told to, and counts."""

    def __init__(self) -> None:
        self.failure: StoreUnavailableError | None = None
        self.count = 0

    def __call__(self) -> None:
        self.count += 1
        if self.failure is not None:
            raise self.failure


def test_an_outcome_good_or_bad_stands_for_two_seconds() -> None:
    checked, clock = Checked(), StoppedClock(0.0)
    check = RememberedCheck(checked, clock=clock)
    check()
    checked.failure = StoreUnavailableError("of a reason")
    clock.now = 1.9
    check()
    assert checked.count == 1
    clock.now = 2.0
    for _ in range(2):
        with pytest.raises(StoreUnavailableError, match="of a reason"):
            check()
    checked.failure = None
    clock.now = 3.9
    with pytest.raises(StoreUnavailableError):
        check()
    assert checked.count == 2
    clock.now = 4.0
    check()
    assert checked.count == 3
