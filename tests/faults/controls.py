"""Ways to break the system on purpose: what the checker must catch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from tests.faults.checker import Kind


@dataclass(frozen=True)
class Control:
    """Where one part is replaced by a broken one, and the kinds of findings of which one at least must come of it.

    Those of the server and the client apps are composed by ``tests.faults.broken``, those of dashboards in ``people``.
    """

    role: Literal["server", "client", "dashboard"]
    caught_as: frozenset[Kind]


CONTROLS: Final[Mapping[str, Control]] = {
    "outbox-in-memory": Control("client", frozenset({Kind.LOST})),
    "answers-before-commit": Control("server", frozenset({Kind.NOT_STORED})),
    "no-deduplication": Control("server", frozenset({Kind.DOUBLED})),
    "no-catch-up": Control("dashboard", frozenset({Kind.LOST})),
    "no-catch-up-of-clients": Control("client", frozenset({Kind.LOST})),
    "offset-before-entries": Control("client", frozenset({Kind.LOST})),
}
