"""The options of the commands that read a file of patients, and the questions it can raise, asked at a terminal."""

import argparse
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, TypeVar

from server.anomaly.questions import AmbiguousDataError, Answers

_Read = TypeVar("_Read")


def add_file_options(parser: argparse.ArgumentParser) -> None:
    """Add what a person can say of a file that can be read in several ways."""
    options = parser.add_argument_group("what the file does not say itself (see docs/files.md)")
    options.add_argument("--codes", metavar="NAME", help="convention of its numeric codes, as a question names it")
    options.add_argument("--label-of-disease", metavar="VALUE", help="value of its label that means disease")
    options.add_argument("--sheet", metavar="NAME", help="sheet of an Excel workbook (default: the first)")
    options.add_argument("--yes", action="store_true", help="take what looks doubtful as it is")


def read_with_questions(read: Callable[[Answers], _Read], arguments: argparse.Namespace) -> _Read:
    """Read a file, and ask at the terminal what it leaves open; without a terminal the question is the error."""
    answers = Answers(**{field.name: getattr(arguments, field.name) for field in fields(Answers)})
    while True:
        try:
            return read(answers)
        except AmbiguousDataError as error:
            if not sys.stdin.isatty():
                raise
            print(error.message, file=sys.stderr)
            said = input("Is it right? [y/N] " if error.missing == "yes" else f"{error.missing.replace('_', ' ')}: ")
            answer: Any = said.strip() if error.missing != "yes" else said.strip().casefold() in {"y", "yes"}
            if not answer:
                raise
            answers = replace(answers, **{error.missing: answer})
