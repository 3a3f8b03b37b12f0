"""What people are asked of a file of patients that can be read in several ways, and what they have answered."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from common.errors import InvalidDataError


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


NO_ANSWERS = Answers()


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
