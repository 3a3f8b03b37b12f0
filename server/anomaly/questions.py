"""What people are asked of a file of patients that can be read in several ways, and what they have answered."""

from dataclasses import dataclass

from common.errors import InvalidDataError


@dataclass(frozen=True)
class Answers:
    """What a person has said of a file that can be read in several ways; see ``python train_model.py --help``."""

    codes: str | None = None
    label_of_disease: str | None = None
    yes: bool = False
    sheet: str | None = None


NO_ANSWERS = Answers()


class AmbiguousDataError(InvalidDataError):
    """A file can be read in several ways; ``missing`` names the field of ``Answers`` that would settle it."""

    def __init__(self, message: str, missing: str) -> None:
        super().__init__(message)
        self.missing = missing
