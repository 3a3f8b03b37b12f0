"""Work that is shared out to processes of its own."""

import signal
from collections.abc import Iterable, Iterator
from typing import Any

from joblib import Parallel


def in_workers(calls: Iterable[Any], workers: int) -> Iterator[Any]:
    """Start calls made with ``joblib.delayed`` in so many processes, and return their results in order as they come.

    Ctrl-C is this process's to heed: it ends the workers, which would each print where they had been.
    """
    parallel = Parallel(n_jobs=workers, backend="loky", return_as="generator", initializer=_leave_interrupts)
    results: Iterator[Any] = parallel(calls)
    return results


def _leave_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
