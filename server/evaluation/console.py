"""What the commands that train and evaluate have in common: progress on the error stream, and how they end."""

import argparse
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from time import monotonic
from typing import Any, TypeVar

from common.errors import NAMED_ERRORS
from common.settings_errors import SETTINGS_ERRORS, settings_sentence
from config.settings import ServerSettings, TrainingSettings

_Result = TypeVar("_Result")


def settings_of(parser: argparse.ArgumentParser, **training: Any) -> tuple[TrainingSettings, ServerSettings]:
    """Return the settings, some of training as given; end with a sentence that names what is wrong with them."""
    try:
        return TrainingSettings(**training), ServerSettings()
    except SETTINGS_ERRORS as error:
        parser.exit(2, f"{settings_sentence(error)}\n")  # without the usage, which would bury it in a log


def run(act: Callable[[], int | None], *, stopped: str) -> int:
    """Do something and return its exit code; 1 after an error with a name, 130 with a sentence after Ctrl-C."""
    try:
        return act() or 0
    except NAMED_ERRORS as error:
        print(error.message, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        warnings.filterwarnings("ignore", module="joblib")  # which would warn of the canceled work
        print(stopped, file=sys.stderr)
        return 130


def watched(results: Iterable[_Result], total: int, *, title: str, unit: str) -> Iterator[_Result]:
    """Pass results on, and show on the error stream how many have come and, from a minute on, how long the rest takes.

    On a terminal it is a bar in one place, else lines.
    """
    started, is_terminal = monotonic(), sys.stderr.isatty()
    for done, result in enumerate(results, start=1):
        minutes = (monotonic() - started) * (total - done) / done / 60
        line = f"{title}: {done} of {total} {unit}s" + (f", about {minutes:.0f} min left" if minutes >= 1 else "")
        if is_terminal:  # padded: a shorter line must cover the longer one before it
            line = f"[{'#' * (20 * done // total):.<20}] {line:<60}"
        # On the error stream: standard output holds the report, which people write into files.
        print(line, end="\r" if is_terminal and done < total else "\n", file=sys.stderr, flush=True)
        yield result
