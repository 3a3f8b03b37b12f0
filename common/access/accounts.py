"""Accounts and sessions as they are kept: no token, password or cookie among them, only what proves one."""

import hashlib
import unicodedata
from dataclasses import dataclass, field
from typing import Final

from common.access.roles import Role
from common.errors import InvalidAccountError

MOST_NAME_CHARACTERS: Final = 64


@dataclass(frozen=True)
class Account:
    """One person (or built-in link); ``token_hash`` is SHA-256 in hex, times are seconds since 1970.

    The setting that ``built_in`` names gives the token of an account that was not added by a person.
    """

    id: str
    name: str
    role: Role
    created_at: float
    built_in: str | None = None
    revoked_at: float | None = None
    token_hash: str | None = field(default=None, repr=False)
    password_hash: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Session:
    """One sign-in; ``id`` is the SHA-256 of the key that only the browser's cookie holds."""

    id: str
    account: Account
    began_at: float
    ends_at: float
    last_active_at: float
    address: str

    @property
    def public_id(self) -> str:
        """What names the session on a page; too short to find the session by anything but a look at the list."""
        return self.id[:12]


def hash_of(secret: str) -> str:
    """Return the SHA-256 of 256 random bits: nothing slower is needed for what cannot be guessed."""
    return hashlib.sha256(secret.encode()).hexdigest()


def name_key(name: str) -> str:
    """Return what two names have in common if people would take them for the same."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def checked_name(name: str) -> str:
    """Return a name with no more spaces than it needs.

    Raises
    ------
    InvalidAccountError
        If it is empty, too long, or has characters that cannot be seen.
    """
    name = unicodedata.normalize("NFC", name.strip())
    if not name or len(name) > MOST_NAME_CHARACTERS or not name.isprintable():
        raise InvalidAccountError(f"A name has 1 to {MOST_NAME_CHARACTERS} characters, all of them visible.")
    return " ".join(name.split())
