"""Tokens: how they are compared, and where a request carries one; without Flask."""

import hashlib
import hmac
from typing import Final

UNKNOWN_TOKEN: Final = "The client app's token is not known at the server. Check CLIENT_n_TOKEN on both sides."  # noqa: S105 - says so to people


def tokens_equal(given: str, expected: str) -> bool:
    """Compare in constant time, whatever the lengths and characters."""
    return hmac.compare_digest(hashlib.sha256(given.encode()).digest(), hashlib.sha256(expected.encode()).digest())


def bearer_token(authorization: str | None) -> str | None:
    """Return the token of an ``Authorization: Bearer`` header."""
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None
