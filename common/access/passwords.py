"""Passwords: what is asked of one, and Argon2id to keep and check it."""

import unicodedata
from functools import cache
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from common.access.accounts import name_key
from common.errors import InvalidAccountError
from config.secrets import new_secret

MIN_CHARACTERS: Final = 15
"""Of a password that is the only proof: NIST SP 800-63B-4, section 3.1.1.2."""
MAX_CHARACTERS: Final = 128

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
    if not MIN_CHARACTERS <= len(password) <= MAX_CHARACTERS:
        raise InvalidAccountError(f"A password must have {MIN_CHARACTERS} to {MAX_CHARACTERS} characters.")
    if name_key(name) in name_key(password) or len(set(password)) < len(password) / 3:
        raise InvalidAccountError(
            "This password is easy to guess. Choose one without the name and with more different characters."
        )
    return _HASHER.hash(password)


def is_password(kept: str | None, password: str) -> bool:
    """Check a password against what is kept of it; for an account without one it takes as long, and is ``False``."""
    if len(password) > MAX_CHARACTERS:  # no password is longer, and hashing megabytes would hold up everybody else
        return False
    try:
        # A hash of no account takes as long: the time of an answer must not tell which names there are.
        return _HASHER.verify(kept or _hash_of_no_account(), _normal(password)) and kept is not None
    except VerificationError:
        return False


@cache
def _hash_of_no_account() -> str:
    return _HASHER.hash(new_secret())


def _normal(password: str) -> str:
    """Return one form of characters that keyboards may write in several."""
    return unicodedata.normalize("NFC", password)
