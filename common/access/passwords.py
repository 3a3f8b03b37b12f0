"""Passwords: what is asked of one, and Argon2id to keep and check it."""

import unicodedata
from functools import cache
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from common.access.accounts import name_key
from common.errors import InvalidAccountError
from config.secrets import new_secret

FEWEST_CHARACTERS: Final = 15
"""Of a password that is the only proof: NIST SP 800-63B-4, section 3.1.1.2."""
MOST_CHARACTERS: Final = 128

_HASHER = PasswordHasher()
"""Argon2id with 64 MiB, 3 passes and 4 lanes: the second recommended option of RFC 9106, section 4."""


def password_hash(password: str, name: str) -> str:
    """Return what is kept of a new password.

    Raises
    ------
    InvalidAccountError
        If it is too short or too long, or easily guessed from the name.
    """
    password = _normal(password)
    if not FEWEST_CHARACTERS <= len(password) <= MOST_CHARACTERS:
        raise InvalidAccountError(f"A password has {FEWEST_CHARACTERS} to {MOST_CHARACTERS} characters.")
    if name_key(name) in name_key(password) or len(set(password)) < len(password) / 3:
        raise InvalidAccountError(
            "This password is easily guessed. Choose one that neither holds the name nor repeats."
        )
    return _HASHER.hash(password)


class PasswordCheck:
    """Checks passwords, and takes as long for an account that has none or is not there."""

    def __init__(self) -> None:
        self._nobodys = _nobodys()

    def __call__(self, kept: str | None, password: str) -> bool:
        if len(password) > MOST_CHARACTERS:
            return False
        try:
            return _HASHER.verify(kept or self._nobodys, _normal(password)) and kept is not None
        except VerificationError:
            return False


@cache
def _nobodys() -> str:
    return _HASHER.hash(new_secret())


def _normal(password: str) -> str:
    """Return the one form of what keyboards may write in several."""
    return unicodedata.normalize("NFC", password)
