"""Work that is done again and again: whatever fails, at once if there is more, and not after a stop."""

from collections.abc import Iterator
from queue import Queue

import pytest

from common.errors import StoreUnavailableError
from common.periodic import PeriodicTask


def test_it_goes_on_whatever_fails_and_waits_only_where_there_is_no_more(caplog: pytest.LogCaptureFixture) -> None:
    outcomes: Iterator[Exception | bool] = iter(
        [StoreUnavailableError(), RuntimeError("something nobody thought of"), True, False]
    )
    begun: Queue[None] = Queue()

    def work() -> bool:
        begun.put(None)
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    task = PeriodicTask("a task", work, seconds=3600)
    task.start()
    for times in (1, 1, 2):
        for _ in range(times):
            begun.get(timeout=20)
        task.wake()
    task.stop()
    assert caplog.messages[0] == "a task failed; it is tried again"
