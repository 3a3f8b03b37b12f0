"""The options of the commands that read a file of patients, and the questions it can raise, asked at a terminal."""

import argparse
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, TypeVar

from server.anomaly.questions import AmbiguousDataError, Answers, WrongAnswerError

_Read = TypeVar("_Read")


def add_file_options(parser: argparse.ArgumentParser) -> None:
    """Add what a person can say of a file that can be read in several ways."""
    options = parser.add_argument_group("what the file does not say itself (see docs/files.md)")
    options.add_argument("--codes", metavar="NAME", help="convention of its numeric codes, as a question names it")
    options.add_argument("--label-of-disease", metavar="VALUE", help="value of its label that means disease")
    options.add_argument(
        "--column", dest="columns", action="append", metavar="FIELD=NAME", help="which column a field is, or none"
    )
    options.add_argument(
        "--values",
        action="append",
        metavar="FIELD:VALUE=MEANING,...",
        help="what values of a field mean, as sex:1=male,2=female",
    )
    options.add_argument("--sheet", metavar="NAME", help="sheet of an Excel workbook (default: the one with patients)")
    options.add_argument(
        "--yes",
        action="store_true",
        help="take what looks doubtful as it is, and leave out what looks like a footer",
    )


def read_with_questions(read: Callable[[Answers], _Read], arguments: argparse.Namespace) -> _Read:
    """Read a file, and ask at the terminal what it leaves open; without a terminal the question is the error."""
    given = {field.name: getattr(arguments, field.name, None) for field in fields(Answers)}
    answers = Answers(**{name: value for name, value in given.items() if value is not None})
    known, question = answers, None
    while True:
        try:
            return read(answers)
        except (AmbiguousDataError, WrongAnswerError) as error:
            if isinstance(error, AmbiguousDataError):
                known, question = answers, error
            if question is None or not sys.stdin.isatty():
                raise
            print(error.message, file=sys.stderr)
        # After a wrong answer the last question is asked again.
        try:
            typed = _typed(question, known)
        except EOFError:
            typed = {}
        if not typed:
            raise question
        answers = replace(known, **typed)


def _typed(question: AmbiguousDataError, known: Answers) -> dict[str, Any]:
    """Ask, and return what the answer changes in what is known: nothing where there is no answer."""
    missing = question.missing
    if question.about:
        typed = {start: input(prompt).strip() for start, prompt in question.about.items()}
        return {missing: [*getattr(known, missing), *map("".join, typed.items())]} if all(typed.values()) else {}
    if missing == "yes":
        # One agreement is to one question; --yes is to all.
        is_right = input("Is it right? [y/N] ").strip().casefold() in {"y", "yes"}
        return {"agreed": {*known.agreed, question.question}} if is_right else {}
    said = input(f"{missing.replace('_', ' ')}: ").strip()
    return {missing: said} if said else {}
