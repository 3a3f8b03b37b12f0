"""What people are asked of a file of patients that can be read in several ways, and what they have answered."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from common import dialects
from common.dialects import LABEL
from common.errors import InvalidDataError
from common.patient import FIELDS

NOWHERE = "none"
VALUES_FORM = "--values FIELD:VALUE=MEANING,VALUE=MEANING"


class WrongAnswerError(InvalidDataError):
    """What a person has said does not fit the file."""


class AmbiguousDataError(InvalidDataError):
    """A file can be read in several ways; ``missing`` names the field of ``Answers`` that would settle it.

    ``about`` are the beginnings of the answers, as ``age=`` is one, if it is a sequence: what each is asked with.
    """

    def __init__(self, message: str, missing: str, about: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.question, self.missing = message, missing
        self.about = about or {}


@dataclass(frozen=True)
class Answers:
    """What a person has said of a file that can be read in several ways; see ``python train_model.py --help``.

    ``columns`` are of the form ``FIELD=NAME``, and ``values`` of the form ``FIELD:VALUE=MEANING,VALUE=MEANING``.
    ``yes`` agrees to whatever is asked, and ``agreed`` are the questions that were agreed to one by one.
    """

    codes: str | None = None
    label_of_disease: str | None = None
    yes: bool = False
    sheet: str | None = None
    columns: Sequence[str] = ()
    values: Sequence[str] = ()
    agreed: Set[str] = frozenset()

    def confirm(self, question: str) -> None:
        """Raise AmbiguousDataError with a question, unless it was agreed to."""
        if not self.yes and question not in self.agreed:
            raise AmbiguousDataError(question, "yes")

    def headers_by_field(self) -> Mapping[str, str]:
        """Return by field which column it is, or that it is in none."""
        stated = {name: " ".join(rest.split()) for name, rest in _by_field(self.columns, "--column FIELD=NAME", "=")}
        for header in {*stated.values()} - {NOWHERE}:
            if len(both := [name for name in stated if stated[name] == header]) > 1:
                raise WrongAnswerError(f"--column: {header} cannot be {' and '.join(both)}. One column is one field.")
        return stated

    def meanings_by_field(self) -> Mapping[str, Sequence[tuple[str, str]]]:
        """Return by field its values and what each means. A value may have a comma or an equals sign in it."""
        stated = defaultdict[str, list[tuple[str, str]]](list)
        for name, pairs in _by_field(self.values, VALUES_FORM, ":"):
            *said, rest = re.split(r"=([^=,]*)(?:,|$)", pairs)
            texts, meanings = ([text.strip() for text in said[start::2]] for start in (0, 1))
            if rest or not texts or "" in texts:
                raise WrongAnswerError(f"write {VALUES_FORM}.")
            stated[name] += zip(texts, meanings, strict=True)
        return stated


NO_ANSWERS = Answers()


def _by_field(answers: Sequence[str], form: str, mark: str) -> Iterator[tuple[str, str]]:
    for said in answers:
        written, found, rest = said.partition(mark)
        name = dialects.field_named(written)
        if name is None or not found:
            raise WrongAnswerError(f"write {form}; fields are {', '.join([*FIELDS, LABEL])}.")
        yield name, rest
