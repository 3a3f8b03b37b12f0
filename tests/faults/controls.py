"""Ways to break the system on purpose: which role has a broken part, and what the checker must find then."""

from typing import Final

from tests.faults.checker import Kind

CONTROLS: Final = {
    "outbox-in-memory": ("client", Kind.LOST),
    "answers-before-commit": ("server", Kind.NOT_STORED),
    "no-deduplication": ("server", Kind.DOUBLED),
    "no-catch-up": ("dashboard", Kind.LOST),
    "no-catch-up-of-clients": ("client", Kind.LOST),
    "offset-before-entries": ("client", Kind.LOST),
}
"""Those of the server and the client apps are composed by ``tests.faults.broken``, that of dashboards in ``people``."""
