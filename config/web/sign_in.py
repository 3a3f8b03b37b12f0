"""Sign-in with a token from a one-click link, kept in a signed cookie of this app alone."""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, render_template, request, session
from flask.typing import ResponseReturnValue

from config.errors import InvalidMessageError, NotSignedInError


def sign_in_blueprint(*, audience: str, title: str, token: str) -> Blueprint:
    """Make the routes ``/sign-in`` and ``/sign-out``; a session is good while ``token`` is the valid one."""
    blueprint = Blueprint("sign_in", __name__)
    proof = _proof(token, audience)

    @blueprint.get("/sign-in")
    def page() -> ResponseReturnValue:
        return render_template("sign_in.html", title=title)

    @blueprint.post("/sign-in")
    def sign_in() -> ResponseReturnValue:
        body = request.get_json(silent=True)
        if not isinstance(body, dict) or not isinstance(body.get("token"), str):
            raise InvalidMessageError(fields={"token": ["must be text"]})
        if not tokens_equal(body["token"], token):
            raise NotSignedInError("This link or token is not valid. Use the one printed when the system started.")
        session.clear()
        session.permanent = True
        session["proof"] = proof
        return "", 204

    @blueprint.post("/sign-out")
    def sign_out() -> ResponseReturnValue:
        session.clear()
        return "", 204

    @blueprint.record_once
    def keep_proof(state: Any) -> None:
        state.app.config["SIGN_IN_PROOF"] = proof

    return blueprint


def require_sign_in(config: Mapping[str, Any]) -> None:
    """Check the session of the current request, over HTTP or in a Socket.IO handshake.

    Raises
    ------
    NotSignedInError
        If there is none, or it was made with a token that is no longer the valid one.
    """
    if not is_signed_in(config):
        raise NotSignedInError


def is_signed_in(config: Mapping[str, Any]) -> bool:
    return tokens_equal(str(session.get("proof", "")), config["SIGN_IN_PROOF"])


def tokens_equal(given: str, expected: str) -> bool:
    """Compare in constant time, whatever the lengths and characters."""
    return hmac.compare_digest(hashlib.sha256(given.encode()).digest(), hashlib.sha256(expected.encode()).digest())


def bearer_token(authorization: str | None) -> str | None:
    """Return the token of an ``Authorization: Bearer`` header."""
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def _proof(token: str, audience: str) -> str:
    return hmac.new(token.encode(), audience.encode(), hashlib.sha256).hexdigest()
