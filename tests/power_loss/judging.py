"""What is held against a disk: what the product finds on it, and what it had promised before the power went."""

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from common.errors import DetectionSystemError
from tests.power_loss.sent import Said

_UNREADABLE: Final = (SQLAlchemyError, sqlite3.Error, ValueError, TypeError, LookupError)
"""What reading a damaged record ends with."""

Facts = Mapping[str, str]
"""What the product finds, by what it is about."""


@dataclass(frozen=True)
class Reading:
    """What the product found on a disk; ``faults`` are sentences about what is wrong whatever was promised."""

    facts: Facts
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class Claim:
    """A promise: about this the product finds one of these values."""

    about: str
    values: frozenset[str]

    @classmethod
    def of(cls, about: str, *values: str) -> "Claim":
        return cls(about, frozenset(values))

    def broken_by(self, facts: Facts) -> str | None:
        """Say in which way the promise is broken, without the values; ``None`` if it is kept."""
        if self.about not in facts:
            return f"lost: {self.about}"
        return None if facts[self.about] in self.values else f"altered: {self.about}"


@dataclass(frozen=True)
class Judge:
    """How the disk of one kind of process is opened, and what the process promises with what it says."""

    read: Callable[[Path], Reading]
    claims: Callable[[Said], Iterable[Claim]]

    def reading(self, disk: Path) -> Reading:
        """Open a disk; one that the product cannot use has that as its fault."""
        try:
            return self.read(disk)
        except DetectionSystemError as error:
            return Reading({}, (f"it cannot be opened: {error.message.replace(str(disk), '')}",))
        except _UNREADABLE as error:
            return Reading({}, (f"it cannot be read: {type(error).__name__}",))
