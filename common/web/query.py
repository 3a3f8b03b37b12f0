"""Numbers in the query of a request."""

from typing import Final

from flask import request

from common.errors import InvalidMessageError

LARGEST: Final = 2**53
"""The largest whole number up to which JavaScript counts exactly."""

MOST_ENTRIES: Final = 500


def limit_of_query(usual: int) -> int:
    """Return how many entries are wanted: the ``limit`` of the query, ``usual`` without one, at most 500."""
    return min(number_of_query("limit", least=1) or usual, MOST_ENTRIES)


def number_of_query(name: str, *, least: int = 0) -> int | None:
    """Return a whole number of the query, ``None`` if it is not given.

    Raises
    ------
    InvalidMessageError
        If it is no whole number from ``least`` to ``LARGEST``.
    """
    text = request.args.get(name, "")
    if not text:
        return None
    # isdigit alone takes other scripts' digits, and int() a number of any length.
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(LARGEST))
    if not is_number or not least <= int(text) <= LARGEST:
        raise InvalidMessageError(fields={name: [f"must be a whole number, {least} or more"]})
    return int(text)
