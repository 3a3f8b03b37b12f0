"""What the commands that train and evaluate have in common: progress on the error stream, and how they end."""

import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from common.errors import NAMED_ERRORS

_Result = TypeVar("_Result")


def run(act: Callable[[], int | None], *, stopped: str) -> int:
    """Do something and return its exit code; 1 after an error with a name, 130 with a sentence after Ctrl-C."""
    try:
        return act() or 0
    except NAMED_ERRORS as error:
        print(error.message, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        warnings.filterwarnings("ignore", module="joblib")  # which would warn of the cancelled work
        print(stopped, file=sys.stderr)
        return 130


def watched(results: Iterable[_Result], total: int, *, title: str, unit: str) -> Iterator[_Result]:
    """Pass results on, and show on the error stream how many have come: in one line on a terminal, else in many."""
    for done, result in enumerate(results, start=1):
        # On the error stream: standard output holds the report, which people write into files.
        end = "\r" if sys.stderr.isatty() and done < total else "\n"
        print(f"{title}: {done} of {total} {unit}s", end=end, file=sys.stderr, flush=True)
        yield result
