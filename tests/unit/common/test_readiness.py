"""Anybody may ask whether an app is ready, so that the answer costs a check only once in a while."""

from common.errors import StoreUnavailableError
from common.web.readiness import RememberedCheck
from tests.support.clock import StoppedClock


def test_an_outcome_good_or_bad_stands_for_two_seconds() -> None:
    clock, fails, checked = StoppedClock(0.0), False, list[float]()

    def look() -> None:
        checked.append(clock.now)
        if fails:
            raise StoreUnavailableError

    def is_ready(moment: float) -> bool:
        clock.now = moment
        try:
            check()
        except StoreUnavailableError:
            return False
        return True

    check = RememberedCheck(look, clock=clock)
    assert is_ready(0.0)
    fails = True
    assert is_ready(1.9)
    assert not is_ready(2.0)
    fails = False
    assert not is_ready(3.9)
    assert is_ready(4.0)
    assert checked == [0.0, 2.0, 4.0]
