"""Tokens: how they are compared, and where a request carries one; without Flask."""

import hashlib
import hmac


def tokens_equal(given: str, expected: str) -> bool:
    """Compare in constant time, whatever the lengths and characters."""
    return hmac.compare_digest(hashlib.sha256(given.encode()).digest(), hashlib.sha256(expected.encode()).digest())


def bearer_token(authorization: str | None) -> str | None:
    """Return the token of an ``Authorization: Bearer`` header."""
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None
