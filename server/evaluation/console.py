"""What the commands that train and evaluate have in common: progress on the error stream, and how they end."""

import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from common.errors import NAMED_ERRORS

Watch = Callable[[Iterable[Any], int], Iterable[Any]]
"""What shows progress: it passes on every result, and is told how many will come."""


def run(act: Callable[[], int | None], *, stopped: str) -> int:
    """Do something and return its exit code; 1 after an error with a name, 130 with a sentence after Ctrl-C."""
    try:
        return act() or 0
    except NAMED_ERRORS as error:
        print(error.message, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        warnings.filterwarnings("ignore", module="joblib")  # it would tell that what was under way is cancelled
        print(stopped, file=sys.stderr)
        return 130


def progress(title: str, unit: str) -> Watch:
    """Return what says on the error stream how many results have come: in one place on a terminal, else in lines."""

    def watch(results: Iterable[Any], total: int) -> Iterator[Any]:
        for done, result in enumerate(results, start=1):
            end = "\r" if sys.stderr.isatty() and done < total else "\n"
            print(f"{title}: {done} of {total} {unit}s", end=end, file=sys.stderr, flush=True)
            yield result

    return watch


def unwatched(results: Iterable[Any], _total: int) -> Iterable[Any]:
    """Pass the results on and show nothing."""
    return results
