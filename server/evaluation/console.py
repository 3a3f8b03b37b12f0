"""What the commands that train and evaluate have in common: progress on the error stream, and how they end."""

import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from tqdm import tqdm

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
        warnings.filterwarnings("ignore", module="joblib")  # it would tell that what was under way is cancelled
        print(stopped, file=sys.stderr)
        return 130


def progress(title: str, unit: str) -> Callable[[Iterable[Any], int], Iterable[Any]]:
    """Return what shows how many results have come: a bar on a terminal, elsewhere a line for each."""

    def watch(results: Iterable[_Result], total: int) -> Iterable[_Result]:
        if sys.stderr.isatty():
            return tqdm(results, total=total, desc=title, unit=unit)
        return in_lines(results, total)

    def in_lines(results: Iterable[_Result], total: int) -> Iterator[_Result]:
        for done, result in enumerate(results, start=1):
            yield result
            print(f"{title}: {done} of {total} {unit}s", file=sys.stderr, flush=True)

    return watch
